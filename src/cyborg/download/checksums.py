"""Read and write data/checksums.csv, which holds the checksum of every downloaded file.

A checksum is recorded at the first download. Later downloads must have the same.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from cyborg.common.csv_rows import check_exact_header, read_csv_table
from cyborg.common.errors import UserError
from cyborg.common.files import write_text

CHECKSUMS = Path("data/checksums.csv")
COLUMNS = ["name", "file", "sha256", "bytes"]


@dataclass(frozen=True)
class Checksum:
    """A downloaded file: its folder below data/fetched, file name, sha256 and size in bytes."""

    name: str
    file: str
    sha256: str
    bytes: int


def read_checksums(root: Path) -> dict[str, Checksum]:
    """Return the recorded checksums by name, none if the file does not exist yet.

    Raises UserError (file:row) if a row is not as `record_checksum` writes it.
    """
    path = root / CHECKSUMS
    if not path.exists():
        return {}
    found: dict[str, Checksum] = {}
    table = read_csv_table(path, str(CHECKSUMS))
    check_exact_header(table.header, COLUMNS)
    for row in table.rows:
        cells = row.by_column(COLUMNS)
        if not cells["bytes"].isdecimal() or not re.fullmatch("[0-9a-f]{64}", cells["sha256"]):
            raise UserError(
                "does not hold name, file, sha256 and bytes",
                location=row.location,
                hint="remove the row. The next download writes it again",
            )
        name = cells["name"]
        if name in found:
            raise UserError(
                f"duplicate `{name}`", location=row.location, hint="remove one of the rows"
            )
        found[name] = Checksum(name, cells["file"], cells["sha256"], int(cells["bytes"]))
    return found


def record_checksum(root: Path, entry: Checksum) -> None:
    """Add one checksum, or replace the one of the same name."""
    known = read_checksums(root) | {entry.name: entry}
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(known[name]) for name in sorted(known))
    write_text(root / CHECKSUMS, text.getvalue())
