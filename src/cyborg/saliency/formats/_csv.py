"""Read annotation tables in CSV. Every row has a location, so that messages name file and line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from cyborg.common.csv_rows import CsvRow, find_duplicate_columns, parse_csv_rows, read_csv_table
from cyborg.common.errors import UserError
from cyborg.saliency.formats import _limits

DELIMITERS = ",;\t"


def read_rows(
    path: Path, fits: Callable[[frozenset[str]], bool], called: str
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (location, row) for each row after the header.

    The keys of a row are the names of the columns in small letters, without `#` and blanks.
    Commas, semicolons or tabs separate the cells: the one that the header holds most of.

    fits: tells whether the columns are those of the expected table.
    called: what messages call that table.

    Raises UserError if the file is not UTF-8, has other columns or a duplicate column, or if a row
    is longer or shorter than the header.
    """
    table = read_csv_table(path, delimiters=DELIMITERS)
    header = _normalise(table.header)
    if not fits(frozenset(header)):
        raise UserError(
            f"does not have the columns of {called}: {_limits.quote_value(', '.join(header))}",
            location=table.header.location,
        )
    if duplicates := find_duplicate_columns(replace(table.header, cells=header), header):
        raise duplicates[0]
    for row in table.rows:
        yield row.location, row.by_column(header)


def _normalise(header: CsvRow) -> list[str]:
    """Return the names of the columns in small letters, without `#` and blanks."""
    return [cell.lstrip("#").strip().lower() for cell in header.cells]


def sketch_columns(head: bytes) -> frozenset[str]:
    """Return the columns of a CSV file from its first bytes. Empty if it is not CSV."""
    if not head or b"\0" in head[:1024] or head.lstrip()[:1] in (b"{", b"[", b"<"):
        return frozenset()
    first = head.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0][:8192]
    try:
        header = next(parse_csv_rows(first.decode("utf-8"), "", DELIMITERS), None)
    except (UnicodeDecodeError, UserError):
        return frozenset()
    return frozenset(_normalise(header)) if header else frozenset()


def require_cell(row: dict[str, str], location: str, *names: str) -> str:
    """Return the cell of the first of the columns that the table has, or raise UserError."""
    for name in names:
        if name in row:
            return row[name]
    raise UserError(f"there is no column `{names[0]}`", location=location)
