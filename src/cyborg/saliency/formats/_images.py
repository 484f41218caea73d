"""Find the sizes of annotated images, and decode pictures that annotation files hold."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

import numpy as np

from cyborg.common.decode import DecodeError, displayed_size, open_image, read_orientation
from cyborg.common.errors import UserError
from cyborg.saliency.formats import _limits
from cyborg.saliency.match import find_image
from cyborg.saliency.pictures import read_displayed_size


def look_up_size(images: Path | None, name: str, location: str) -> tuple[int, int] | None:
    """Return the displayed size of the image that a name means. None without folder or file."""
    found = None if images is None else find_image(images, name, location)
    return read_displayed_size(found) if found else None


def require_size(images: Path | None, name: str, location: str) -> tuple[int, int]:
    """Return the size of an image without which nothing can be read, or raise UserError."""
    found = look_up_size(images, name, location)
    if found is None:
        raise UserError(
            f"the size of the image `{_limits.quote_value(name)}` is not stated, and positions are "
            + ("shares of it" if images is None else f"shares of it. It is not in {images}"),
            location=location,
            hint="give the folder of the images",
        )
    return found


def read_embedded_size(data: bytes, location: str) -> tuple[int, int]:
    """Return (width, height) of an image in memory.

    Raises UserError if the image does not decode, or if its EXIF data asks for a rotation.
    """
    try:
        with open_image(data) as picture:
            found, orientation = displayed_size(picture), read_orientation(picture)
    except DecodeError as error:
        raise UserError(
            f"is not a readable image: {_limits.quote_value(str(error))}", location=location
        ) from None
    if orientation != 1:
        raise UserError(
            "the embedded image has an EXIF rotation, and the file does not tell whether it was "
            "applied when the shapes were drawn",
            location=location,
            hint="save the annotation again with a newer version of the tool",
        )
    return found


def decode_picture(data: bytes, location: str, kinds: tuple[str, ...] = ("PNG",)) -> np.ndarray:
    """Return the pixels of a picture of one of the given kinds.

    The result is [H,W], or [H,W,2-4] with transparency or colours. Its type is that of the picture,
    mostly uint8. Raises UserError for other kinds, broken bytes, and too large pictures.
    """
    try:
        with open_image(data, kinds) as picture:
            if picture.mode == "P" and "transparency" in picture.info:
                return np.asarray(picture.convert("RGBA"))
            return np.asarray(picture)
    except DecodeError as error:
        raise UserError(
            f"is not a readable {' or '.join(kinds)} picture: {_limits.quote_value(str(error))}",
            location=location,
        ) from None


def find_marked_pixels(pixels: np.ndarray) -> np.ndarray:
    """Return which pixels of a mask picture are marked, bool [H,W].

    If the picture uses transparency, these are the pixels that are not fully transparent. If not,
    they are the pixels that are not black.
    """
    if pixels.ndim == 2:
        return np.asarray(pixels != 0)
    if pixels.shape[2] in (2, 4) and (pixels[..., -1] != 255).any():
        return np.asarray(pixels[..., -1] > 0)
    colours = pixels[..., : 1 if pixels.shape[2] == 2 else 3]
    return np.asarray(colours.any(axis=2))


def decode_base64(text: str, location: str) -> bytes:
    """Return the bytes behind base64 text, or raise UserError."""
    try:
        return base64.b64decode(re.sub(r"\s+", "", text), validate=True)
    except (binascii.Error, ValueError):
        raise UserError("is not valid base64", location=location) from None


def decode_data_url(text: str, location: str) -> bytes:
    """Return the bytes of a data URL of a PNG picture. Other types are a UserError."""
    start, _, content = text.strip().partition(",")
    if not re.fullmatch(r"data:image/png(;[\w=-]+)*;base64", start[:100], re.IGNORECASE):
        raise UserError(
            f"`{_limits.quote_value(start)}` is not the beginning of a PNG data URL",
            location=location,
            hint="`data:image/png;base64,…` is expected",
        )
    return decode_base64(content, location)
