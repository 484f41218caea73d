"""The index of all images in use: one row per image, read in parallel."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from cyborg.data.describe import Description, describe
from cyborg.data.members import Member, members
from cyborg.data.related import groups
from cyborg.data.sources import Source
from cyborg.errors import UserError

CHUNK = 64
"""Images handed to a worker at once."""
FEW = 2000
"""Up to this many images, starting workers takes longer than the work."""


def index(
    sources: Iterable[Source], root: Path, classes: Sequence[str], workers: int | None = None
) -> pd.DataFrame:
    """One row per image of the sources, sorted by image (docs/formats.md#images).

    workers: processes; None is one per processor that this process may use. The result does not
    depend on it. An image that does not decode has a `problem`; nothing is raised for it.

    Raises UserError where a source is empty, its list or its related pairs are wrong, or a
    worker was killed.
    """
    sources = list(sources)
    rows = sorted(
        (member for source in sources for member in members(source, root, classes)),
        key=lambda member: member.image,
    )
    group = groups(rows, sources, root)
    described = _describe_all([str(root / row.file) for row in rows], workers)
    table = pd.DataFrame(rows, columns=[f.name for f in fields(Member)])
    table = pd.concat([table, pd.DataFrame(described, columns=Description._fields)], axis=1)
    table.insert(table.shape[1] - 1, "group", [group[row.image] for row in rows])
    return table.astype({"bytes": "int64", "width": "int64", "height": "int64"})


def _describe_all(paths: list[str], workers: int | None) -> list[Description]:
    workers = workers or _processors()
    bar = tqdm(total=len(paths), desc="index", unit="image", disable=None)
    with bar:
        if workers == 1 or len(paths) <= FEW:
            return [_step(describe(path), bar) for path in paths]
        # Not fork: the caller may hold threads (progress bars, torch).
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else None
        context = multiprocessing.get_context(method)
        try:
            with ProcessPoolExecutor(min(workers, len(paths)), mp_context=context) as pool:
                return [_step(d, bar) for d in pool.map(describe, paths, chunksize=CHUNK)]
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


def _step(description: Description, bar: tqdm[Any]) -> Description:
    bar.update()
    return description
