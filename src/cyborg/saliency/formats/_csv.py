"""CSV tables with a place for every row, so that messages name file and line."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cyborg.common.errors import UserError
from cyborg.saliency.formats import _limits


def rows(
    path: Path, fits: Callable[[frozenset[str]], bool], called: str
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (place, row) for each row after the header, keys without `#`, blanks and capitals.

    fits: whether the columns are those of the table that is expected, `called` so in messages.
    Commas, semicolons or tabs separate; whichever the header has most of. Raises UserError where
    the file is not UTF-8, has other columns, a column twice, or a row of another length.
    """
    try:
        text = _limits.read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"is not UTF-8 (byte {error.start})", where=path, hint="save it as UTF-8"
        ) from None
    header = header_of(text)
    if not fits(frozenset(header)):
        raise UserError(
            f"has not the columns of {called}: {_limits.show(', '.join(header))}", where=f"{path}:1"
        )
    for name in header:
        if header.count(name) > 1:
            raise UserError(f"the column `{_limits.show(name)}` is there twice", where=f"{path}:1")
    reader = _reader(text)
    try:
        next(reader, None)
        for row in reader:
            if not row:
                continue
            where = f"{path}:{reader.line_num}"
            if len(row) != len(header):
                raise UserError(f"has {len(row)} values for {len(header)} columns", where=where)
            yield where, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise UserError(f"is not valid CSV: {error}", where=f"{path}:{reader.line_num}") from None


def header_of(text: str) -> list[str]:
    """Names of the columns, in small letters, without `#` and blanks; [] where there is no text."""
    try:
        row: list[str] = next(_reader(text), [])
    except csv.Error:
        return []
    return [cell.strip().lstrip("#").strip().lower() for cell in row]


def sketch(head: bytes) -> frozenset[str]:
    """Names of the columns of a CSV file, from its first bytes; empty where it is none."""
    if not head or b"\0" in head[:1024] or head.lstrip()[:1] in (b"{", b"[", b"<"):
        return frozenset()
    first = head.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0][:8192]
    try:
        return frozenset(header_of(first.decode("utf-8")))
    except UnicodeDecodeError:
        return frozenset()


def need(row: dict[str, str], where: str, *names: str) -> str:
    """The value of the first of the columns that is there; UserError where none is."""
    for name in names:
        if name in row:
            return row[name]
    raise UserError(f"there is no column `{names[0]}`", where=where)


def _reader(text: str) -> Any:
    # Cells may hold whole pictures as data URLs; the csv module's own limit is 128 KiB.
    csv.field_size_limit(_limits.MAX_BYTES)
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator)
