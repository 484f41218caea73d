"""Rows of the catalogue: the table read, and every cell checked by itself."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

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


def read(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Line number and cells (blanks taken off) of every row; the shape of the table is checked.

    Raises UserErrors (file:row) where columns are missing or unknown, or cells too few or many.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError("there is no such file", where=path, hint="see docs/data.md") from None
    except UnicodeDecodeError as error:
        raise UserError(f"is not UTF-8 text: {error}", where=path) from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=path) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, dict[str, str]]] = []
    found: list[UserError] = []
    try:
        header = [cell.strip() for cell in next(reader, [])]
        _header(header, path)
        while True:
            line = reader.line_num + 1
            cells = next(reader, None)
            if cells is None:
                break
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                what = f"has {len(cells)} cells, not {len(header)}"
                hint = "put text that contains a comma between double quotes"
                if len(cells) < len(header):
                    hint = "columns that stay empty keep their comma"
                found.append(UserError(what, where=f"{path}:{line}", hint=hint))
                continue
            rows.append((line, dict(zip(header, map(str.strip, cells), strict=True))))
    except csv.Error as error:
        found.append(UserError(f"is not valid CSV: {error}", where=f"{path}:{reader.line_num}"))
    if found:
        raise UserErrors(found)
    return rows


def _header(header: list[str], path: Path) -> None:
    found = [
        UserError(f"`{c}` is not a column", where=f"{path}:1", hint=suggest_name(c, list(COLUMNS)))
        for c in header
        if c not in COLUMNS
    ]
    # A column that may be empty is added in a moment, unless it is there under a wrong name.
    whole = not found and all(c in header for c in DEMANDED)
    found += [
        UserError(
            f"column `{c}` is missing",
            where=f"{path}:1",
            hint=(f"end this line with `,{c}` and all other rows with a comma; " if whole else "")
            + "see docs/formats.md#sources",
        )
        for c in COLUMNS
        if c not in header
    ]
    found += [
        UserError(f"column `{c}` is there twice", where=f"{path}:1")
        for c in COLUMNS
        if header.count(c) > 1
    ]
    if found:
        raise UserErrors(found)


def related(text: str) -> Related:
    """Read `file.csv:column,column`; ValueError where it is not that."""
    match = re.fullmatch(r"([^:]+):([^,:]+),([^,:]+)", text)
    if not match:
        raise ValueError(text)
    return Related(str(PurePosixPath(match[1])), (match[2], match[3]))


def check(cells: dict[str, str], where: str) -> list[UserError]:
    """All mistakes of one row."""
    found: list[UserError] = []

    def wrong(column: str, what: str, hint: str | None = None) -> None:
        found.append(UserError(what, where=f"{where}: {column}", hint=hint))

    access, path = cells["access"], cells["path"]
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", cells["name"]):
        wrong("name", f"`{cells['name']}` cannot be a name", "use lower-case letters, digits and _")
    if not re.fullmatch(r"[^\s,/]+", cells["label"]):
        wrong("label", f"`{cells['label']}` cannot be a label", "a class of params.yaml, or listed")
    if (cells["label"] == LISTED) != bool(cells["list"]):
        wrong("list", "a list and the label `listed` belong together", "give both or neither")
    for part in cells["generator"].split():
        if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", part):
            wrong("generator", f"`{part}` cannot be a name", "use lower-case letters, digits and _")
    if cells["role"] not in ROLES:
        wrong("role", f"`{cells['role']}` is not a role", suggest_name(cells["role"], list(ROLES)))
    if access not in ACCESS:
        wrong("access", f"`{access}` is not a kind of access", suggest_name(access, list(ACCESS)))
    for url in cells["url"].split():
        if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", url):
            wrong("url", f"`{url}` is not an address", "it begins with https:// or http://")
    if access == "url" and not cells["url"]:
        wrong("url", "is missing", "access `url` needs the address of a file")
    for column in ("path", "list", "annotations", "segmentation", "weights"):
        if cells[column] and (hint := _outside(cells[column])):
            wrong(column, f"`{cells[column]}` is not a path inside the project", hint)
    if not path:
        wrong("path", "is missing", f"{RAW}/… for what you bring, {FETCHED}/… otherwise")
    elif not _outside(path):
        found += _place(cells, where)
    for text in cells["related"].split():
        try:
            file = related(text).file
        except ValueError:
            wrong("related", f"`{text}` is not understood", "write file.csv:column,column")
        else:
            if hint := _outside(file):
                wrong("related", f"`{file}` is not a path inside the project", hint)
    if not re.fullmatch(r"(?i)[0-9a-f]{64}|unknown|", cells["sha256"]):
        wrong("sha256", f"`{cells['sha256']}` is no checksum", "64 hexadecimal digits or `unknown`")
    if not re.fullmatch(r"([1-9][0-9]*)?", cells["count"]):
        wrong("count", f"`{cells['count']}` is not a number of images", "1, 2, …, or leave empty")
    elif access == "phantom" and not cells["count"]:
        wrong("count", "is missing", "access `phantom` needs the number of images to draw")
    if access in ("manual", "gated") and not cells["instructions"]:
        wrong("instructions", "is missing", f"say how to get it: access is `{access}`")
    return found


def _outside(path: str) -> str | None:
    """Why a path does not stay inside the project, or None where it does."""
    if "\\" in path:
        return "write / between folders"
    if path.startswith(("/", "~")) or re.match(r"[A-Za-z]:", path):
        return "give it relative to the project; data/raw may hold a link to it"
    if ".." in PurePosixPath(path).parts:
        return "leave out `..`"
    return None


def _place(cells: dict[str, str], where: str) -> list[UserError]:
    """A source's folder must lie where its access says."""
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
    }.get(access, f"{RAW}/<folder>, or {FETCHED}/<folder> where you bring the archive")
    what = f"`{cells['path']}` is not the place of a `{access}` source"
    return [UserError(what, where=f"{where}: path", hint=f"write {hint}")]
