"""Write files and folders that are either complete or absent: write beside, sync, rename."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyborg.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def replacing_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write. On success, rename it to `path`.

    After an error the temporary file is gone, and an earlier file at `path` is as it was. Raises
    UserError if the disk is full or the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix
        )
        os.close(handle)
    except OSError as error:
        raise describe_write_error(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files that only their owner may read. Give the usual rights.
        temporary.chmod(0o666 & ~_read_umask())
        sync_to_disk(temporary)
        temporary.replace(path)
        sync_to_disk(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise describe_write_error(path, error) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def replacing_folder(folder: str | Path) -> Iterator[Path]:
    """Give an empty folder beside `folder` to fill. On success, rename it to `folder`.

    After an error the new folder is gone, and an earlier `folder` is as it was. If the process is
    killed, the next call cleans up. Raises UserError if the disk is full or the parent cannot be
    written.
    """
    folder = Path(folder)
    new, old = (folder.with_name(f".{folder.name}.{end}") for end in ("new", "old"))
    try:
        if old.exists() and not folder.exists():  # killed between the two renames below
            old.rename(folder)
        for leftover in (new, old):
            if leftover.exists():
                shutil.rmtree(leftover)
        new.mkdir(parents=True)
        yield new
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise describe_write_error(folder, error) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def describe_write_error(path: Path, error: OSError) -> UserError:
    """Return the UserError for an operating-system error that occurred while writing `path`."""
    if error.errno == errno.ENAMETOOLONG:
        return UserError(
            f"has a name of {len(os.fsencode(path.name))} bytes, too long for this file system",
            location=path.parent / f"{path.name[:40]}…",
            hint="choose a name of at most 200 bytes",
        )
    return UserError(
        f"cannot be written: {error.strerror or error}",
        location=path,
        hint="free some space or make the folder writable, then run the same command again. "
        "Earlier results are intact",
    )


def sync_to_disk(path: Path) -> None:
    """Force the content of a file, or the entries of a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically (UTF-8, newline `\\n`)."""
    with replacing_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically: sorted keys, two spaces, no NaN."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write a Parquet table atomically, without its row labels."""
    with replacing_file(path) as temporary:
        table.to_parquet(temporary, index=False)


def read_json(path: str | Path) -> Any:
    """Read a JSON file. Raises UserError, with the path, if it is missing or broken."""
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError("there is no such file", location=path) from error
    # ValueError: broken JSON, broken UTF-8, or a number of thousands of digits.
    except (ValueError, RecursionError) as error:
        raise UserError(f"is not valid JSON: {error}", location=path) from error


def encode_canonically(value: Any) -> bytes:
    """Encode a JSON value as bytes that depend on the value only: sorted keys, no blanks, no NaN.

    >>> encode_canonically({"b": 1, "a": [True, None]})
    b'{"a":[true,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sha256_bytes(data: bytes) -> str:
    """Return the hexadecimal sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: str | Path) -> str:
    """Return the hexadecimal sha256 of a file's content."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _read_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
