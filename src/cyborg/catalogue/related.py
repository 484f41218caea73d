"""Groups of images that belong together (one person, one base photograph), from CSV files."""

from __future__ import annotations

import csv
import io
import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from cyborg.catalogue.members import Member
from cyborg.catalogue.rows import Related
from cyborg.catalogue.sources import Source
from cyborg.common.errors import UserError
from cyborg.common.registry import suggest_name


def groups(members: Iterable[Member], sources: Iterable[Source], root: Path) -> dict[str, str]:
    """Group of each image: the first name, in sorted order, of all images joined with it.

    Pairs are joined transitively, also through files that are not in use or not here: two
    composites of one photograph stay together without it. Names in a CSV are relative to its
    folder, to the source's, or to a folder above these.

    Raises UserError where a file or column is missing, or names no image of its source.
    """
    members, sources = list(members), list(sources)
    image_of = {member.file: member.image for member in members}
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
            for pair in _pairs(related, source, root):
                first, second = (_file(text, related, source, root, image_of) for text in pair)
                known = known or first in own or second in own
                parent[find(first)] = find(second)
            if not known:
                raise UserError(
                    f"names no image of `{source.name}`",
                    where=related.file,
                    hint=f"columns {', '.join(related.columns)} should hold paths relative to the "
                    f"CSV's folder or to {source.path}; or take it out ({source.where}: related)",
                )
    least: dict[str, str] = {}
    for file, image in image_of.items():
        if file in parent:
            top = find(file)
            least[top] = min(image, least.get(top, image))
    return {
        image: least[find(file)] if file in parent else image for file, image in image_of.items()
    }


def _pairs(related: Related, source: Source, root: Path) -> Iterator[tuple[str, str]]:
    path = root / related.file
    place = f"{source.where}: related"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(
            f"there is no file `{related.file}`",
            where=place,
            hint="bring it, or leave the column empty if nothing belongs together",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", where=related.file) from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    header = list(reader.fieldnames or [])
    for column in related.columns:
        if column not in header:
            raise UserError(
                f"has no column `{column}`", where=related.file, hint=suggest_name(column, header)
            )
    for row in reader:
        first, second = (row[column] for column in related.columns)
        if first is None or second is None:
            raise UserError("has too few cells", where=f"{related.file}:{reader.line_num}")
        if first.strip() and second.strip():
            yield first.strip(), second.strip()


def _file(text: str, related: Related, source: Source, root: Path, image_of: dict[str, str]) -> str:
    """The project-relative file that a name in a CSV stands for; a key of its own if none is."""
    inside = text.replace("\\", "/").lstrip("/")
    csv_folder = PurePosixPath(related.file).parent
    folders = [csv_folder, PurePosixPath(source.path)]
    places = dict.fromkeys(
        posixpath.normpath(above / inside)
        for folder in folders
        for above in (folder, *folder.parents)
    )
    for place in places:
        if place in image_of:
            return place
    for place in places:
        if not place.startswith("..") and (root / place).is_file():
            return place
    return f"{related.file}\0{inside}"
