"""Read pictures on disk for the user: their size as displayed, and grey pictures as maps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from cyborg.common import decode
from cyborg.common.errors import UserError

# JPEG noise moves grey pixels off the grey axis by some levels.
GREY_TOLERANCE = 12


@contextmanager
def open_picture(path: Path) -> Iterator[Image.Image]:
    """Open a picture. Raises UserError, naming the file, for whatever is wrong with it."""
    try:
        with decode.open_image(path) as picture:
            yield picture
    except FileNotFoundError as error:
        raise UserError("there is no such picture", location=path) from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror or error}", location=path) from error
    except decode.DecodeError as error:
        raise UserError(
            f"is not a picture that can be decoded: {str(error)[:200]}",
            location=path,
            hint="copy or save the file again. It may be cut short",
        ) from error


def read_displayed_size(path: Path) -> tuple[int, int]:
    """Return (width, height) of a picture as displayed, that is, with its EXIF rotation applied.

    Raises UserError if the file cannot be read.
    """
    with open_picture(path) as picture:
        return decode.displayed_size(picture)


def read_grey_map(path: Path) -> np.ndarray:
    """Return a grey picture as float32 [H,W], 0..1. Full scale of its bit depth is 1.

    Accepted are 8 and 16 bit, palette, and RGB with equal channels. If the picture has
    transparency and its opaque part has one colour only (strokes on a transparent sheet), the
    opacity is the value. With transparency and several colours, it is the grey value over black.

    Raises UserError for a picture in colour: which colour is high cannot be known.
    """
    with open_picture(path) as picture:
        upright = decode.turn_upright(picture)
        if upright.mode in ("I;16", "I;16B", "I;16L", "I"):
            values = np.asarray(upright).astype(np.float32)
            if values.min() < 0 or values.max() > 65535:
                raise UserError("has values beyond 16 bit", location=path)
            return values / np.float32(65535)
        if upright.mode in ("1", "L"):
            return np.asarray(upright.convert("L")).astype(np.float32) / np.float32(255)
        if upright.mode == "F":
            raise UserError(
                "is a floating-point picture without a stated scale",
                location=path,
                hint="save maps as 8 or 16 bit grey PNG",
            )
        if upright.has_transparency_data:
            return _read_transparent(np.asarray(upright.convert("RGBA")), path)
        return _read_colours(np.asarray(upright.convert("RGB")), path)


def _read_transparent(pixels: np.ndarray, path: Path) -> np.ndarray:
    colour, opacity = pixels[..., :3], pixels[..., 3].astype(np.float32) / np.float32(255)
    seen = colour[opacity > 0]
    if opacity.min() < 1 and len(seen) and (np.ptp(seen.astype(np.int16), axis=0) <= 2).all():
        return opacity
    over_black: np.ndarray = np.where(opacity[..., None] > 0, colour, 0)
    value: np.ndarray = _read_colours(over_black, path) * opacity
    return value


def _read_colours(colour: np.ndarray, path: Path) -> np.ndarray:
    spread = np.ptp(colour.astype(np.int16), axis=-1)
    # Single noisy pixels are forgiven, not a picture in colour.
    if np.mean(spread > GREY_TOLERANCE) > 0.01:
        raise UserError(
            "is a picture in colour, not a grey map",
            location=path,
            hint="save maps as grey pictures, white where saliency is high. If the colours are "
            "categories, use --format label_map (`format: label_map`)",
        )
    value: np.ndarray = colour.mean(axis=-1, dtype=np.float32) / np.float32(255)
    return value
