"""The download stage: fetch, draw or find the images of all sources in use, and index them."""

from __future__ import annotations

import multiprocessing
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from cyborg.catalogue.members import EXTENSIONS, count, members
from cyborg.catalogue.rows import FETCHED, RAW
from cyborg.catalogue.sources import Source, catalogue, near, used
from cyborg.common.closure import hash_code
from cyborg.common.errors import UserError, UserErrors
from cyborg.common.files import read_json, replacing_file, replacing_folder, sha256_file, write_json
from cyborg.common.registry import suggest_name
from cyborg.download import archives, checksums
from cyborg.download.fetch import FetchError, fetch
from cyborg.download.index import index

if TYPE_CHECKING:
    from cyborg.config.experiment import Experiment, Phantom

IMAGES = Path("data/images.parquet")
WORK = Path(".work/download")
STAMP, PHANTOM_STAMP = ".source.json", ".phantom.json"


def download(experiment: Experiment, root: Path = Path(), only: list[str] | None = None) -> None:
    """Make the images of every source in use available and write data/images.parquet.

    Reads the catalogue, data/raw and data/checksums.csv; writes data/fetched, data/checksums.csv
    and, in the end, data/images.parquet (docs/formats.md#images). What is complete is left as it
    is; what was interrupted goes on where it stopped.

    only: names of sources to fetch or draw, whether in use or not; nothing is indexed then, and
    the number of images of each is printed.

    A source that cannot be had does not keep the others from being fetched. Raises UserErrors
    with all that is missing or wrong, and how to get it.
    """
    sources = used(experiment, root) if only is None else _only(experiment, root, only)
    with _alone(root):
        _sweep(root)
        mistakes: list[UserError] = []
        failed: set[str] = set()
        for source in sources.values():
            if source.store in failed:
                continue  # rows of one archive: it was tried, and said what is wrong
            try:
                _obtain(source, experiment.phantom, root)
                _count(source, root, experiment.classes)
            except UserErrors as error:
                mistakes += error.mistakes
            except UserError as error:
                mistakes.append(error)
                if not _finished(source, root):
                    failed.add(source.store or "")
        if mistakes:
            raise UserErrors(mistakes)
        if only is None:
            table = index(sources.values(), root, experiment.classes)
            with replacing_file(root / IMAGES) as temporary:
                table.to_parquet(temporary, index=False)
        else:
            for source in sources.values():
                print(f"{source.name}: {count(source, root)} images at {source.path}")


def _only(experiment: Experiment, root: Path, names: list[str]) -> dict[str, Source]:
    known = catalogue(root / experiment.data.catalogue)
    unknown = [
        UserError(f"`{name}` is not in {experiment.data.catalogue}", hint=near(name, known))
        for name in sorted(set(names))
        if name not in known
    ]
    if unknown:
        raise UserErrors(unknown)
    return {name: known[name] for name in sorted(set(names))}


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold the lock of data/fetched; waits, with a word, for another download in this folder."""
    (root / WORK).mkdir(parents=True, exist_ok=True)
    lock = FileLock(str(root / WORK / "lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if multiprocessing.parent_process():  # a worker that runs its parent's script again
            raise RuntimeError('call download() under `if __name__ == "__main__":`') from None
        print("download: another one is at work in this folder; waiting for it", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _sweep(root: Path) -> None:
    """Remove what killed processes left half made in data/fetched."""
    (root / FETCHED).mkdir(parents=True, exist_ok=True)
    for left in (root / FETCHED).glob(".*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def _obtain(source: Source, phantom: Phantom, root: Path) -> None:
    """Make the folder of one source exist."""
    if source.access == "phantom":
        _draw(source, phantom, root)
    elif source.store:
        _archive(source, root)
    elif not (root / source.path).is_dir():
        raise _absent(source)
    elif linked := _linked(root, Path(source.path)):
        print(
            f"note: {linked} is a link to a folder. DVC does not look through it: after a change "
            "there, run `dvc repro --force download`. `cp -rs FOLDER data/raw` makes a folder of "
            "links to files, whose changes it sees.",
            file=sys.stderr,
        )


def _linked(root: Path, path: Path) -> Path | None:
    """The first part of a path, seen from the project folder, that is a link to a folder."""
    parts = [path, *path.parents][:-1]
    return next((part for part in reversed(parts) if (root / part).is_symlink()), None)


def _absent(source: Source) -> UserError:
    """What to do for a source that only a person can get."""
    where_to = f"put (or link) the images at {source.path}"
    if source.store:
        where_to = f"put the archive at {RAW}/{source.store}.zip (or .7z, .tar, .tar.gz …)"
    kinds = {"gated": "needs an agreement", "manual": "has to be got by hand", "local": "is local"}
    page = f"\n  page: {' '.join(source.url)}" if source.url else ""
    how = f"\n  {source.instructions}" if source.instructions else ""
    terms = f"\n  licence: {source.licence or 'unknown'}"
    if source.access == "local" and not source.licence:
        terms = ""  # one's own
    return UserError(
        f"`{source.name}` {kinds[source.access]} and is not here",
        where=source.where,
        hint=f"{where_to}{how}{page}{terms}",
    )


def _archive(source: Source, root: Path) -> None:
    """Fetch (or find in data/raw) the file of a source, verify and unpack it."""
    store = source.store
    assert store is not None
    folder = root / FETCHED / store
    recorded = checksums.read(root).get(store)
    digest = source.sha256 or (recorded.sha256 if recorded else None)
    stamp = _stamp(folder / STAMP)
    if not stamp or digest not in (None, stamp["sha256"]):
        brought = [p for end in archives.ENDINGS if (p := root / RAW / f"{store}{end}").is_file()]
        if brought:
            file, stamp = brought[0], _brought(brought[0], source, digest)
        elif source.access == "url":
            file = root / WORK / store / _file_name(source)
            size = recorded.bytes if recorded and recorded.sha256 == digest else None
            stamp = _fetched(source, file, digest, size)
        else:
            raise _absent(source)
        with replacing_folder(folder) as beside:
            _fill(file, beside, source)
            write_json(beside / STAMP, stamp)
        if not brought:
            shutil.rmtree(file.parent)
    if not recorded or recorded.sha256 != stamp["sha256"]:
        checksums.record(root, checksums.Checksum(name=store, **stamp))
    if not (root / source.path).is_dir():
        inside = [p.relative_to(root).as_posix() for p in folder.rglob("*") if p.is_dir()]
        raise UserError(
            f"the archive of `{source.name}` has no folder `{source.path}`",
            where=f"{source.where}: path",
            hint=suggest_name(source.path, sorted(inside)[:40] or [f"{FETCHED}/{store}"]),
        )


def _fetched(source: Source, file: Path, digest: str | None, size: int | None) -> dict[str, Any]:
    """Fetch the file of a source and verify it."""
    try:
        got = fetch(source.url, file, sha256=digest, size=size)
    except FetchError as error:
        raise UserError(
            f"`{source.name}` {error.what}",
            where=source.where,
            hint=f"add a mirror to the column `url`, or put the file at {RAW}/{source.store}.zip "
            "(or .7z, .tar, .tar.gz …); if it has a new version, correct its sha256 in the "
            f"catalogue or delete its row of {checksums.PATH}\n  {source.instructions}",
        ) from None
    return {"file": file.name, "sha256": got.sha256, "bytes": got.bytes}


def _brought(file: Path, source: Source, digest: str | None) -> dict[str, Any]:
    """Verify an archive that the user put into data/raw."""
    found = sha256_file(file)
    if digest not in (None, found):
        raise UserError(
            f"{file.name} is not the archive of `{source.name}`: its sha256 is {found}, not "
            f"{digest}",
            where=source.where,
            hint=f"get it again; if it has a new version, correct sha256 or {checksums.PATH}",
        )
    return {"file": file.name, "sha256": found, "bytes": file.stat().st_size}


def _fill(file: Path, folder: Path, source: Source) -> None:
    """Unpack an archive, or copy a single image."""
    if archives.kind(file):
        archives.unpack(file, folder)
    elif file.name.lower().endswith(EXTENSIONS):
        shutil.copyfile(file, folder / file.name)
    else:
        file.unlink()
        raise UserError(
            f"what was fetched for `{source.name}` is neither an archive nor an image; removed",
            where=source.where,
            hint="look at the address with a browser; put the archive at "
            f"{RAW}/{source.store}.zip if you get it otherwise",
        )


def _file_name(source: Source) -> str:
    """A harmless file name for what the first address gives."""
    last = urlsplit(source.url[0]).path.rsplit("/", 1)[-1]
    return re.sub(r"[^A-Za-z0-9._-]", "_", last).lstrip(".") or source.name


def _finished(source: Source, root: Path) -> bool:
    """Whether the folder of data/fetched that holds a source is complete."""
    return source.store is not None and bool(_stamp(root / FETCHED / source.store / STAMP))


def _stamp(path: Path) -> dict[str, Any]:
    """What a finished folder of data/fetched was made from; empty where it is not finished."""
    try:
        stamp = read_json(path)
    except UserError:
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _draw(source: Source, phantom: Phantom, root: Path) -> None:
    """Draw a source of phantoms, unless it was drawn with the same parameters and code."""
    from cyborg.phantom.draw import draw

    wanted = {
        "source": [source.name, source.label, source.generator, source.role, source.count],
        "phantom": phantom.model_dump(mode="json"),
        "code": hash_code(["cyborg.phantom.draw"]),
    }
    folder = root / source.path
    if _stamp(folder / PHANTOM_STAMP) != wanted:
        draw(source, phantom, folder)
        write_json(folder / PHANTOM_STAMP, wanted)


def _count(source: Source, root: Path, classes: list[str]) -> None:
    """Compare the number of images with the catalogue's; only local sets may differ."""
    there = len(members(source, root, classes))
    if source.count in (None, there):
        return
    what = f"`{source.name}` has {there} images, the catalogue says {source.count}"
    if source.access == "local":
        print(f"note: {what}", file=sys.stderr)
        return
    raise UserError(
        what,
        where=f"{source.where}: count",
        hint=f"look for files that are missing in {source.path} or do not belong there; if the "
        "set has changed, correct the count",
    )
