"""Find which image of a set a name in an annotation file means.

This is the one rule for the pipeline, for the commands, and for the readers of formats that do
not state the size of an image.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from pathlib import Path

from cyborg.common.errors import UserError
from cyborg.saliency.formats._limits import quote_value
from cyborg.saliency.names import IMAGE_SUFFIXES, spell_name, strip_extension


class FoundBy(IntEnum):
    """The part of a name that agreed with an image. A higher value is better evidence."""

    NUMBER = 0
    STEM = 1
    NAME = 2
    PATH = 3


@dataclass(frozen=True)
class Candidate:
    """An image: its key, its path inside its folder, and its path with the folder before it."""

    key: str
    inside: str
    path: str


@dataclass(frozen=True)
class Match:
    """The images that a name may mean, and how well it fits them.

    keys: one image, or several that fit equally well. folders: number of folders that agree.
    """

    keys: tuple[str, ...]
    folders: int
    found_by: FoundBy

    def is_better_than(self, other: Match) -> bool:
        """Tell whether this fits better in one respect and worse in none."""
        mine, theirs = (self.folders, self.found_by), (other.folders, other.found_by)
        return mine != theirs and mine[0] >= theirs[0] and mine[1] >= theirs[1]


class ImageMatcher:
    """The images of a set, found by the names that annotation tools give them.

    checksums: the key of each sha256, for tools that name images by content. by_number: whether a
    bare number means the image whose name ends in it, as in results of COCO.
    """

    def __init__(
        self,
        candidates: Iterable[Candidate],
        checksums: Mapping[str, str] | None = None,
        by_number: bool = True,
    ):
        self.checksums = {} if checksums is None else checksums
        self._by_path: dict[str, list[Candidate]] = {}
        self._by_name: dict[str, list[Candidate]] = {}
        self._by_stem: dict[str, list[Candidate]] = {}
        self._by_number: dict[int, list[Candidate]] = {}
        for one in sorted(candidates, key=lambda candidate: candidate.key):
            inside = unicodedata.normalize("NFC", one.inside)  # as stated names are spelt
            name = inside.rsplit("/", 1)[-1]
            stem = name.rsplit(".", 1)[0] or name  # a file, so that it has an extension
            self._by_path.setdefault(inside, []).append(one)
            self._by_name.setdefault(name, []).append(one)
            self._by_stem.setdefault(stem, []).append(one)
            if by_number and (number := re.search(r"(\d{1,18})$", stem)):
                self._by_number.setdefault(int(number[1]), []).append(one)

    def match_name(self, name: str, location: str) -> str | None:
        """Return the key of the image that `name` means, or None.

        The first of these that finds an image decides: the path inside the folder, the file name,
        the stem of a file that is the whole stated name, the stated name without the extension of
        a picture, the sha256 of the file, and for a bare number the end of the file's name. What
        follows a dot is cut off only if it is the extension of a picture, so that `scan.1` never
        means `scan.jpg`. Of several images it is the one whose folders agree furthest. Raises
        UserError, naming `location`, if several remain.

        >>> faces = [Candidate(name, name, f"set/{name}") for name in ("a/1.jpg", "b/1.jpg")]
        >>> ImageMatcher(faces).match_name("C:/photos/b/1.png", "annotations.json")
        'b/1.jpg'
        """
        match = self._look_up(name)
        return _require_one(name, match, location) if match else None

    def match_names(self, names: Iterable[str], location: str) -> dict[str, str]:
        """Return the key of the image for each name of an annotation file that means one.

        An annotation file may cover more images than the set. Names of those others must not be
        taken for images of the set, so that names are also compared with each other:

        1. If the folders of some names agree with those of images, the file names folders as the
           set does. A name whose folders do not agree is then of another set.
        2. If two names mean the same image, the one that fits better is of this set.

        Raises UserError, naming `location`, if a name means several images, or if two names mean
        one image and neither fits better.

        >>> faces = [Candidate(name, name, f"set/{name}") for name in ("1.jpg", "2.jpg")]
        >>> ImageMatcher(faces).match_names(["set/1.jpg", "other/1.jpg", "other/2.jpg"], "file")
        {'set/1.jpg': '1.jpg'}
        """
        matches = {name: match for name in names if (match := self._look_up(name)) is not None}
        if any(match.folders for match in matches.values()):
            matches = {
                name: match
                for name, match in matches.items()
                if match.folders or match.found_by is FoundBy.PATH or not _has_folders(name)
            }
        names_of: dict[str, list[str]] = {}
        for name, match in sorted(matches.items()):
            names_of.setdefault(_require_one(name, match, location), []).append(name)
        return {_choose_name(key, matches, names_of[key], location): key for key in names_of}

    def _look_up(self, name: str) -> Match | None:
        for parts in spell_name(name):
            cut = strip_extension(parts[-1])
            for found_by, found in (
                (FoundBy.PATH, self._by_path.get("/".join(parts))),
                (FoundBy.NAME, self._by_name.get(parts[-1])),
                (FoundBy.STEM, self._by_stem.get(parts[-1])),
                (FoundBy.STEM, self._by_stem.get(cut)),
                (FoundBy.STEM, self._by_name.get(cut)),  # a map `1.jpg.png` of `1.jpg`
            ):
                if found:
                    return _keep_nearest(parts, found, found_by)
        if name in self.checksums:
            return Match((self.checksums[name],), 0, FoundBy.PATH)
        if re.fullmatch(r"\d{1,18}", name) and (found := self._by_number.get(int(name))):
            return _keep_nearest([name], found, FoundBy.NUMBER)
        return None


def _keep_nearest(parts: list[str], found: list[Candidate], found_by: FoundBy) -> Match:
    common = [
        _count_common_folders(parts, unicodedata.normalize("NFC", one.path).split("/"))
        for one in found
    ]
    best = [one.key for one, n in zip(found, common, strict=True) if n == max(common)]
    return Match(tuple(dict.fromkeys(best)), max(common), found_by)


def _count_common_folders(stated: list[str], real: list[str]) -> int:
    """Count the folders that agree, from the file name upwards."""
    count = 0
    for one, other in zip(reversed(stated[:-1]), reversed(real[:-1]), strict=False):
        if one != other:
            break
        count += 1
    return count


def _has_folders(name: str) -> bool:
    return len(next(spell_name(name), [])) > 1


def _require_one(name: str, match: Match, location: str) -> str:
    if len(match.keys) > 1:
        raise UserError(
            f"`{quote_value(name)}` may be the image `{match.keys[0]}` or `{match.keys[1]}`",
            location=location,
            hint="name images with their folder and extension in the annotation file",
        )
    return match.keys[0]


def _choose_name(key: str, matches: dict[str, Match], rivals: list[str], location: str) -> str:
    """Return the name, among those that mean the image `key`, that fits better than all others."""
    for name in rivals:
        others = [other for other in rivals if other != name]
        if all(matches[name].is_better_than(matches[other]) for other in others):
            return name
    raise UserError(
        f"`{quote_value(rivals[0])}` and `{quote_value(rivals[1])}` both mean the image `{key}`",
        location=location,
        hint="remove one of them, or name images with folder and extension",
    )


def list_images(folder: Path) -> dict[str, Path]:
    """Return the images of a folder and its sub-folders by their paths inside it, sorted.

    Raises UserError if it is not a folder or cannot be read.
    """
    if not folder.is_dir():
        raise UserError("is not a folder", location=folder, hint="give the folder of the images")
    return {
        file.relative_to(folder).as_posix(): file
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()
    }


def make_candidates(folder: Path, images: Iterable[str]) -> list[Candidate]:
    """Return candidates for the paths of images inside a folder."""
    top = folder.resolve().as_posix()
    return [Candidate(inside, inside, f"{top}/{inside}") for inside in images]


def find_image(folder: Path, name: str, location: str) -> Path | None:
    """Return the image in a folder and its sub-folders that a stated name means, or None.

    Raises UserError, naming `location`, if several images fit equally well.
    """
    try:
        stamp = folder.stat().st_mtime_ns
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror or error}", location=folder) from error
    found = _index_folder(folder, stamp).match_name(name, location)
    return folder / found if found else None


@lru_cache(maxsize=8)
def _index_folder(folder: Path, stamp: int) -> ImageMatcher:
    """Index a folder once. `stamp` is its time of change, so that an index does not grow old."""
    # Formats that name images by number state their sizes, so that they ask nothing here.
    return ImageMatcher(make_candidates(folder, list_images(folder)), by_number=False)
