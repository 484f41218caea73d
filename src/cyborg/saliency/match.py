"""Which image of a set an annotation means: by path, file name, stem, checksum or number."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cyborg.common.errors import UserError
from cyborg.saliency.formats._names import spellings

EXACT, NAME, STEM, NUMBER = 3, 2, 1, 0


@dataclass(frozen=True)
class Candidate:
    """An image: its key, its path inside its folder, and its path with the folder before it."""

    key: str
    inside: str
    path: str


@dataclass(frozen=True)
class Match:
    """What a name may mean: one image or several; folders that agree; by what it was found."""

    keys: tuple[str, ...]
    folders: int
    kind: int


class Matcher:
    """Finds images by the names that annotation tools give them.

    checksums: key of each sha256, for tools that name images by content.
    """

    def __init__(self, candidates: Iterable[Candidate], checksums: Mapping[str, str] | None = None):
        self.checksums = {} if checksums is None else checksums
        self._inside: dict[str, list[Candidate]] = {}
        self._names: dict[str, list[Candidate]] = {}
        self._stems: dict[str, list[Candidate]] = {}
        self._numbers: dict[int, list[Candidate]] = {}
        for one in sorted(candidates, key=lambda candidate: candidate.key):
            inside = unicodedata.normalize("NFC", one.inside)  # as stated names are spelt
            name = inside.rsplit("/", 1)[-1]
            self._inside.setdefault(inside, []).append(one)
            self._names.setdefault(name, []).append(one)
            self._stems.setdefault(stem(name), []).append(one)
            if number := re.search(r"(\d{1,18})$", stem(name)):
                self._numbers.setdefault(int(number[1]), []).append(one)

    def find(self, name: str, where: str) -> str | None:
        """The key of the image that `name` means, or None.

        In this order: the path inside the folder, the file name, the file name without extension;
        of several, the one whose folders agree furthest. Then the sha256 of the file, and for a
        bare number the image whose name ends in it (COCO results). Raises UserError where several
        remain.
        """
        match = self._search(name)
        return _single(name, match, where) if match else None

    def find_all(self, names: Iterable[str], where: str) -> dict[str, str]:
        """The keys of the images that the names of one annotation file mean.

        Besides what `find` says: where the folders of some names agree with those of the images,
        a name whose folders do not is of another image that is not here; so is one that fits less
        well than another name of the same image. Raises UserError where neither of two fits better.
        """
        found = {name: match for name in names if (match := self._search(name)) is not None}
        if any(match.folders for match in found.values()):
            found = {
                name: match
                for name, match in found.items()
                if match.folders or match.kind == EXACT or not _has_folders(name)
            }
        best: dict[str, tuple[str, Match]] = {}
        for name, match in sorted(found.items()):
            key = _single(name, match, where)
            other, held = best.get(key, (name, match))
            better = match.folders >= held.folders and match.kind >= held.kind
            worse = match.folders <= held.folders and match.kind <= held.kind
            if other != name and better == worse:
                raise UserError(
                    f"`{other}` and `{name}` both mean the image `{key}`",
                    where=where,
                    hint="take one of them out, or name images with folder and extension",
                )
            if better:
                best[key] = (name, match)
        return {name: key for key, (name, _) in best.items()}

    def _search(self, name: str) -> Match | None:
        for parts in spellings(name):
            for kind, found in (
                (EXACT, self._inside.get("/".join(parts))),
                (NAME, self._names.get(parts[-1])),
                (STEM, self._stems.get(stem(parts[-1]))),
            ):
                if found:
                    return _nearest(parts, found, kind)
        if name in self.checksums:
            return Match((self.checksums[name],), 0, EXACT)
        if re.fullmatch(r"\d{1,18}", name) and (numbered := self._numbers.get(int(name))):
            return _nearest([name], numbered, NUMBER)
        return None


def _nearest(parts: list[str], found: list[Candidate], kind: int) -> Match:
    common = [_common(parts, unicodedata.normalize("NFC", one.path).split("/")) for one in found]
    best = [one.key for one, n in zip(found, common, strict=True) if n == max(common)]
    return Match(tuple(best), max(common), kind)


def _single(name: str, match: Match, where: str) -> str:
    if len(match.keys) > 1:
        raise UserError(
            f"`{name}` may be the image `{match.keys[0]}` or `{match.keys[1]}`",
            where=where,
            hint="name images with their folder and extension in the annotation file",
        )
    return match.keys[0]


def stem(name: str) -> str:
    """A file name without its extension (a name that begins with a dot has none)."""
    return name.rsplit(".", 1)[0] or name


def _has_folders(name: str) -> bool:
    return len(next(spellings(name), [])) > 1


def _common(stated: list[str], real: list[str]) -> int:
    """How many folders agree, counted from the file name upwards."""
    count = 0
    for one, other in zip(reversed(stated[:-1]), reversed(real[:-1]), strict=False):
        if one != other:
            break
        count += 1
    return count
