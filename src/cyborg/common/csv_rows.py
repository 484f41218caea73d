"""Read CSV files so that every message can name the file, the row and the column.

All CSV files that a user may write or bring are read here: the catalogue, lists of images, pairs,
weights, checksums and annotation tables.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cyborg.common.errors import UserError, UserErrors
from cyborg.common.registry import suggest_name

# The largest CSV file that is read, in bytes. A larger one is refused before it fills the memory.
MAX_BYTES = 512 * 2**20


@dataclass(frozen=True)
class CsvRow:
    """One row of a CSV file: its cells without surrounding blanks, and the line it begins in."""

    file: str
    line: int
    cells: list[str]

    @property
    def location(self) -> str:
        """Return `file:line`, as messages name the row.

        >>> CsvRow("data/sources.csv", 3, ["a"]).location
        'data/sources.csv:3'
        """
        return f"{self.file}:{self.line}"

    def by_column(self, columns: Sequence[str]) -> dict[str, str]:
        """Return the cells by the names of their columns.

        Raises UserError unless the row has exactly one cell per column.

        >>> CsvRow("w.csv", 2, ["a.png", "1.5"]).by_column(["image", "sample_weight"])
        {'image': 'a.png', 'sample_weight': '1.5'}
        """
        if len(self.cells) != len(columns):
            hint = "columns that stay empty keep their comma"
            if len(self.cells) > len(columns):
                hint = "put text that contains a comma between double quotes"
            raise UserError(
                f"has {len(self.cells)} cells, not {len(columns)}",
                location=self.location,
                hint=hint,
            )
        return dict(zip(columns, self.cells, strict=True))


@dataclass(frozen=True)
class CsvTable:
    """The header of a CSV file, and its other rows as an iterator that reads on demand."""

    header: CsvRow
    rows: Iterator[CsvRow]


def read_csv_rows(path: Path, file: str | None = None, delimiters: str = ",") -> Iterator[CsvRow]:
    """Yield every row of a CSV file that holds more than blanks, the header included.

    The file is UTF-8 with or without a byte order mark. Its lines end in LF, CRLF or CR.

    file: the name of the file in messages, `path` by default.
    delimiters: the characters that may separate cells. The one that the first line has most of
    is used.

    Raises UserError if the file is missing, unreadable, larger than MAX_BYTES, not UTF-8 or not
    valid CSV.
    """
    file = file or str(path)
    yield from parse_csv_rows(_read_text(path, file), file, delimiters)


def parse_csv_rows(text: str, file: str, delimiters: str = ",") -> Iterator[CsvRow]:
    r"""Yield every row of a CSV text that holds more than blanks, the header included.

    Parameters are those of `read_csv_rows`. Raises UserError if the text is not valid CSV.

    >>> [row.cells for row in parse_csv_rows("a;b\n\n1; 2\n", "x.csv", ",;")]
    [['a', 'b'], ['1', '2']]
    """
    # A cell may hold a whole picture as a data URL. The limit of the csv module is 128 KiB.
    csv.field_size_limit(MAX_BYTES)
    stream = io.StringIO(text, newline="")
    delimiter = max(delimiters, key=stream.readline().count)
    stream.seek(0)
    # Strict: a quotation mark that is never closed would swallow all the rows that follow it.
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    try:
        while True:
            line = reader.line_num + 1
            cells = next(reader, None)
            if cells is None:
                return
            cells = [cell.strip() for cell in cells]
            if any(cells):
                yield CsvRow(file, line, cells)
    except csv.Error as error:
        raise UserError(
            f"is not valid CSV: {error}", location=f"{file}:{reader.line_num}"
        ) from None


def read_csv_table(path: Path, file: str | None = None, delimiters: str = ",") -> CsvTable:
    """Read the header of a CSV file. The rows below it are read on demand.

    A file without rows has an empty header. Parameters and errors are those of `read_csv_rows`.
    """
    rows = read_csv_rows(path, file, delimiters)
    header = next(rows, CsvRow(file or str(path), 1, []))
    return CsvTable(header, rows)


def check_columns(
    header: CsvRow,
    required: Sequence[str],
    known: Sequence[str] | None = None,
    hint_if_missing: Callable[[str], str] | None = None,
) -> None:
    """Check that a header has all required columns, each once, and no unknown column.

    known: the columns that may occur. By default there may be any others.
    hint_if_missing: advice about a missing column. By default the hint is the nearest
    name in the header.

    Raises UserErrors with every mistake of the header.
    """

    def name_nearest(column: str) -> str:
        return suggest_name(column, [cell for cell in header.cells if cell])

    hint_if_missing = hint_if_missing or name_nearest
    mistakes = [
        UserError(
            f"`{column}` is not a column",
            location=header.location,
            hint=suggest_name(column, list(known)),
        )
        for column in header.cells
        if known is not None and column not in known
    ]
    mistakes += [
        UserError(
            f"column `{column}` is missing", location=header.location, hint=hint_if_missing(column)
        )
        for column in required
        if column not in header.cells
    ]
    mistakes += find_duplicate_columns(header, known or required)
    if mistakes:
        raise UserErrors(mistakes)


def find_duplicate_columns(header: CsvRow, columns: Sequence[str]) -> list[UserError]:
    """Return one mistake for each of `columns` that occurs more than once in the header."""
    return [
        UserError(
            f"duplicate column `{column}`",
            location=header.location,
            hint="rename or remove one of the two columns",
        )
        for column in dict.fromkeys(columns)
        if header.cells.count(column) > 1
    ]


def check_exact_header(header: CsvRow, columns: Sequence[str]) -> None:
    """Raise UserError unless a header consists of exactly these columns in this order."""
    if header.cells != list(columns):
        raise UserError(
            f"the header is `{','.join(header.cells)}`",
            location=f"{header.file}:1",
            hint=f"expected: `{','.join(columns)}`",
        )


def _read_text(path: Path, file: str) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UserError(
                f"has {size} bytes. CSV files of up to {MAX_BYTES} bytes are read",
                location=file,
                hint="split it into several files",
            )
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError("there is no such file", location=file) from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"is not UTF-8 text: byte {error.start} is wrong",
            location=file,
            hint="save it as UTF-8",
        ) from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror or error}", location=file) from None
