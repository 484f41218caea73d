"""Unpack archives made by strangers: only plain files and folders, only below the target."""

from __future__ import annotations

import errno
import re
import shutil
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Literal, Self, TypeVar

import py7zr
from tqdm import tqdm

from cyborg.common.errors import UserError
from cyborg.common.files import describe_write_error

TarMode = Literal["r:", "r:gz", "r:bz2", "r:xz"]
Entry = TypeVar("Entry")

ENDINGS = (
    ".zip", ".7z", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz",
)  # fmt: skip
# Bytes read and written at a time.
BLOCK = 1 << 20
# Images hardly shrink. An archive that grows by more than this factor is a bomb, or broken.
RATIO = 100
# Archives may always grow to this many bytes.
SMALL = 64 << 20
# Files and folders that an archive may hold.
FILES = 10_000_000
# Bytes of a tar archive's extended header, which holds a long name. It is read as a whole.
EXTENDED_HEADER = 1 << 20
EXTENDED_HEADERS = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip
# Methods of zip archives that Python's zipfile can unpack.
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
ZIP_METHOD_NAMES = {9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
# Bits of a zip entry's flags.
ENCRYPTED, UTF8 = 0x1, 0x800

# First bytes of compressed files, which are taken for compressed tar archives, and the mode in
# which tarfile opens them.
COMPRESSED: dict[bytes, TarMode] = {b"\x1f\x8b": "r:gz", b"BZh": "r:bz2", b"\xfd7zXZ\0": "r:xz"}
BY_HAND = "unpack it by hand into data/raw and make the source `local`"
GET_AGAIN = "wait until it is copied completely, or get it again. It stays as it is"


def detect_kind(path: Path) -> str | None:
    """Return `zip`, `tar` or `7z`, told by the content of the file. None is no such archive."""
    if zipfile.is_zipfile(path):
        return "zip"
    if py7zr.is_7zfile(path):
        return "7z"
    # tarfile decompresses before it answers, and fails if such a file is cut short.
    if _read_head(path).startswith(tuple(COMPRESSED)):
        return "tar"
    return "tar" if tarfile.is_tarfile(path) else None


def unpack_archive(archive: Path, folder: Path, *, limit: int | None = None) -> None:
    """Unpack a zip, tar (gz, bz2, xz) or 7z archive into an existing folder.

    The archive is only read. Files get the usual rights, no times and no owner.

    limit: bytes that the files may have together. The default is a hundred times the archive, at
    least 64 MiB.

    Raises UserError, and leaves the folder half filled (see `replacing_folder`), if the archive
    - is damaged, cut short, encrypted, empty, one of several parts, or no archive,
    - uses a method or an encoding of names that is not supported,
    - holds an absolute path, `..`, a link, a device, a file without a name, or a file twice,
    - grows beyond the limit, or does not fit on the disk.
    """
    if limit is None:
        limit = max(SMALL, RATIO * archive.stat().st_size)
    unpackers = {"zip": _unpack_zip, "tar": _unpack_tar, "7z": _unpack_7z}
    unpacker = unpackers.get(detect_kind(archive) or "")
    if unpacker is None:
        raise _explain_no_archive(archive)
    try:
        unpacker(archive, folder, limit)
    except UserError:
        raise
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        inside = Path(error.filename or "").name
        raise UserError(f"holds `{inside}` twice", location=archive, hint=BY_HAND) from None
    except EOFError:
        raise UserError("is cut short", location=archive, hint=GET_AGAIN) from None
    except OSError as error:
        if error.errno is None:  # bz2 and gzip say so of damaged data
            raise _explain_damage(archive, str(error)) from None
        if error.errno in (errno.ENAMETOOLONG, errno.EILSEQ):
            raise UserError(
                "holds a file name that this file system does not allow: "
                f"{error.strerror or error}",
                location=archive,
                hint=BY_HAND,
            ) from None
        raise describe_write_error(folder, error) from error
    # The libraries answer a damaged archive with many kinds of errors (struct, index, value …).
    except Exception as error:
        lines = str(error).splitlines() if len(error.args) == 1 else []
        raise _explain_damage(archive, lines[0] if lines else type(error).__name__) from None
    if not any(path.is_file() for path in folder.rglob("*")):
        raise UserError("holds no files", location=archive, hint="get the right archive")


def _read_head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1024)


def _explain_no_archive(path: Path) -> UserError:
    """Describe a file that should be an archive. The file itself is left alone."""
    head = _read_head(path)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not head:
        return UserError("is empty", location=path, hint=GET_AGAIN)
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml", b"<!--")):
        return UserError(
            "is a web page and not an archive",
            location=path,
            hint="open it in a browser: it often asks for a login or a consent. Then download "
            "the archive itself",
        )
    if head.startswith(b"Rar!"):
        return UserError("is a RAR archive, which cannot be read", location=path, hint=BY_HAND)
    if head.startswith(b"PK\x07\x08"):
        return _explain_part(path)
    if head.startswith(b"PK"):
        return UserError(
            "is a zip archive without its end: it is cut short or still being copied",
            location=path,
            hint=GET_AGAIN,
        )
    return UserError(
        "is neither an archive (zip, tar, 7z) nor an image",
        location=path,
        hint="get the right file",
    )


def _explain_part(path: Path) -> UserError:
    return UserError(
        "is one part of an archive in several parts",
        location=path,
        hint="join the parts (`zip -s 0 x.zip --out joined.zip`) and bring the joined archive, "
        f"or {BY_HAND}",
    )


def _explain_damage(archive: Path, reason: str) -> UserError:
    return UserError(f"is damaged or cut short: {reason}", location=archive, hint=GET_AGAIN)


def _unpack_zip(archive: Path, folder: Path, limit: int) -> None:
    if _is_split(archive):
        raise _explain_part(archive)
    with zipfile.ZipFile(archive) as opened:
        entries = opened.infolist()
        _check_size(archive, folder, len(entries), sum(e.file_size for e in entries), limit)
        for entry in _show_progress(entries, archive):
            if entry.flag_bits & ENCRYPTED:
                raise UserError("is encrypted", location=archive, hint=BY_HAND)
            if entry.compress_type not in ZIP_METHODS:
                number = entry.compress_type
                raise UserError(
                    f"is compressed with method {ZIP_METHOD_NAMES.get(number, number)}, which is "
                    "not supported",
                    location=archive,
                    hint=BY_HAND,
                )
            if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refuse_special(archive, entry.filename)
            name = _decode_zip_name(archive, entry)
            is_folder = name.endswith("/")
            target = _find_target(archive, folder, name, is_folder=is_folder)
            if is_folder:
                target.mkdir(parents=True, exist_ok=True)
                continue
            with opened.open(entry) as stream:
                _write_file(stream, target)


def _is_split(archive: Path) -> bool:
    """Return whether a zip archive says of itself that it continues another file."""
    # The end record is 22 bytes long. A comment of up to 65,535 bytes may follow it.
    with archive.open("rb") as file:
        file.seek(max(0, archive.stat().st_size - 22 - 65_535))
        tail = file.read()
    record = tail[tail.rfind(b"PK\x05\x06") :]
    disk, first_disk = struct.unpack_from("<HH", record, 4) if len(record) >= 22 else (0, 0)
    # 65,535 refers to the 64-bit record, whose archives zipfile reads or refuses by itself.
    return any(number not in (0, 0xFFFF) for number in (disk, first_disk))


def _decode_zip_name(archive: Path, entry: zipfile.ZipInfo) -> str:
    """Return the name of an entry.

    A name that is neither ASCII nor marked as UTF-8 was read as code page 437. Some programs leave
    out the mark. Other names are in an encoding that the archive does not tell, such as GBK.
    """
    name = entry.filename
    if name.isascii() or entry.flag_bits & UTF8:
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        raise UserError(
            f"holds the file name `{name}` in an unknown encoding, perhaps GBK or Shift-JIS",
            location=archive,
            hint="unpack it by hand with the right encoding (`unzip -O GBK`) into data/raw and "
            "make the source `local`",
        ) from None


class _CheckedHeader(tarfile.TarInfo):
    """A header of a tar archive that is refused, and not skipped, if it is damaged or huge.

    Without this class, tarfile takes a damaged header for the end of the archive, and reads an
    extended header of any length into memory.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        if len(buf) != tarfile.BLOCKSIZE:
            raise tarfile.ReadError("the end mark is missing")
        # A block of zeros is the end mark. tarfile handles it.
        if any(buf):
            try:
                header = super().frombuf(buf, encoding, errors)
            except tarfile.HeaderError as error:
                raise tarfile.ReadError(str(error)) from None
            if header.type in EXTENDED_HEADERS and header.size > EXTENDED_HEADER:
                raise tarfile.ReadError(f"a name or header of {header.size} bytes")
            return header
        return super().frombuf(buf, encoding, errors)


def _unpack_tar(archive: Path, folder: Path, limit: int) -> None:
    head = _read_head(archive)
    mode: TarMode = next((mode for mark, mode in COMPRESSED.items() if head.startswith(mark)), "r:")
    number = 0
    with (
        tarfile.open(archive, mode, tarinfo=_CheckedHeader) as opened,
        tqdm(desc=f"unpack {archive.name}", unit="file", disable=None) as bar,
    ):
        while (entry := opened.next()) is not None:
            # tarfile keeps every header it has read. Millions of them would fill the memory.
            opened.members.clear()  # type: ignore[attr-defined]
            number += 1
            bar.update()
            # The offset counts headers, too: an archive of empty files is not for free.
            total = max(opened.offset, entry.offset_data + entry.size)
            _check_size(archive, folder, number, total, limit, left=entry.size)
            if not (entry.isreg() or entry.isdir()):
                raise _refuse_special(archive, entry.name)
            target = _find_target(archive, folder, entry.name, is_folder=entry.isdir())
            if target.exists() and not (entry.isdir() and target.is_dir()):
                raise FileExistsError(errno.EEXIST, "exists", str(target))
            inside = entry.replace(name=target.relative_to(folder).as_posix(), deep=False)
            # The filter is a second wall behind `_find_target`.
            opened.extract(inside, folder, set_attrs=False, filter="data")
        _check_rest(opened, archive, folder, limit)


def _check_rest(opened: tarfile.TarFile, archive: Path, folder: Path, limit: int) -> None:
    """Read a tar archive to its end, so that the checksum of a compressed file is compared.

    Raises UserError if anything but zeros follows the end mark: files would be left out.
    """
    total = opened.offset
    assert opened.fileobj is not None
    while block := opened.fileobj.read(BLOCK):
        total += len(block)
        _check_size(archive, folder, 0, total, limit, left=0)
        if block.count(0) != len(block):
            raise UserError("holds data after its end mark", location=archive, hint=BY_HAND)


def _unpack_7z(archive: Path, folder: Path, limit: int) -> None:
    with py7zr.SevenZipFile(archive) as opened:
        if opened.needs_password():
            raise UserError("is encrypted", location=archive, hint=BY_HAND)
        entries = opened.list()
        _check_size(archive, folder, len(entries), sum(e.uncompressed for e in entries), limit)
        names = set()
        for entry in entries:
            if not (entry.is_file or entry.is_directory) or entry.is_symlink:
                raise _refuse_special(archive, entry.filename)
            is_folder = entry.is_directory
            target = _find_target(archive, folder, entry.filename, is_folder=is_folder)
            if target in names:
                raise UserError(f"holds `{entry.filename}` twice", location=archive, hint=BY_HAND)
            names.add(target)
        opened.extractall(folder)
    for path in folder.rglob("*"):
        # The listing does not show every kind of entry.
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise _refuse_special(archive, path.name)
        path.chmod(0o755 if path.is_dir() else 0o644)


def _show_progress(entries: Iterable[Entry], archive: Path) -> Iterator[Entry]:
    yield from tqdm(entries, desc=f"unpack {archive.name}", unit="file", disable=None)


def _find_target(archive: Path, folder: Path, name: str, *, is_folder: bool = False) -> Path:
    """Return the path below `folder` at which an entry is written.

    Raises UserError if the name leads out of the folder, is no name of a file, or is not UTF-8.
    """
    text = name.replace("\\", "/")
    path = PurePosixPath(text)
    if text.startswith("/") or re.match(r"[A-Za-z]:", text) or ".." in path.parts or "\0" in text:
        raise UserError(
            f"holds `{name}`, which would be written outside of its folder",
            location=archive,
            hint="do not use this archive: such names are made to do harm, or by mistake",
        )
    if not path.parts and not is_folder:
        raise UserError(
            f"holds a file without a name (`{name}`)", location=archive, hint="get a right archive"
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"holds the file name {name!a}, which is not UTF-8", location=archive, hint=BY_HAND
        ) from None
    return folder / path


def _refuse_special(archive: Path, name: str) -> UserError:
    return UserError(
        f"holds `{name}`, which is a link or a device",
        location=archive,
        hint=f"if you trust it, {BY_HAND}",
    )


def _check_size(
    archive: Path, folder: Path, files: int, total: int, limit: int, left: int | None = None
) -> None:
    """Raise UserError if there are too many files, or more bytes than the limit or the disk allows.

    left: bytes that are still to be written, `total` by default.
    """
    if total > limit or files > FILES:
        raise UserError(
            f"grows to {files} files of {total} bytes. At most {limit} bytes are unpacked",
            location=archive,
            hint=f"if you trust it, {BY_HAND}",
        )
    free = shutil.disk_usage(folder).free
    if (total if left is None else left) > free:
        raise UserError(
            f"needs {total} bytes, and the disk has {free} left",
            location=archive,
            hint="free some space",
        )


def _write_file(stream: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "xb") as file:
        shutil.copyfileobj(stream, file, BLOCK)
