"""List the images of a source: all of its folder, or those that its list names."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cyborg.catalogue.rows import LISTED
from cyborg.catalogue.sources import Source
from cyborg.common.csv_rows import CsvRow, read_csv_rows
from cyborg.common.errors import UserError, UserErrors

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
# Mistakes of one list that are reported one by one. Of the others only the number is.
SHOWN = 10

# "test" is what the published lists call the images that the epoch is chosen by.
SPLITS = {"train": "train", "test": "validation", "validation": "validation", "val": "validation"}
PUBLISHED = {"real": "bona_fide", "synthetic": "synthetic"}


@dataclass(frozen=True)
class Member:
    """One image of a source: first columns of docs/formats.md#images."""

    image: str
    source: str
    label: str
    generator: str
    role: str
    file: str


def list_members(source: Source, root: Path, classes: Sequence[str]) -> list[Member]:
    """Return the images of a source, sorted by name.

    Raises UserError if there are none, and UserErrors (file:row) for mistakes of a list.
    """
    if source.label == LISTED:
        found = _read_list(source, root, classes)
    else:
        found = [
            _make_member(source, inside, source.label, source.generator, source.role)
            for inside in walk_images(root, source)
        ]
    if not found:
        raise UserError(
            "holds no images",
            location=f"{source.location}: {source.list or source.path}",
            hint=f"images end in {', '.join(EXTENSIONS)}. Hidden files are left out",
        )
    return sorted(found, key=lambda member: member.image)


def count_images(source: Source, root: Path) -> int:
    """Count the images of a source on this machine. No file but its list is opened."""
    if source.label != LISTED:
        return sum(1 for _ in walk_images(root, source))
    try:
        rows = [row.cells for row in read_csv_rows(root / source.list) if len(row.cells) == 3]
    except UserError:
        return 0
    return sum(
        _choose_role(cells[0], source.role) is not None
        and (root / source.path / cells[2].lstrip("/")).is_file()
        for cells in rows
    )


def walk_images(root: Path, source: Source) -> Iterator[str]:
    """Yield the images below a source's folder, as `walk_files` does."""
    return (name for name in walk_files(root, source) if name.lower().endswith(EXTENSIONS))


def walk_files(root: Path, source: Source) -> Iterator[str]:
    """Yield the files below a source's folder, relative to it, with `/`.

    Links are followed. Hidden files and the folders of maps (columns `annotations` and
    `segmentation`) are left out.
    """
    top = root / source.path
    maps = {root / text for text in (source.annotations, source.segmentation) if text}
    seen: set[str] = set()
    for folder, folders, files in os.walk(top, followlinks=True):
        here = Path(folder)
        real = os.path.realpath(folder)
        if real in seen:  # a link back to a folder that was there already
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(n for n in folders if n[0] != "." and here / n not in maps)
        for name in files:
            if name[0] != ".":
                yield (here / name).relative_to(top).as_posix()


def list_skipped(root: Path, source: Source, known: Collection[str]) -> list[str]:
    """Return the files in a source's folder that are no images by their names, sorted.

    known: files and folders that the catalogue names, such as lists and annotations. They are left
    out, and so are hidden files. A list names its images itself, so that its source skips nothing,
    and whatever lies beside drawn phantoms was drawn with them.
    """
    if source.label == LISTED or source.access == "phantom":
        return []

    def is_known(inside: str) -> bool:
        path = PurePosixPath(source.path, inside)
        return any(str(place) in known for place in (path, *path.parents))

    names = (n for n in walk_files(root, source) if not n.lower().endswith(EXTENSIONS))
    return sorted(name for name in names if not is_known(name))


def _make_member(source: Source, inside: str, label: str, generator: str, role: str) -> Member:
    try:
        inside.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"the file name {inside!a} is not UTF-8",
            location=f"{source.location}: {source.path}",
            hint="rename the file",
        ) from None
    return Member(
        f"{source.name}/{inside}", source.name, label, generator, role, f"{source.path}/{inside}"
    )


def _read_list(source: Source, root: Path, classes: Sequence[str]) -> list[Member]:
    """Read a list in the published layout: `split,label,/path` without header."""
    labels = {name: label for name, label in PUBLISHED.items() if label in classes}
    labels |= {label.lower(): label for label in classes}
    found: list[Member] = []
    mistakes: list[UserError] = []
    first: dict[str, int] = {}

    def note_mistake(row: CsvRow, what: str, hint: str | None = None) -> None:
        mistakes.append(UserError(what, location=row.location, hint=hint))

    for row in read_csv_rows(root / source.list, source.list):
        if len(row.cells) != 3:
            note_mistake(row, f"has {len(row.cells)} columns, not 3", "a row is split,label,/path")
            continue
        split, label, path = row.cells
        if split.lower() not in SPLITS:
            note_mistake(
                row,
                f"`{split}` is not a split",
                f"known: {', '.join(SPLITS)}. A list has no header",
            )
            continue
        if label.lower() not in labels:
            note_mistake(row, f"`{label}` is not a label", f"known: {', '.join(sorted(labels))}")
            continue
        inside = PurePosixPath(path.replace("\\", "/").lstrip("/"))
        if ".." in inside.parts or not inside.parts:
            note_mistake(row, f"`{path}` does not lie in {source.path}")
            continue
        role = _choose_role(split, source.role)
        if role is None:
            continue
        if str(inside) in first:
            note_mistake(row, f"duplicate `{path}`", f"first in row {first[str(inside)]}")
            continue
        first[str(inside)] = row.line
        if not (root / source.path / inside).is_file():
            note_mistake(row, f"there is no file `{path}`", f"it should be {source.path}/{inside}")
            continue
        named = labels[label.lower()]
        generator = source.generator if named != classes[0] else ""
        found.append(_make_member(source, str(inside), named, generator, role))
    if len(mistakes) > SHOWN:
        more = UserError(f"and {len(mistakes) - SHOWN} more rows", location=source.list)
        mistakes = [*mistakes[:SHOWN], more]
    if mistakes:
        raise UserErrors(mistakes)
    return found


def _choose_role(split: str, role: str) -> str | None:
    """Return the role of a list's row, or None if the source does not take it.

    A source of role `any` takes all rows, `train` and `validation` those of that split. A `test`
    source takes the rows that the list calls `test`.
    """
    split = split.lower()
    if role == "test":
        return "test" if split == "test" else None
    told = SPLITS.get(split)
    return told if role in ("any", told) else None
