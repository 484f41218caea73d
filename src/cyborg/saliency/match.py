"""Which image of a set an annotation means: by path, file name, stem, checksum or number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from cyborg.errors import UserError
from cyborg.saliency.formats._names import spellings


class Matcher:
    """Finds images by the names that annotation tools give them.

    paths: paths of the images inside their folder, with `/`. checksums: sha256 of each, for tools
    that name images by content.
    """

    def __init__(self, paths: Iterable[str], checksums: Mapping[str, str] | None = None):
        self.paths = set(paths)
        self.checksums = {} if checksums is None else checksums
        self._names: dict[str, list[str]] = {}
        self._stems: dict[str, list[str]] = {}
        self._numbers: dict[int, list[str]] = {}
        for path in sorted(self.paths):
            name = path.rsplit("/", 1)[-1]
            self._names.setdefault(name, []).append(path)
            self._stems.setdefault(stem(name), []).append(path)
            if number := re.search(r"(\d{1,18})$", stem(name)):
                self._numbers.setdefault(int(number[1]), []).append(path)

    def find(self, name: str, where: str) -> str | None:
        """The path of the image that `name` means, or None.

        In this order: the whole path, the file name, the file name without extension; of several,
        the one whose folders agree furthest. Then the sha256 of the file, and for a bare number
        the image whose name ends in it (COCO results). Raises UserError where several remain.
        """
        for parts in spellings(name):
            if "/".join(parts) in self.paths:
                return "/".join(parts)
            for found in (self._names.get(parts[-1]), self._stems.get(stem(parts[-1]))):
                if found:
                    return self._nearest(name, parts, found, where)
        if re.fullmatch(r"[0-9a-f]{64}", name):
            return self.checksums.get(name)
        if re.fullmatch(r"\d{1,18}", name) and (found := self._numbers.get(int(name))):
            return self._nearest(name, [name], found, where)
        return None

    def _nearest(self, name: str, parts: list[str], found: list[str], where: str) -> str:
        common = [_common(parts, path.split("/")) for path in found]
        best = [path for path, n in zip(found, common, strict=True) if n == max(common)]
        if len(best) > 1:
            raise UserError(
                f"`{name}` may be the image `{best[0]}` or `{best[1]}`",
                where=where,
                hint="name images with their folder and extension in the annotation file",
            )
        return best[0]


def stem(name: str) -> str:
    """A file name without its extension (a name that begins with a dot has none)."""
    return name.rsplit(".", 1)[0] or name


def _common(stated: list[str], real: list[str]) -> int:
    """How many folders agree, counted from the file name upwards."""
    count = 0
    for one, other in zip(reversed(stated[:-1]), reversed(real[:-1]), strict=False):
        if one != other:
            break
        count += 1
    return count
