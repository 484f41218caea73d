"""Index all images in use: one row per image, read in parallel."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from cyborg.catalogue.members import Member, list_members
from cyborg.catalogue.related import find_groups
from cyborg.catalogue.sample_weights import read_sample_weights
from cyborg.catalogue.sources import Source
from cyborg.common.workers import count_processors, open_workers
from cyborg.download.describe import ImageDescription, describe_image

# Images handed to a worker at once.
CHUNK = 64
# Seconds of work after which workers are started. Before, they would only take time.
ALONE = 8.0


def index_images(
    sources: Iterable[Source], root: Path, classes: Sequence[str], workers: int | None = None
) -> pd.DataFrame:
    """Return a table with one row per image, sorted by image (docs/formats.md#images).

    workers: processes. None is one per processor that this process may use. The result does not
    depend on it. An image that does not decode has a `problem`, and no error is raised for it.

    Raises UserError if a source is empty, its list, its related pairs or its weights are
    wrong, or a worker was killed.
    """
    sources = list(sources)
    rows = sorted(
        (member for source in sources for member in list_members(source, root, classes)),
        key=lambda member: member.image,
    )
    group = find_groups(rows, sources, root)
    weight = read_sample_weights(rows, sources, root)
    described = _describe_all([str(root / row.file) for row in rows], workers)
    table = pd.DataFrame(rows, columns=[f.name for f in fields(Member)])
    table = pd.concat([table, pd.DataFrame(described, columns=ImageDescription._fields)], axis=1)
    table.insert(table.shape[1] - 1, "group", [group[row.image] for row in rows])
    weights = [weight.get(row.image, math.nan) for row in rows]
    table.insert(table.shape[1] - 1, "sample_weight", weights)
    kinds = dict.fromkeys(("bytes", "width", "height"), "int64") | {"sample_weight": "float64"}
    return table.astype(kinds)


def _describe_all(paths: list[str], workers: int | None) -> list[ImageDescription]:
    workers = workers or count_processors()
    found: list[ImageDescription] = []
    with tqdm(total=len(paths), desc="index", unit="image", disable=None) as bar:
        begin = time.monotonic()
        for path in paths:
            if workers > 1 and time.monotonic() - begin > ALONE:
                break
            found.append(describe_image(path))
            bar.update()
        if rest := paths[len(found) :]:
            with open_workers(min(workers, len(rest)), "download") as run:
                for description in run(describe_image, rest, at_once=CHUNK):
                    found.append(description)
                    bar.update()
    return found
