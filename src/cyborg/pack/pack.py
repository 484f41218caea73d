"""Stage `pack`: decode and resize every image and map once, into arrays that all cells share.

Reads data/manifest.parquet, data/saliency/index.parquet and the files they name; writes
data/packs (docs/formats.md#packs). Rules of decoding: cyborg/common/decode.py.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

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
from cyborg.pack.packing import RULES, Chunk, Item, count_row_bytes, pack_chunk

PACKS = PACK_TABLE.path.parent
KEYS = PACKS / "keys.json"
CHUNK = 16
"""Files that a process takes at a time."""
FEW = 128
"""Below this number of files no processes are started."""
SHOWN = 10
"""Problems that are printed; the number of all is printed besides."""


@dataclass(frozen=True)
class Work:
    """One source of one kind (`images` or a map set) and the sizes that it is packed to."""

    kind: str
    source: str
    sizes: tuple[int, ...]
    items: list[Item]
    quality: int | None

    @property
    def grey(self) -> bool:
        """Whether these are maps."""
        return self.kind != "images"

    def path(self, size: int) -> Path:
        """The array, from the project folder."""
        kind = "images" if self.kind == "images" else f"maps/{self.kind}"
        return PACKS / kind / str(size) / f"{self.source}.npy"

    def shape(self, size: int) -> tuple[int, ...]:
        """Shape of the array."""
        return (len(self.items), size, size) + (() if self.grey else (3,))

    def key(self, size: int) -> str:
        """sha256 of all that decides the bytes of the array."""
        files = [[item.image, item.sha256] for item in self.items]
        return sha256_bytes(encode_canonically([RULES, self.kind, size, self.quality, files]))

    def rows(self, size: int, checksums: list[str]) -> pd.DataFrame:
        """The rows of the index that describe the array."""
        names = [item.image for item in self.items]
        frame = pd.DataFrame({"image": names, "row": range(len(names)), "sha256": checksums})
        return frame.assign(kind=self.kind, size=size, source=self.source)[list(PACK_TABLE.columns)]


def pack(experiment: Experiment, root: Path = Path()) -> None:
    """Write the arrays of every source, kind (images, each map set) and input size in use.

    An array is kept where its files, its settings and its bytes are those of the last time; the
    others are replaced one source at a time, so that an interrupted run goes on where it was.
    Raises UserErrors where a file is gone, is not the one that was indexed or does not decode;
    UserError where the disk is full. What was packed before is intact then.
    """
    works = plan(experiment, root)
    index, keys = _last(root)
    todo = []
    for work in works:
        sizes = tuple(s for s in work.sizes if not _intact(root, work, s, index, keys))
        if sizes:
            todo.append(Work(work.kind, work.source, sizes, work.items, work.quality))
    _room(root, todo)
    wanted = {str(work.path(size)) for work in works for size in work.sizes}
    total = sum(len(work.items) for work in todo)
    bar = tqdm(total=total, desc="pack", unit="file", disable=None if total else True)
    workers = count_processors() if total >= FEW else 1
    with bar, open_workers(workers, "pack") as run:
        for work in todo:
            for size, checksums in _pack(root, work, run, bar).items():
                index[str(work.path(size))] = work.rows(size, checksums)
                keys[str(work.path(size))] = work.key(size)
            _write(root, index, keys)
    index = {path: rows for path, rows in index.items() if path in wanted}
    _write(root, index, {path: key for path, key in keys.items() if path in wanted})
    _prune(root, wanted)
    arrays = sum(len(work.sizes) for work in todo)
    print(f"{arrays} arrays packed from {total} files, {len(wanted) - arrays} kept")


def plan(experiment: Experiment, root: Path) -> list[Work]:
    """What must be packed, sorted by kind and source."""
    if "images" in experiment.saliency:
        raise UserError("`images` cannot be the name of a map set", where="params.yaml: saliency")
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
    works = []
    for source, rows in manifest.groupby("source"):
        works.append(Work("images", str(source), sizes, _items(rows), quality))
    for kind in sorted(set(maps["maps"])):
        for source, rows in maps[maps["maps"] == kind].groupby("source"):
            works.append(Work(kind, str(source), sizes, _items(rows), None))
    missing = [item.file for w in works for item in w.items if not (root / item.file).is_file()]
    if missing:
        hint = f"{len(missing)} files are missing; run `dvc repro --force download rasterize`"
        raise UserErrors(
            [UserError("there is no such file", where=f, hint=hint) for f in missing[:SHOWN]]
        )
    return works


def _items(rows: pd.DataFrame) -> list[Item]:
    rows = rows.sort_values("image")
    return [Item(*row) for row in rows[["image", "file", "sha256"]].itertuples(index=False)]


def _pack(root: Path, work: Work, run: Map, bar: tqdm) -> dict[int, list[str]]:
    """Pack one source; the checksums of its rows by size."""
    checksums: dict[int, list[str]] = {size: [] for size in work.sizes}
    problems: list[tuple[str, str, str]] = []
    with ExitStack() as stack:
        outputs = {}
        for size in work.sizes:
            path = stack.enter_context(replacing_file(root / work.path(size)))
            outputs[size] = (path, _header(path, work, size))
        starts = range(0, len(work.items), CHUNK)
        chunks = [
            Chunk(root, work.items[k : k + CHUNK], k, outputs, work.grey, work.quality)
            for k in starts
        ]
        for chunk, packed in zip(chunks, run(pack_chunk, chunks), strict=True):
            if packed.disk:
                raise describe_write_error(root / PACKS, OSError(0, packed.disk))
            problems += packed.problems
            for size, rows in packed.rows.items():
                checksums[size] += rows
            bar.update(len(chunk.items))
        if problems:
            found = [UserError(w, where=file, hint=hint) for w, file, hint in problems[:SHOWN]]
            if len(problems) > SHOWN:
                more = f"{len(problems)} files of `{work.source}` have problems"
                found.append(UserError(more, hint=f"the first {SHOWN} are above"))
            raise UserErrors(found)
    return checksums


def _header(path: Path, work: Work, size: int) -> int:
    """Begin an array: its header, and its length in zeros; gives the offset of its data."""
    layout = {"descr": "|u1", "fortran_order": False, "shape": work.shape(size)}
    with path.open("wb") as handle:
        np.lib.format.write_array_header_1_0(handle, layout)
        offset = handle.tell()
        handle.truncate(offset + len(work.items) * count_row_bytes(size, work.grey))
    return offset


def _last(root: Path) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """Index by array, and keys, of the last run; empty where there was none."""
    try:
        frame = PACK_TABLE.read(root)
        keys = read_json(root / KEYS)
        paths = [
            str(Work(kind, source, (), [], None).path(size))
            for kind, size, source in frame[["kind", "size", "source"]].itertuples(index=False)
        ]
    except (UserError, KeyError):
        return {}, {}
    return {str(path): rows for path, rows in frame.groupby(paths)}, keys


def _intact(
    root: Path, work: Work, size: int, index: dict[str, pd.DataFrame], keys: dict[str, str]
) -> bool:
    """Whether an array is there, made from the same, and holds the bytes that the index says."""
    path = str(work.path(size))
    if keys.get(path) != work.key(size) or path not in index:
        return False
    try:
        array = np.load(root / path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return False
    rows = index[path].sort_values("row")
    if array.dtype != np.uint8 or array.shape != work.shape(size) or len(rows) != len(array):
        return False
    return all(
        sha256_bytes(row.tobytes()) == known
        for row, known in zip(array, rows["sha256"], strict=True)
    )


def _room(root: Path, todo: list[Work]) -> None:
    """Raise UserError where the disk cannot hold what is to be packed."""
    needed = sum(
        len(work.items) * count_row_bytes(size, work.grey) for work in todo for size in work.sizes
    )
    free = shutil.disk_usage(root).free
    if needed > free:
        raise UserError(
            f"{needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free",
            where=PACKS,
            hint="free some space, or choose smaller images or fewer sources",
        )


def _write(root: Path, index: dict[str, pd.DataFrame], keys: dict[str, str]) -> None:
    columns = list(PACK_TABLE.columns)
    frame = pd.concat([pd.DataFrame(columns=columns), *index.values()], ignore_index=True)
    frame = frame.astype({"size": np.int64, "row": np.int64})
    PACK_TABLE.write(root, frame.sort_values(columns[:5], ignore_index=True))
    write_json(root / KEYS, keys)


def _prune(root: Path, wanted: set[str]) -> None:
    """Remove arrays of sources and sizes no longer in use, and what killed runs left."""
    keep = {root / path for path in (*wanted, str(PACK_TABLE.path), str(KEYS))}
    for path in sorted((root / PACKS).rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in keep:
            path.unlink()
