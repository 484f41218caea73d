"""Find groups of images that belong together (one person, one base photograph) from CSV files."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath

from cyborg.catalogue.members import Member
from cyborg.catalogue.rows import Related
from cyborg.catalogue.sources import Source
from cyborg.common.csv_rows import check_columns, read_csv_table
from cyborg.common.errors import UserError


def find_groups(members: Iterable[Member], sources: Iterable[Source], root: Path) -> dict[str, str]:
    """Return the group of each image: the first name, sorted, of all images joined with it.

    Two sources may share a folder or list the same file: images that are one file belong together.
    Pairs are joined transitively, also through files that are not in use or not here. Two
    composites of one photograph stay together without it. Names in a CSV are relative to its
    folder, to the source's, or to a folder above these.

    Raises UserError if a file or column is missing, or a file names no image of its source.
    """
    members, sources = list(members), list(sources)
    images_of: dict[str, list[str]] = {}
    for member in members:
        images_of.setdefault(member.file, []).append(member.image)
    parent: dict[str, str] = {}

    def find(key: str) -> str:
        top = key
        while (above := parent.setdefault(top, top)) != top:
            top = above
        while parent[key] != top:
            parent[key], key = top, parent[key]
        return top

    for source in sources:
        own = {member.file for member in members if member.source == source.name}
        for related in source.related:
            known = False
            for pair in _read_pairs(related, source, root):
                first, second = (
                    _locate_file(text, related, source, root, images_of) for text in pair
                )
                known = known or first in own or second in own
                parent[find(first)] = find(second)
            if not known:
                raise UserError(
                    f"names no image of `{source.name}`",
                    location=related.file,
                    hint=f"columns {', '.join(related.columns)} should hold paths relative to the "
                    f"CSV's folder or to {source.path}, or take it out "
                    f"({source.location}: related)",
                )
    least: dict[str, str] = {}
    for file, images in images_of.items():
        top = find(file)
        least[top] = min(*images, least.get(top, images[0]))
    return {member.image: least[find(member.file)] for member in members}


def _read_pairs(related: Related, source: Source, root: Path) -> Iterator[tuple[str, str]]:
    """Yield the two names of every row that has both."""
    if not (root / related.file).exists():
        raise UserError(
            f"there is no file `{related.file}`",
            location=f"{source.location}: related",
            hint="bring it, or leave the column empty if no images belong together",
        )
    table = read_csv_table(root / related.file, related.file)
    check_columns(table.header, related.columns)
    for row in table.rows:
        cells = row.by_column(table.header.cells)
        first, second = (cells[column] for column in related.columns)
        if first and second:
            yield first, second


def _locate_file(
    text: str, related: Related, source: Source, root: Path, images: Collection[str]
) -> str:
    """Return the file, relative to the project, that a name in a CSV stands for.

    A name may be relative to the folder of the CSV, to the source's folder, or to any folder above
    one of these. The files of images in use (`images`) come first, then others. If there is no such
    file, the name itself serves as a key, so that images that share it are still joined.
    """
    inside = text.replace("\\", "/").lstrip("/")
    candidates: list[str] = []
    for start in (PurePosixPath(related.file).parent, PurePosixPath(source.path)):
        for folder in (start, *start.parents):
            candidates.append(posixpath.normpath(folder / inside))
    for candidate in candidates:
        if candidate in images:
            return candidate
    for candidate in candidates:
        if not candidate.startswith("..") and (root / candidate).is_file():
            return candidate
    # A zero byte occurs in no path, so that the key cannot be taken for a file.
    return f"{related.file}\0{inside}"
