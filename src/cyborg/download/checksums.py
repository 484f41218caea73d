"""data/checksums.csv: the checksum of every file that was downloaded, recorded once and held."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from cyborg.common.csv_rows import check_exact_header, read_csv_table
from cyborg.common.errors import UserError
from cyborg.common.files import write_text

PATH = Path("data/checksums.csv")
COLUMNS = ["name", "file", "sha256", "bytes"]


@dataclass(frozen=True)
class Checksum:
    """A downloaded file: folder below data/fetched, file name, sha256, size in bytes."""

    name: str
    file: str
    sha256: str
    bytes: int


def read(root: Path) -> dict[str, Checksum]:
    """Recorded checksums by name; none where there is no file.

    Raises UserError (file:row) where the file is not as `write` leaves it.
    """
    path = root / PATH
    if not path.exists():
        return {}
    found: dict[str, Checksum] = {}
    table = read_csv_table(path, str(PATH))
    check_exact_header(table.header, COLUMNS)
    for row in table.rows:
        cells = row.by_column(COLUMNS)
        if not cells["bytes"].isdecimal() or not re.fullmatch("[0-9a-f]{64}", cells["sha256"]):
            raise UserError(
                "is not name,file,sha256,bytes",
                where=row.location,
                hint="delete the row: it is written again at the next download",
            )
        name = cells["name"]
        if name in found:
            raise UserError(f"duplicate `{name}`", where=row.location, hint="delete one row")
        found[name] = Checksum(name, cells["file"], cells["sha256"], int(cells["bytes"]))
    return found


def record(root: Path, entry: Checksum) -> None:
    """Add one checksum, or replace that of the same name."""
    known = read(root) | {entry.name: entry}
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(known[name]) for name in sorted(known))
    write_text(root / PATH, text.getvalue())
