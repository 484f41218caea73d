"""Images that belong to annotations: their sizes as displayed, and pictures inside files."""

from __future__ import annotations

import base64
import binascii
import io
import re
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from cyborg.common.errors import UserError
from cyborg.saliency.formats import _limits, _names

_ORIENTATION = 0x0112


def size(path: Path) -> tuple[int, int]:
    """(width, height) of an image as displayed, that is, with its EXIF rotation applied."""
    return _displayed(path, str(path))[0]


def looked_up(images: Path | None, name: str, where: str) -> tuple[int, int] | None:
    """Size of the image that a name means in the folder; None without folder or file."""
    found = None if images is None else _names.find(images, name)
    return size(found) if found else None


def needed(images: Path | None, name: str, where: str) -> tuple[int, int]:
    """The same where nothing can be read without the size; UserError where there is none."""
    found = looked_up(images, name, where)
    if found is None:
        raise UserError(
            f"the size of the image `{_limits.show(name)}` is not stated, and positions are "
            + ("shares of it" if images is None else f"shares of it; it is not in {images}"),
            where=where,
            hint="give the folder of the images",
        )
    return found


def size_of_bytes(data: bytes, where: str) -> tuple[int, int]:
    """(width, height) of an image in memory; refused where its EXIF asks for a rotation."""
    found, orientation = _displayed(io.BytesIO(data), where)
    if orientation not in (0, 1):
        raise UserError(
            "the embedded image has an EXIF rotation, and the file does not tell whether it was "
            "applied when the shapes were drawn",
            where=where,
            hint="save the annotation again with a newer version of the tool",
        )
    return found


def decode(data: bytes, where: str, kinds: tuple[str, ...] = ("PNG",)) -> np.ndarray:
    """Pixels of a picture of one of the given kinds, uint8 [H,W] or [H,W,2-4], or other types.

    Raises UserError where it is of another kind, broken, or larger than MAX_PIXELS.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=kinds) as picture:
                _limits.size(*picture.size, where)
                if picture.mode == "P" and "transparency" in picture.info:
                    return np.asarray(picture.convert("RGBA"))
                return np.asarray(picture)
    except UserError:
        raise
    # Pillow raises almost anything on hostile bytes (SyntaxError, struct.error, IndexError …).
    except Exception as error:
        raise UserError(
            f"is not a readable {' or '.join(kinds)} picture: {_limits.show(str(error))}",
            where=where,
        ) from None


def marked(pixels: np.ndarray) -> np.ndarray:
    """Which pixels of a mask picture are marked, bool [H,W].

    Opaque ones where the picture has transparency that is used, else those that are not black.
    """
    if pixels.ndim == 2:
        return np.asarray(pixels != 0)
    if pixels.shape[2] in (2, 4) and (pixels[..., -1] != 255).any():
        return np.asarray(pixels[..., -1] > 0)
    colours = pixels[..., : 1 if pixels.shape[2] == 2 else 3]
    return np.asarray(colours.any(axis=2))


def from_base64(text: str, where: str) -> bytes:
    """The bytes behind base64 text."""
    try:
        return base64.b64decode(re.sub(r"\s+", "", text), validate=True)
    except (binascii.Error, ValueError):
        raise UserError("is not valid base64", where=where) from None


def from_data_url(text: str, where: str) -> bytes:
    """The bytes of a data URL of a PNG picture; other types are refused."""
    start, _, content = text.strip().partition(",")
    if not re.fullmatch(r"data:image/png(;[\w=-]+)*;base64", start[:100], re.IGNORECASE):
        raise UserError(
            f"`{_limits.show(start)}` is not the beginning of a PNG data URL",
            where=where,
            hint="`data:image/png;base64,…` is expected",
        )
    return from_base64(content, where)


def _displayed(source: Path | io.BytesIO, where: str) -> tuple[tuple[int, int], int]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(source) as picture:
                width, height = _limits.size(*picture.size, where)
                orientation = int(picture.getexif().get(_ORIENTATION, 0))
    except UserError:
        raise
    # As above: whatever the bytes are, the message is the same.
    except Exception as error:
        raise UserError(
            f"is not a readable image: {_limits.show(str(error))}", where=where
        ) from None
    return ((height, width) if 5 <= orientation <= 8 else (width, height)), orientation
