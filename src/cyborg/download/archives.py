"""Unpack archives that strangers made: only plain files and folders, only below the target."""

from __future__ import annotations

import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, TypeVar

import py7zr
from py7zr.exceptions import ArchiveError
from tqdm import tqdm

from cyborg.common.errors import UserError
from cyborg.common.files import describe_write_error

ENDINGS = (
    ".zip", ".7z", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz",
)  # fmt: skip
BLOCK = 1 << 20
RATIO = 100
"""Images hardly shrink: an archive that grows more than this is a bomb, or broken."""
SMALL = 64 << 20
"""Archives may always grow to this many bytes."""
FILES = 10_000_000
Entry = TypeVar("Entry")


def kind(path: Path) -> str | None:
    """`zip`, `tar` or `7z` by content; None where it is no archive."""
    if zipfile.is_zipfile(path):
        return "zip"
    if py7zr.is_7zfile(path):
        return "7z"
    return "tar" if tarfile.is_tarfile(path) else None


def unpack(archive: Path, folder: Path, *, limit: int | None = None) -> None:
    """Unpack a zip, tar (gz, bz2, xz) or 7z archive into an existing folder.

    limit: bytes that the files may have together; None is a hundred times the archive, at least
    64 MiB. Files get the usual rights, no times and no owner.

    Raises UserError, leaving the folder half filled (see `replacing_folder`), where the archive is
    broken, encrypted or no archive, holds an absolute path, `..`, a link, a device or a file
    twice, grows beyond the limit, or does not fit on the disk.
    """
    if limit is None:
        limit = max(SMALL, RATIO * archive.stat().st_size)
    unpackers = {"zip": _zip, "tar": _tar, "7z": _seven}
    unpacker = unpackers.get(kind(archive) or "")
    if unpacker is None:
        raise UserError("is neither a zip nor a tar nor a 7z archive", where=archive)
    try:
        unpacker(archive, folder, limit)
    except (
        zipfile.BadZipFile, tarfile.TarError, ArchiveError, lzma.LZMAError, zlib.error, EOFError,
        RuntimeError,  # zipfile, where it does not know the method
    ) as error:  # fmt: skip
        raise UserError(
            f"cannot be unpacked: {error or type(error).__name__}",
            where=archive,
            hint="the file is broken or of an unknown method; delete it and get it again",
        ) from None
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        inside = Path(error.filename or "").name
        raise UserError(f"holds `{inside}` twice", where=archive) from None
    except OSError as error:
        if error.errno is None:  # bz2 says so of broken data
            raise UserError(f"cannot be unpacked: {error}", where=archive) from None
        raise describe_write_error(folder, error) from error


def _zip(archive: Path, folder: Path, limit: int) -> None:
    with zipfile.ZipFile(archive) as opened:
        entries = opened.infolist()
        _fits(archive, folder, len(entries), sum(e.file_size for e in entries), limit)
        for entry in _shown(entries, archive):
            if entry.flag_bits & 1:
                raise UserError("is encrypted", where=archive, hint="unpack it by hand")
            if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _special(archive, entry.filename)
            target = _target(archive, folder, entry.filename)
            if entry.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            with opened.open(entry) as stream:
                _write(stream, target)


def _tar(archive: Path, folder: Path, limit: int) -> None:
    total = 0
    with tarfile.open(archive, "r:*") as opened:
        for number, entry in enumerate(_shown(opened, archive), start=1):
            total += entry.size
            _fits(archive, folder, number, total, limit, left=entry.size)
            if not (entry.isreg() or entry.isdir()):
                raise _special(archive, entry.name)
            target = _target(archive, folder, entry.name)
            if entry.isdir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            stream = opened.extractfile(entry)
            assert stream is not None  # it is a regular file
            _write(stream, target)
        # tarfile stops before the checksum at the end of a compressed file; read on to have it
        # compared.
        assert opened.fileobj is not None
        while block := opened.fileobj.read(BLOCK):
            total += len(block)
            _fits(archive, folder, 0, total, limit, left=0)


def _seven(archive: Path, folder: Path, limit: int) -> None:
    with py7zr.SevenZipFile(archive) as opened:
        if opened.needs_password():
            raise UserError("is encrypted", where=archive, hint="unpack it by hand")
        entries = opened.list()
        _fits(archive, folder, len(entries), sum(e.uncompressed for e in entries), limit)
        names = set()
        for entry in entries:
            if not (entry.is_file or entry.is_directory) or entry.is_symlink:
                raise _special(archive, entry.filename)
            target = _target(archive, folder, entry.filename)
            if target in names:
                raise UserError(f"holds `{entry.filename}` twice", where=archive)
            names.add(target)
        opened.extractall(folder)
    for path in folder.rglob("*"):
        # The listing does not show every kind of entry.
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise _special(archive, path.name)
        path.chmod(0o755 if path.is_dir() else 0o644)


def _shown(entries: Iterable[Entry], archive: Path) -> Iterator[Entry]:
    yield from tqdm(entries, desc=f"unpack {archive.name}", unit="file", disable=None)


def _target(archive: Path, folder: Path, name: str) -> Path:
    """Where an entry goes; refused where that is not below the folder."""
    text = name.replace("\\", "/")
    path = PurePosixPath(text)
    if text.startswith("/") or re.match(r"[A-Za-z]:", text) or ".." in path.parts or "\0" in text:
        raise UserError(
            f"holds `{name}`, which would be written outside of its folder",
            where=archive,
            hint="do not use this archive; such names are made to do harm, or by mistake",
        )
    return folder / path


def _special(archive: Path, name: str) -> UserError:
    return UserError(
        f"holds `{name}`, which is a link or a device",
        where=archive,
        hint="if you trust it, unpack it by hand into data/raw and make the source `local`",
    )


def _fits(
    archive: Path, folder: Path, files: int, total: int, limit: int, left: int | None = None
) -> None:
    """Refuse what is too much: bytes or files in all, or bytes still to write for the disk."""
    if total > limit or files > FILES:
        raise UserError(
            f"grows to {files} files of {total} bytes; at most {limit} bytes are unpacked",
            where=archive,
            hint="if you trust it, unpack it by hand into data/raw and make the source `local`",
        )
    free = shutil.disk_usage(folder).free
    if (total if left is None else left) > free:
        raise UserError(
            f"needs {total} bytes, the disk has {free}", where=archive, hint="free some space"
        )


def _write(stream: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "xb") as file:
        shutil.copyfileobj(stream, file, BLOCK)
