"""Stage `pack`: decode and resize every image and map once, into arrays that all cells share.

Reads   data/manifest.parquet, data/saliency/index.parquet and the files they name.
Writes  data/packs (docs/formats.md#packs).
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from cyborg.common.errors import UserError, UserErrors
from cyborg.common.files import (
    describe_write_error,
    encode_canonically,
    read_json,
    replacing_file,
    sha256_bytes,
    write_json,
)
from cyborg.common.tables import MANIFEST_TABLE, MAP_TABLE, PACK_TABLE
from cyborg.common.workers import Map, count_processors, open_workers
from cyborg.config.experiment import Experiment
from cyborg.models.architectures import resolve_network
from cyborg.pack.dataset import name_folder
from cyborg.pack.decode_resize import (
    RULES,
    Chunk,
    FileProblem,
    PackedFile,
    count_row_bytes,
    pack_chunk,
)

PACKS = PACK_TABLE.path.parent
KEYS = PACKS / "keys.json"
# Files that a process takes at a time.
CHUNK = 16
# No processes are started for fewer files than this.
FEW = 128
# Problems that are printed, before the number of all.
SHOWN = 10


@dataclass(frozen=True)
class PackJob:
    """The files of one source and one kind, and the sizes that they are packed to.

    kind: `images` or the name of a map set. quality: of the JPEG that every image is encoded as
    first, or None.
    """

    kind: str
    source: str
    sizes: tuple[int, ...]
    files: list[PackedFile]
    quality: int | None

    @property
    def grey(self) -> bool:
        """Whether these are maps, which are grey."""
        return self.kind != "images"

    def path(self, size: int) -> Path:
        """Return the path of the array from the project folder."""
        return PACKS / name_folder(self.kind, size) / f"{self.source}.npy"

    def shape(self, size: int) -> tuple[int, ...]:
        """Return the shape of the array."""
        return (len(self.files), size, size) + (() if self.grey else (3,))

    def key(self, size: int) -> str:
        """Return the sha256 of everything that decides the bytes of the array."""
        files = [[file.image, file.sha256] for file in self.files]
        return sha256_bytes(encode_canonically([RULES, self.kind, size, self.quality, files]))

    def index_rows(self, size: int, checksums: list[str]) -> pd.DataFrame:
        """Return the rows of the index that describe the array."""
        names = [file.image for file in self.files]
        frame = pd.DataFrame({"image": names, "row": range(len(names)), "sha256": checksums})
        return frame.assign(kind=self.kind, size=size, source=self.source)[list(PACK_TABLE.columns)]


def pack(experiment: Experiment, root: Path = Path()) -> None:
    """Write the arrays of every source, kind (images, each map set) and input size in use.

    An array is kept if its files, its settings and its bytes are those of the last run. The others
    are replaced, one source at a time, so that an interrupted run continues from there.

    Raises UserErrors if a file is missing, is not the one that was indexed, or does not decode,
    and UserError if the disk is full. Earlier arrays are intact then.
    """
    jobs = plan_jobs(experiment, root)
    index, keys = _read_last_run(root)
    todo = []
    for job in jobs:
        sizes = tuple(size for size in job.sizes if not _is_intact(root, job, size, index, keys))
        if sizes:
            todo.append(replace(job, sizes=sizes))
    _check_space(root, todo)
    wanted = {str(job.path(size)) for job in jobs for size in job.sizes}
    total = sum(len(job.files) for job in todo)
    bar = tqdm(total=total, desc="pack", unit="file", disable=None if total else True)
    workers = count_processors() if total >= FEW else 1
    with bar, open_workers(workers, "pack") as run:
        for job in todo:
            for size, checksums in _write_arrays(root, job, run, bar).items():
                index[str(job.path(size))] = job.index_rows(size, checksums)
                keys[str(job.path(size))] = job.key(size)
            _write_index(root, index, keys)
    index = {path: rows for path, rows in index.items() if path in wanted}
    _write_index(root, index, {path: key for path, key in keys.items() if path in wanted})
    _remove_unwanted(root, wanted)
    arrays = sum(len(job.sizes) for job in todo)
    print(f"{arrays} arrays packed from {total} files, {len(wanted) - arrays} kept")


def plan_jobs(experiment: Experiment, root: Path) -> list[PackJob]:
    """Return everything that must be packed: images first, then map sets, sorted by source."""
    if "images" in experiment.saliency:
        raise UserError(
            "`images` cannot be the name of a map set", location="params.yaml: saliency"
        )
    manifest = MANIFEST_TABLE.read(root, ["image", "source", "file", "sha256"]).sort_values("image")
    maps = MAP_TABLE.read(root, ["maps", "image", "file", "sha256"])
    maps = maps[maps["maps"].isin(list(experiment.saliency))]
    maps = maps.merge(manifest[["image", "source"]], on="image")
    sizes = tuple(
        sorted(
            {
                resolve_network(name, row).image_size
                for name, row in experiment.architectures.items()
            }
        )
    )
    quality = experiment.pack.quality if experiment.pack.reencode == "jpeg" else None
    jobs = []
    for source, rows in manifest.groupby("source"):
        jobs.append(PackJob("images", str(source), sizes, _list_files(rows), quality))
    for kind in sorted(set(maps["maps"])):
        for source, rows in maps[maps["maps"] == kind].groupby("source"):
            jobs.append(PackJob(kind, str(source), sizes, _list_files(rows), None))
    paths = [file.path for job in jobs for file in job.files]
    if missing := [path for path in paths if not (root / path).is_file()]:
        hint = f"{len(missing)} files are missing. Run `dvc repro --force download rasterize`"
        raise UserErrors(
            [
                UserError("there is no such file", location=path, hint=hint)
                for path in missing[:SHOWN]
            ]
        )
    return jobs


def _list_files(rows: pd.DataFrame) -> list[PackedFile]:
    rows = rows.sort_values("image")
    return [PackedFile(*row) for row in rows[["image", "file", "sha256"]].itertuples(index=False)]


def _write_arrays(root: Path, job: PackJob, run: Map, bar: tqdm[Any]) -> dict[int, list[str]]:
    """Write the arrays of one job. Return the checksums of their rows, by size."""
    checksums: dict[int, list[str]] = {size: [] for size in job.sizes}
    problems: list[FileProblem] = []
    with ExitStack() as stack:
        outputs = {}
        for size in job.sizes:
            path = stack.enter_context(replacing_file(root / job.path(size)))
            outputs[size] = (path, _write_header(path, job, size))
        chunks = [
            Chunk(root, job.files[first : first + CHUNK], first, outputs, job.grey, job.quality)
            for first in range(0, len(job.files), CHUNK)
        ]
        for chunk, packed in zip(chunks, run(pack_chunk, chunks), strict=True):
            if packed.write_error:
                raise describe_write_error(root / PACKS, OSError(0, packed.write_error))
            problems += packed.problems
            for size, rows in packed.rows.items():
                checksums[size] += rows
            bar.update(len(chunk.files))
        if problems:
            found = [UserError(p.what, location=p.path, hint=p.hint) for p in problems[:SHOWN]]
            if len(problems) > SHOWN:
                more = f"{len(problems)} files of `{job.source}` have problems"
                found.append(UserError(more, hint=f"the first {SHOWN} are above"))
            raise UserErrors(found)
    return checksums


def _write_header(path: Path, job: PackJob, size: int) -> int:
    """Write the header of an array and zeros for its data. Return the offset of the data."""
    layout = {"descr": "|u1", "fortran_order": False, "shape": job.shape(size)}
    with path.open("wb") as handle:
        np.lib.format.write_array_header_1_0(handle, layout)
        offset = handle.tell()
        handle.truncate(offset + len(job.files) * count_row_bytes(size, job.grey))
    return offset


def _read_last_run(root: Path) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """Return the index rows and the key of each array of the last run, by path.

    Both are empty if there was none, or if its index is broken.
    """
    try:
        frame = PACK_TABLE.read(root)
        keys = read_json(root / KEYS)
        paths = [
            str(PackJob(kind, source, (), [], None).path(size))
            for kind, size, source in frame[["kind", "size", "source"]].itertuples(index=False)
        ]
    except (UserError, KeyError):
        return {}, {}
    return {str(path): rows for path, rows in frame.groupby(paths)}, keys


def _is_intact(
    root: Path, job: PackJob, size: int, index: dict[str, pd.DataFrame], keys: dict[str, str]
) -> bool:
    """Return whether an array has the key of `job` and exactly the bytes of its index."""
    path = str(job.path(size))
    if keys.get(path) != job.key(size) or path not in index:
        return False
    try:
        array = np.load(root / path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return False
    rows = index[path].sort_values("row")
    if array.dtype != np.uint8 or array.shape != job.shape(size) or len(rows) != len(array):
        return False
    return all(
        sha256_bytes(row.tobytes()) == known
        for row, known in zip(array, rows["sha256"], strict=True)
    )


def _check_space(root: Path, jobs: list[PackJob]) -> None:
    """Raise UserError if the disk does not have enough space for all arrays of `jobs`."""
    needed = sum(
        len(job.files) * count_row_bytes(size, job.grey) for job in jobs for size in job.sizes
    )
    free = shutil.disk_usage(root).free
    if needed > free:
        raise UserError(
            f"{needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free",
            location=PACKS,
            hint="free some space, or choose smaller images or fewer sources",
        )


def _write_index(root: Path, index: dict[str, pd.DataFrame], keys: dict[str, str]) -> None:
    columns = list(PACK_TABLE.columns)
    frame = pd.concat([pd.DataFrame(columns=columns), *index.values()], ignore_index=True)
    frame = frame.astype({"size": np.int64, "row": np.int64})
    PACK_TABLE.write(root, frame.sort_values(columns[:5], ignore_index=True))
    write_json(root / KEYS, keys)


def _remove_unwanted(root: Path, wanted: set[str]) -> None:
    """Remove the arrays of sources and sizes no longer in use, and files of killed runs."""
    keep = {root / path for path in (*wanted, str(PACK_TABLE.path), str(KEYS))}
    for path in sorted((root / PACKS).rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in keep:
            path.unlink()
