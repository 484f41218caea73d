"""Understand the names of images as annotation tools write them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import parse_qs, unquote, urlsplit

from cyborg.common.errors import UserError

# File name extensions of images, lower case.
IMAGE_SUFFIXES = frozenset(
    {
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
)
# Extensions that a stated name may have. Some are of pictures that were converted since.
PICTURE_EXTENSIONS = IMAGE_SUFFIXES | {
    ".avif",
    ".cr2",
    ".dcm",
    ".dng",
    ".heic",
    ".heif",
    ".jp2",
    ".jpe",
    ".nef",
    ".npy",
    ".svs",
}
# Label Studio puts this before the names of uploaded files.
UPLOAD_HASH = re.compile(r"^[0-9a-f]{8}-(?=.)")
WEB_ADDRESS = re.compile(r"[a-z][a-z0-9+]+://", re.IGNORECASE)
SEPARATORS = re.compile(r"[\\/]+")
# Longest file name that is written, in bytes: most file systems allow 255 with the extension.
LONGEST = 240


def spell_name(name: str) -> Iterator[list[str]]:
    """Yield the possible meanings of a stated name, likeliest first: folders and a file name.

    First the name as it stands. Then without URL encoding, without scheme and query (`?d=` of
    Label Studio's local storage names the file), and without the hash that Label Studio puts
    before uploads. Backslashes separate folders as slashes do. Drive letters and `..` are left
    out, so that nothing leads out of a folder.

    >>> list(spell_name("/data/upload/3/0123abcd-a%20b.png"))[-1]
    ['data', 'upload', '3', 'a b.png']
    """
    texts = [name]
    if "%" in name:
        texts.append(unquote(name))
    if WEB_ADDRESS.match(name) or "?" in name:
        with suppress(ValueError):  # a broken address is a name like any other
            url = urlsplit(name)
            texts += [unquote(path) for path in [*parse_qs(url.query).get("d", []), url.path]]
    seen: list[list[str]] = []
    for text in texts:
        text = unicodedata.normalize("NFC", text.removeprefix("file://"))
        parts = [part for part in SEPARATORS.split(text) if part not in ("", ".", "..")]
        if parts and re.fullmatch(r"[A-Za-z]:", parts[0]):
            parts = parts[1:]
        if not parts:
            continue
        for variant in (parts, [*parts[:-1], UPLOAD_HASH.sub("", parts[-1])]):
            if variant not in seen:
                seen.append(variant)
                yield variant


def strip_folders(name: str) -> str:
    r"""Return the file name of a path with slashes or backslashes.

    >>> strip_folders("photos\\1.jpg")
    '1.jpg'
    """
    return SEPARATORS.split(name)[-1]


def strip_extension(name: str) -> str:
    """Return a file name without its extension, if that is one of a picture.

    What follows the last dot of another name is part of the name.

    >>> strip_extension("b.v2.jpg"), strip_extension("s01.morph"), strip_extension(".jpg")
    ('b.v2', 's01.morph', '.jpg')
    """
    stem, dot, extension = name.rpartition(".")
    return stem if stem and f"{dot}{extension.lower()}" in PICTURE_EXTENSIONS else name


def make_file_stem(name: str) -> str:
    """Return the stem of the file that is written for an image of this stated name.

    It is the last part of the name (a path of either kind, or a web address) without the extension
    of a picture.
    Raises UserError if no file can be called so.

    >>> make_file_stem("https://example.org/x%20y/picture%201.png?key=a/b.c")
    'picture 1'
    """
    text = name
    if WEB_ADDRESS.match(name):
        with suppress(ValueError):
            text = unquote(urlsplit(name).path) or name
    last = strip_folders(text.rstrip("/\\"))
    stem = strip_extension(last)
    if not stem.strip(". ") or not fits_file_name(stem) or any(ord(c) < 32 for c in stem):
        raise UserError(
            f"`{name[:80]}` gives no name for a file",
            hint="give the image a plain name in the annotation file",
        )
    return stem


def join_folders(name: str) -> str:
    """Return a stated name with its folders as one file name: `a/1.jpg` becomes `a_1.jpg`.

    Raises UserError if no file can be called so.
    """
    text = "_".join(part for part in SEPARATORS.split(name) if part.strip("."))
    if not text or not fits_file_name(text):
        raise UserError(f"`{name[:80]}` gives no name for a file", hint="use a shorter path")
    return text


def fits_file_name(text: str) -> bool:
    """Tell whether a text is short enough for a file name, and valid Unicode."""
    try:
        return len(text.encode()) <= LONGEST
    except UnicodeEncodeError:
        return False
