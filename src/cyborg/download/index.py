"""The index of all images in use: one row per image, read in parallel."""

from __future__ import annotations

import math
import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import fields
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from cyborg.catalogue.members import Member, members
from cyborg.catalogue.related import groups
from cyborg.catalogue.sample_weights import sample_weights
from cyborg.catalogue.sources import Source
from cyborg.common.errors import UserError
from cyborg.download.describe import Description, describe

CHUNK = 64
"""Images handed to a worker at once."""
ALONE = 8.0
"""Seconds of work after which workers are started; before, they would only take time."""


def index(
    sources: Iterable[Source], root: Path, classes: Sequence[str], workers: int | None = None
) -> pd.DataFrame:
    """One row per image of the sources, sorted by image (docs/formats.md#images).

    workers: processes; None is one per processor that this process may use. The result does not
    depend on it. An image that does not decode has a `problem`; nothing is raised for it.

    Raises UserError where a source is empty, its list, its related pairs or its weights are
    wrong, or a worker was killed.
    """
    sources = list(sources)
    rows = sorted(
        (member for source in sources for member in members(source, root, classes)),
        key=lambda member: member.image,
    )
    group = groups(rows, sources, root)
    weight = sample_weights(rows, sources, root)
    described = _describe_all([str(root / row.file) for row in rows], workers)
    table = pd.DataFrame(rows, columns=[f.name for f in fields(Member)])
    table = pd.concat([table, pd.DataFrame(described, columns=Description._fields)], axis=1)
    table.insert(table.shape[1] - 1, "group", [group[row.image] for row in rows])
    weights = [weight.get(row.image, math.nan) for row in rows]
    table.insert(table.shape[1] - 1, "sample_weight", weights)
    kinds = dict.fromkeys(("bytes", "width", "height"), "int64") | {"sample_weight": "float64"}
    return table.astype(kinds)


def _describe_all(paths: list[str], workers: int | None) -> list[Description]:
    workers = workers or _processors()
    found: list[Description] = []
    with tqdm(total=len(paths), desc="index", unit="image", disable=None) as bar:
        begin = time.monotonic()
        for path in paths:
            if workers > 1 and time.monotonic() - begin > ALONE:
                break
            found.append(describe(path))
            bar.update()
        if rest := paths[len(found) :]:
            for description in _parallel(rest, min(workers, len(rest))):
                found.append(description)
                bar.update()
    return found


def _parallel(paths: list[str], workers: int) -> Iterator[Description]:
    # Not fork: the caller may hold threads (progress bars, torch).
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else None
    context = multiprocessing.get_context(method)
    try:
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            yield from pool.map(describe, paths, chunksize=CHUNK)
    except BrokenProcessPool:
        raise UserError(
            "a process that reads images was killed",
            where="download",
            hint="most often memory ran out; close other programs and run it again",
        ) from None


def _processors() -> int:
    """Processors that this process may use (on systems that can say so)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
