"""data/checksums.csv: the checksum of every file that was downloaded, recorded once and held."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import asdict, dataclass
from pathlib import Path

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
    reader = csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
    if next(reader, None) != COLUMNS:
        raise UserError(f"should begin with {','.join(COLUMNS)}", where=f"{PATH}:1")
    for cells in reader:
        where = f"{PATH}:{reader.line_num}"
        if (
            len(cells) != 4
            or not cells[3].isdecimal()
            or not re.fullmatch("[0-9a-f]{64}", cells[2])
        ):
            raise UserError(
                "is not name,file,sha256,bytes",
                where=where,
                hint="delete the row: it is written again at the next download",
            )
        if cells[0] in found:
            raise UserError(f"`{cells[0]}` is there twice", where=where, hint="delete one row")
        found[cells[0]] = Checksum(cells[0], cells[1], cells[2], int(cells[3]))
    return found


def record(root: Path, entry: Checksum) -> None:
    """Add one checksum, or replace that of the same name."""
    known = read(root) | {entry.name: entry}
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(known[name]) for name in sorted(known))
    write_text(root / PATH, text.getvalue())
