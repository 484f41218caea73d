"""Read the rows of the catalogue, and check every cell by itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cyborg.common.csv_rows import CsvRow, check_columns, read_csv_table
from cyborg.common.errors import UserError, UserErrors
from cyborg.common.registry import suggest_name

LISTED = "listed"
ROLES = ("train", "validation", "test", "any")
ACCESS = ("url", "manual", "gated", "local", "phantom")
COLUMNS = (
    "name", "label", "generator", "role", "access", "url", "path", "list", "annotations",
    "segmentation", "weights", "related", "sha256", "count", "licence", "citation", "instructions",
)  # fmt: skip
DEMANDED = ("name", "label", "role", "access", "path")
RAW, FETCHED = "data/raw", "data/fetched"


@dataclass(frozen=True)
class Related:
    """A CSV file whose rows pair images that belong together."""

    file: str
    columns: tuple[str, str]


def read_catalogue_rows(path: Path) -> list[tuple[CsvRow, dict[str, str]]]:
    """Return each row of the catalogue with its cells by column, after checking the table's shape.

    Raises UserErrors (file:row) if columns are missing, unknown or duplicate, or if a row has too
    few or too many cells.
    """
    if not path.exists():
        raise UserError("there is no such file", location=path, hint="see docs/data.md")
    table = read_csv_table(path)
    columns = table.header.cells
    # If nothing but optional columns is missing, the file is of an earlier version.
    outdated = set(DEMANDED) <= set(columns) <= set(COLUMNS)

    def suggest_column(column: str) -> str:
        add = f"end this line with `,{column}` and all other rows with a comma, "
        return (add if outdated else "") + "see docs/formats.md#sources"

    check_columns(table.header, COLUMNS, COLUMNS, suggest_column)
    rows: list[tuple[CsvRow, dict[str, str]]] = []
    mistakes: list[UserError] = []
    for row in table.rows:
        try:
            rows.append((row, row.by_column(columns)))
        except UserError as error:
            mistakes.append(error)
    if mistakes:
        raise UserErrors(mistakes)
    return rows


def parse_related(text: str) -> Related:
    """Read `file.csv:column,column`. Raises ValueError if the text has another form."""
    match = re.fullmatch(r"([^:]+):([^,:]+),([^,:]+)", text)
    if not match:
        raise ValueError(text)
    return Related(str(PurePosixPath(match[1])), (match[2], match[3]))


def check_row(cells: dict[str, str], location: str) -> list[UserError]:
    """Return all mistakes of one row."""
    found: list[UserError] = []

    def note_mistake(column: str, what: str, hint: str | None = None) -> None:
        found.append(UserError(what, location=f"{location}: {column}", hint=hint))

    access, path = cells["access"], cells["path"]
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", cells["name"]):
        note_mistake(
            "name", f"`{cells['name']}` cannot be a name", "use lower-case letters, digits and _"
        )
    if not re.fullmatch(r"[^\s,/]+", cells["label"]):
        note_mistake(
            "label", f"`{cells['label']}` cannot be a label", "a class of params.yaml, or listed"
        )
    if (cells["label"] == LISTED) != bool(cells["list"]):
        note_mistake(
            "list", "a list and the label `listed` belong together", "give both or neither"
        )
    for part in cells["generator"].split():
        if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", part):
            note_mistake(
                "generator", f"`{part}` cannot be a name", "use lower-case letters, digits and _"
            )
    if cells["role"] not in ROLES:
        note_mistake(
            "role", f"`{cells['role']}` is not a role", suggest_name(cells["role"], list(ROLES))
        )
    if access not in ACCESS:
        note_mistake(
            "access", f"`{access}` is not a kind of access", suggest_name(access, list(ACCESS))
        )
    for url in cells["url"].split():
        if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", url):
            note_mistake("url", f"`{url}` is not an address", "it begins with https:// or http://")
    if access == "url" and not cells["url"]:
        note_mistake("url", "is missing", "access `url` needs the address of a file")
    for column in ("path", "list", "annotations", "segmentation", "weights"):
        if cells[column] and (hint := _explain_outside(cells[column])):
            note_mistake(column, f"`{cells[column]}` is not a path inside the project", hint)
    if not path:
        note_mistake("path", "is missing", f"{RAW}/… for what you bring, {FETCHED}/… otherwise")
    elif not _explain_outside(path):
        found += _check_place(cells, location)
    for text in cells["related"].split():
        try:
            file = parse_related(text).file
        except ValueError:
            note_mistake("related", f"`{text}` is not understood", "write file.csv:column,column")
        else:
            if hint := _explain_outside(file):
                note_mistake("related", f"`{file}` is not a path inside the project", hint)
    if not re.fullmatch(r"(?i)[0-9a-f]{64}|unknown|", cells["sha256"]):
        note_mistake(
            "sha256", f"`{cells['sha256']}` is no checksum", "64 hexadecimal digits or `unknown`"
        )
    if not re.fullmatch(r"([1-9][0-9]*)?", cells["count"]):
        note_mistake(
            "count", f"`{cells['count']}` is not a number of images", "1, 2, …, or leave empty"
        )
    elif access == "phantom" and not cells["count"]:
        note_mistake("count", "is missing", "access `phantom` needs the number of images to draw")
    if access in ("manual", "gated") and not cells["instructions"]:
        note_mistake("instructions", "is missing", f"say how to get it: access is `{access}`")
    return found


def _explain_outside(path: str) -> str | None:
    """Return why a path leads out of the project, or None if it does not."""
    if "\\" in path:
        return "write / between folders"
    if path.startswith(("/", "~")) or re.match(r"[A-Za-z]:", path):
        return "give it relative to the project. data/raw may hold a link to it"
    if ".." in PurePosixPath(path).parts:
        return "leave out `..`"
    return None


def _check_place(cells: dict[str, str], location: str) -> list[UserError]:
    """Check that a source's folder lies in the place that its access demands."""
    parts = PurePosixPath(cells["path"]).parts
    raw, fetched = (parts[:2] == PurePosixPath(f).parts for f in (RAW, FETCHED))
    deep = len(parts) > 2
    access = cells["access"]
    fits = {
        "url": fetched and deep,
        "phantom": fetched and parts[2:] == (cells["name"],),
        "local": raw and deep,
    }.get(access, (raw or fetched) and deep)
    if fits:
        return []
    hint = {
        "url": f"{FETCHED}/<folder>",
        "phantom": f"{FETCHED}/{cells['name']}",
        "local": f"{RAW}/<folder>",
    }.get(access, f"{RAW}/<folder>, or {FETCHED}/<folder> if you bring the archive")
    what = f"`{cells['path']}` is not the place of a `{access}` source"
    return [UserError(what, location=f"{location}: path", hint=f"write {hint}")]
