"""Names of images as tools write them, and which file of a folder they mean."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from cyborg.common.errors import UserError
from cyborg.saliency.formats import _limits

IMAGES = {
    ".jpg",
    ".jpeg",
    ".png",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".webp",
    ".jfif",
    ".pgm",
    ".ppm",
}
"""File name extensions of images, lower case."""


def spellings(name: str) -> Iterator[list[str]]:
    """What a stated name may mean, likeliest first: each a list of folders and a file name.

    As it stands; without URL encoding, scheme and query (`?d=` of Label Studio's local storage
    names the file); without the hash that Label Studio puts before uploads. Backslashes separate
    folders as slashes do, drive letters and `..` are left out: nothing leads out of a folder.
    """
    texts = [name]
    if "%" in name:
        texts.append(unquote(name))
    if re.match(r"[a-z][a-z0-9+]+://", name, re.IGNORECASE) or "?" in name:
        try:
            url = urlsplit(name)
        except ValueError:
            url = None
        if url is not None:
            texts += [unquote(path) for path in [*parse_qs(url.query).get("d", []), url.path]]
    seen: list[list[str]] = []
    for text in texts:
        text = unicodedata.normalize("NFC", text.removeprefix("file://"))
        parts = [part for part in re.split(r"[\\/]+", text) if part not in ("", ".", "..")]
        if parts and re.fullmatch(r"[A-Za-z]:", parts[0]):
            parts = parts[1:]
        plain = re.sub(r"^[0-9a-f]{8}-(?=.)", "", parts[-1]) if parts else ""
        for variant in (parts, [*parts[:-1], plain]):
            if variant and variant not in seen:
                seen.append(variant)
                yield variant


def base(name: str) -> str:
    """The file name without folders, of either kind of path."""
    return re.split(r"[\\/]+", name)[-1]


def find(images: Path, name: str) -> Path | None:
    """The image in a folder (searched with its sub-folders) that a stated name means, if any.

    The file name decides; then the name without extension, since exports often carry another one.
    Where several files remain, the one with the most folders in common with the stated name.
    Raises UserError where that is no single one.
    """
    index = _index(images, _stamp(images))
    for parts in spellings(name):
        for key, found in ((0, index.get((0, parts[-1]))), (1, index.get((1, _stem(parts[-1]))))):
            if not found:
                continue
            common = [_common(parts, path, key) for path in found]
            best = [path for path, n in zip(found, common, strict=True) if n == max(common)]
            if len(best) > 1:
                raise UserError(
                    f"`{_limits.show(name)}` may be {_limits.show(best[0])} or "
                    f"{_limits.show(best[1])}",
                    where=images,
                    hint="keep one of them in the folder, or name the image with its folder",
                )
            return images / best[0]
    return None


def _stem(name: str) -> str:
    return name.rsplit(".", 1)[0] if name.rpartition(".")[0] else name


def _common(parts: list[str], path: str, key: int) -> int:
    other = unicodedata.normalize("NFC", path).split("/")
    n = 0
    for a, b in zip(reversed(parts[:-1]), reversed(other[:-1]), strict=False):
        if a != b:
            return n
        n += 1
    # All folders agree: a file at just this place goes before one that lies deeper.
    return n + (len(parts) == len(other))


def _stamp(images: Path) -> int:
    try:
        return images.stat().st_mtime_ns
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror or error}", where=images) from error


@lru_cache(maxsize=8)
def _index(images: Path, stamp: int) -> dict[tuple[int, str], list[str]]:
    """Paths in the folder by (0, file name) and by (1, name without extension)."""
    index: dict[tuple[int, str], list[str]] = {}
    if not images.is_dir():
        raise UserError("is not a folder", where=images)
    for path in sorted(images.rglob("*")):
        if path.suffix.lower() not in IMAGES or not path.is_file():
            continue
        relative = path.relative_to(images).as_posix()
        name = unicodedata.normalize("NFC", path.name)
        index.setdefault((0, name), []).append(relative)
        index.setdefault((1, _stem(name)), []).append(relative)
    return index
