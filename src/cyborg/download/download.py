"""Run the download stage: fetch, draw or find the images of the sources in use and index them."""

from __future__ import annotations

import multiprocessing
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from cyborg.catalogue.members import EXTENSIONS, count_images, list_members, list_skipped
from cyborg.catalogue.rows import FETCHED, RAW
from cyborg.catalogue.sources import Source, find_used_sources, read_catalogue, suggest_source
from cyborg.common.closure import hash_code
from cyborg.common.errors import UserError, UserErrors
from cyborg.common.files import read_json, replacing_folder, sha256_file, write_json, write_table
from cyborg.common.registry import suggest_name
from cyborg.download.archives import ENDINGS, detect_kind, unpack_archive
from cyborg.download.checksums import CHECKSUMS, Checksum, read_checksums, record_checksum
from cyborg.download.fetch import FetchError, fetch_file
from cyborg.download.index import index_images

if TYPE_CHECKING:
    from cyborg.config.experiment import Experiment, Phantom

IMAGES = Path("data/images.parquet")
WORK = Path(".work/download")
# Skipped files, and kinds of them, that a note names.
SHOWN = 5
# Files that mark a folder of data/fetched as complete and as made by this program.
STAMP, PHANTOM_STAMP = ".source.json", ".phantom.json"


def download(experiment: Experiment, root: Path = Path(), only: list[str] | None = None) -> None:
    """Make the images of every source in use available, and write data/images.parquet.

    Reads the catalogue, data/raw and data/checksums.csv. Writes data/fetched, data/checksums.csv
    and, at the end, data/images.parquet (docs/formats.md#images). Keeps complete folders and
    resumes interrupted ones. Never changes anything below data/raw.

    only: names of sources to fetch or draw, in use or not. Then nothing is indexed, and the
    number of images of each is printed.

    If a source cannot be had, the others are fetched nevertheless. Raises UserErrors with
    everything that is missing or wrong, and how to get it.
    """
    if only is None:
        sources = find_used_sources(experiment, root)
    else:
        sources = _find_named_sources(experiment.data.catalogue, root, only)
    with _hold_lock(root):
        _sweep_fetched(root)
        obtain_sources(sources.values(), experiment.phantom, experiment.classes, root)
        _report_skipped(sources.values(), experiment.data.catalogue, root)
        if only is None:
            table = index_images(sources.values(), root, experiment.classes)
            write_table(root / IMAGES, table)
        else:
            for source in sources.values():
                print(f"{source.name}: {count_images(source, root)} images at {source.path}")


def obtain_sources(
    sources: Iterable[Source], phantom: Phantom, classes: Sequence[str], root: Path
) -> None:
    """Fetch, draw or find every source, and compare its number of images with the catalogue's.

    Raises UserErrors with the mistakes of all sources, after every source was tried.
    """
    mistakes: list[UserError] = []
    failed: set[str] = set()
    for source in sources:
        if source.store in failed:
            continue  # another source of the same archive has said what is wrong
        try:
            _obtain_source(source, phantom, root)
            _check_count(source, root, classes)
        except UserErrors as error:
            mistakes += error.mistakes
        except UserError as error:
            mistakes.append(error)
            if not _is_complete(source, root):
                failed.add(source.store or "")
    if mistakes:
        raise UserErrors(mistakes)


def _report_skipped(sources: Iterable[Source], catalogue: str, root: Path) -> None:
    """Count and name the files in the folders of the sources that are not read as images."""
    rows = read_catalogue(root / catalogue).values()
    known = {text for s in rows for text in (s.list, s.annotations, s.segmentation, s.weights)}
    known |= {related.file for source in rows for related in source.related}
    for source in sources:
        if names := list_skipped(root, source, known):
            endings = Counter(PurePosixPath(name).suffix.lower() or name for name in names)
            kinds = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(SHOWN))
            shown = ", ".join(f"`{name}`" for name in names[:SHOWN])
            print(
                f"note: {source.path}: skipped files that are not images: {len(names)} "
                f"({kinds}): {shown}{' …' if len(names) > SHOWN else ''}. "
                f"Images end in {', '.join(EXTENSIONS)}",
                file=sys.stderr,
            )


def _find_named_sources(catalogue: str, root: Path, names: list[str]) -> dict[str, Source]:
    known = read_catalogue(root / catalogue)
    unknown = [
        UserError(f"`{name}` is not in {catalogue}", hint=suggest_source(name, known))
        for name in sorted(set(names))
        if name not in known
    ]
    if unknown:
        raise UserErrors(unknown)
    return {name: known[name] for name in sorted(set(names))}


@contextmanager
def _hold_lock(root: Path) -> Iterator[None]:
    """Hold the lock of data/fetched. If another download holds it, say so and wait."""
    (root / WORK).mkdir(parents=True, exist_ok=True)
    lock = FileLock(str(root / WORK / "lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if multiprocessing.parent_process():  # a worker that runs its parent's script again
            raise RuntimeError('call download() under `if __name__ == "__main__":`') from None
        print("download: waiting for another download in this folder", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _sweep_fetched(root: Path) -> None:
    """Remove the half-made folders that a killed process left in data/fetched.

    These are the folders that `replacing_folder` makes beside the one that it replaces.
    """
    (root / FETCHED).mkdir(parents=True, exist_ok=True)
    for half_made in (root / FETCHED).glob(".*.new"):
        shutil.rmtree(half_made)
    for replaced in (root / FETCHED).glob(".*.old"):
        folder = replaced.with_name(replaced.name.removeprefix(".").removesuffix(".old"))
        if folder.exists():
            shutil.rmtree(replaced)
        else:  # killed between two renames: the new folder is lost, the old one is whole
            replaced.rename(folder)


def _obtain_source(source: Source, phantom: Phantom, root: Path) -> None:
    """Make the folder of one source exist."""
    if source.access == "phantom":
        _draw_source(source, phantom, root)
    elif source.store:
        _obtain_archive(source, root)
    elif not (root / source.path).is_dir():
        raise _explain_absence(source)
    elif link := _find_link(root, Path(source.path)):
        print(
            f"note: {link} is a link to a folder. DVC does not look through it: after a change "
            "there, run `dvc repro --force download`. `cp -rs FOLDER data/raw` makes a folder of "
            "links to files, whose changes DVC sees.",
            file=sys.stderr,
        )


def _find_link(root: Path, path: Path) -> Path | None:
    """Return the first part of a path, seen from the project folder, that is a link."""
    parts = [path, *path.parents][:-1]
    return next((part for part in reversed(parts) if (root / part).is_symlink()), None)


def _explain_absence(source: Source) -> UserError:
    """Say how to get a source that the program cannot fetch."""
    action = f"put (or link) the images at {source.path}"
    if source.store:
        action = f"put the archive at {RAW}/{source.store}.zip (or .7z, .tar, .tar.gz …)"
    reasons = {
        "gated": "needs an agreement",
        "manual": "has to be downloaded by hand",
        "local": "is local",
    }
    page = f"\n  page: {' '.join(source.url)}" if source.url else ""
    instructions = f"\n  {source.instructions}" if source.instructions else ""
    terms = f"\n  licence: {source.licence or 'unknown'}"
    if source.access == "local" and not source.licence:
        terms = ""  # the user's own images
    return UserError(
        f"`{source.name}` {reasons[source.access]} and is not here",
        location=source.location,
        hint=f"{action}{instructions}{page}{terms}",
    )


def _obtain_archive(source: Source, root: Path) -> None:
    """Find the file of a source in data/raw, or fetch it. Verify and unpack it."""
    store = source.store
    assert store is not None
    folder = root / FETCHED / store
    recorded = read_checksums(root).get(store)
    digest = source.sha256 or (recorded.sha256 if recorded else None)
    stamp = _read_stamp(folder / STAMP)
    if not stamp or digest not in (None, stamp["sha256"]):
        _check_replaceable(folder, STAMP, root)
        if brought := _find_brought(store, root):
            stamp = _unpack_brought(brought, folder, source, digest)
        elif source.access == "url":
            size = recorded.bytes if recorded and recorded.sha256 == digest else None
            stamp = _unpack_fetched(root / WORK / store, folder, source, digest, size)
        else:
            raise _explain_absence(source)
    if not recorded or recorded.sha256 != stamp["sha256"]:
        record_checksum(root, Checksum(name=store, **stamp))
    if not (root / source.path).is_dir():
        inside = [p.relative_to(root).as_posix() for p in folder.rglob("*") if p.is_dir()]
        raise UserError(
            f"the archive of `{source.name}` has no folder `{source.path}`",
            location=f"{source.location}: path",
            hint=suggest_name(source.path, sorted(inside)[:40] or [f"{FETCHED}/{store}"]),
        )


def _check_replaceable(folder: Path, stamp: str, root: Path) -> None:
    """Raise UserError if a folder of data/fetched holds files that this program did not make.

    The program marks its own folders with a stamp. Only such a folder may be replaced.
    """
    if folder.is_symlink():
        what = "is a link, which this program did not make"
    elif (folder / stamp).exists() or not any(not path.is_dir() for path in folder.rglob("*")):
        return
    else:
        what = f"holds files and no `{stamp}`: it was made by hand, or `dvc pull` broke off"
    raise UserError(
        what,
        location=folder.relative_to(root),
        hint=f"run `dvc pull` again, or move it to {RAW} and make the source `local`. It stays as "
        "it is",
    )


def _find_brought(store: str, root: Path) -> Path | None:
    """Return the archive that the user put into data/raw, or None."""
    files = (root / RAW / f"{store}{ending}" for ending in ENDINGS)
    return next((file for file in files if file.is_file()), None)


def _unpack_brought(file: Path, folder: Path, source: Source, digest: str | None) -> dict[str, Any]:
    """Verify and unpack an archive that the user put into data/raw. It is only read."""
    before = _read_state(file)
    found = sha256_file(file)
    if digest not in (None, found):
        raise UserError(
            f"{file.name} is not the archive of `{source.name}`: its sha256 is {found}, not "
            f"{digest}",
            location=source.location,
            hint=f"get it again. If it has a new version, correct sha256 or {CHECKSUMS}",
        )
    stamp = {"file": file.name, "sha256": found, "bytes": before[0]}
    with replacing_folder(folder) as beside:
        _fill_folder(file, beside)
        if _read_state(file) != before:
            raise UserError(
                "has changed while it was read", location=file, hint="wait until it is copied"
            )
        write_json(beside / STAMP, stamp)
    return stamp


def _read_state(file: Path) -> tuple[int, int]:
    """Return the size of a file and the time of its last change."""
    state = file.stat()
    return state.st_size, state.st_mtime_ns


def _unpack_fetched(
    work: Path, folder: Path, source: Source, digest: str | None, size: int | None
) -> dict[str, Any]:
    """Fetch the file of a source into the folder `work`, verify and unpack it, and remove `work`.

    `work` is a folder of the program's own, in which only fetched files lie.
    """
    file = work / _make_file_name(source)
    try:
        fetched = fetch_file(source.url, file, sha256=digest, size=size)
    except FetchError as error:
        raise UserError(
            f"`{source.name}` {error.what}",
            location=source.location,
            hint=f"add a mirror to the column `url`, or put the file at {RAW}/{source.store}.zip "
            "(or .7z, .tar, .tar.gz …). If it has a new version, correct its sha256 in the "
            f"catalogue or remove its row of {CHECKSUMS}\n  {source.instructions}",
        ) from None
    stamp = {"file": file.name, "sha256": fetched.sha256, "bytes": fetched.bytes}
    with replacing_folder(folder) as beside:
        try:
            _fill_folder(file, beside)
        except UserError as error:
            raise UserError(
                f"the file fetched for `{source.name}` {error.what}",
                location=source.location,
                hint=f"look at the address with a browser, and at {error.location}. If you get the "
                f"right file otherwise, put it at {RAW}/{source.store}.zip",
            ) from error
        write_json(beside / STAMP, stamp)
    shutil.rmtree(work)
    return stamp


def _fill_folder(file: Path, folder: Path) -> None:
    """Unpack an archive, or copy a single image. The file itself is only read."""
    if detect_kind(file) is None and file.name.lower().endswith(EXTENSIONS):
        shutil.copyfile(file, folder / file.name)
    else:
        unpack_archive(file, folder)


def _make_file_name(source: Source) -> str:
    """Return a harmless file name for the file at the first address of a source."""
    last = urlsplit(source.url[0]).path.rsplit("/", 1)[-1]
    return re.sub(r"[^A-Za-z0-9._-]", "_", last).lstrip(".") or source.name


def _is_complete(source: Source, root: Path) -> bool:
    """Return whether the folder of data/fetched that holds a source is complete."""
    return source.store is not None and bool(_read_stamp(root / FETCHED / source.store / STAMP))


def _read_stamp(path: Path) -> dict[str, Any]:
    """Return the origin of a complete folder of data/fetched, or {} if it is not complete."""
    try:
        stamp = read_json(path)
    except UserError:
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _draw_source(source: Source, phantom: Phantom, root: Path) -> None:
    """Draw a source of phantoms, unless it was drawn with the same parameters and code."""
    from cyborg.phantom.draw import fill_with_phantoms

    wanted = {
        "source": [source.name, source.label, source.generator, source.role, source.count],
        "phantom": phantom.model_dump(mode="json"),
        "code": hash_code(["cyborg.phantom.draw"]),
    }
    folder = root / source.path
    if _read_stamp(folder / PHANTOM_STAMP) != wanted:
        _check_replaceable(folder, PHANTOM_STAMP, root)
        with replacing_folder(folder) as beside:
            fill_with_phantoms(source, phantom, beside)
            write_json(beside / PHANTOM_STAMP, wanted)


def _check_count(source: Source, root: Path, classes: Sequence[str]) -> None:
    """Compare the number of images with the catalogue's. Only local sources may differ."""
    count = len(list_members(source, root, classes))
    if source.count in (None, count):
        return
    what = f"`{source.name}` has {count} images, the catalogue says {source.count}"
    if source.access == "local":
        print(f"note: {what}", file=sys.stderr)
        return
    raise UserError(
        what,
        location=f"{source.location}: count",
        hint=f"look for files that are missing in {source.path} or do not belong there. If the "
        "source has changed, correct the count",
    )
