"""Pictures on disk: their size as displayed, and grey pictures as maps."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from cyborg.common.errors import UserError
from cyborg.saliency.formats._limits import MAX_PIXELS

# EXIF orientations that exchange width and height.
TURNED = (5, 6, 7, 8)
# JPEG noise moves grey pixels off the grey axis by some levels.
GREY_TOLERANCE = 12


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture; whatever is wrong with it is a UserError that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                check_pixels(picture.size, path)
                yield picture
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError("there is no such picture", where=path) from error
    # Decoders fail in any way on broken bytes: struct.error, zlib.error, IndexError, MemoryError …
    except Exception as error:
        raise UserError(
            f"is not a picture that can be decoded: {_short(error)}",
            where=path,
            hint="copy or save the file again; it may be cut short",
        ) from error


def _short(error: Exception) -> str:
    return str(error)[:200] or type(error).__name__


def check_pixels(size: tuple[int, int], where: str | Path) -> None:
    """Refuse a size that no map is made for."""
    width, height = size
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise UserError(
            f"size {width} x {height} is not a plausible image",
            where=where,
            hint=f"between 1 and {MAX_PIXELS} pixels are expected",
        )


def displayed_size(path: Path) -> tuple[int, int]:
    """(width, height) of a picture as displayed: its EXIF rotation applied. UserError if unread."""
    with opened(path) as picture:
        width, height = picture.size
        turned = picture.getexif().get(0x0112) in TURNED
    return (height, width) if turned else (width, height)


def rgb(path: Path) -> np.ndarray:
    """A picture as uint8 [H,W,3], as displayed. UserError if it does not decode."""
    with opened(path) as picture:
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))


def grey_map(path: Path) -> np.ndarray:
    """A grey picture as float32 [H,W], 0..1 (full scale of its bit depth is 1).

    8 and 16 bit, palette, RGB with equal channels. With transparency: where the opaque part has
    one colour only (strokes on a transparent sheet) the opacity is the value, else the grey value
    over black. A picture in colour is a UserError: which colour is high cannot be known.
    """
    with opened(path) as picture:
        turned = ImageOps.exif_transpose(picture)
        if turned.mode in ("I;16", "I;16B", "I;16L", "I"):
            values = np.asarray(turned).astype(np.float32)
            if values.min() < 0 or values.max() > 65535:
                raise UserError("has values beyond 16 bit", where=path)
            return values / np.float32(65535)
        if turned.mode in ("1", "L"):
            return np.asarray(turned.convert("L")).astype(np.float32) / np.float32(255)
        if turned.mode == "F":
            raise UserError(
                "is a floating-point picture without a stated scale",
                where=path,
                hint="save maps as 8 or 16 bit grey PNG",
            )
        if turned.has_transparency_data:
            return _transparent(np.asarray(turned.convert("RGBA")), path)
        return _grey(np.asarray(turned.convert("RGB")), path)


def _transparent(pixels: np.ndarray, path: Path) -> np.ndarray:
    colour, opacity = pixels[..., :3], pixels[..., 3].astype(np.float32) / np.float32(255)
    seen = colour[opacity > 0]
    if opacity.min() < 1 and len(seen) and (np.ptp(seen.astype(np.int16), axis=0) <= 2).all():
        return opacity
    return _grey(np.where(opacity[..., None] > 0, colour, 0), path) * opacity


def _grey(colour: np.ndarray, path: Path) -> np.ndarray:
    spread = np.ptp(colour.astype(np.int16), axis=-1)
    # Single noisy pixels are forgiven, not a picture in colour.
    if np.mean(spread > GREY_TOLERANCE) > 0.01:
        raise UserError(
            "is a picture in colour, not a grey map",
            where=path,
            hint="save maps as grey pictures, white where saliency is high",
        )
    return colour.mean(axis=-1, dtype=np.float32) / np.float32(255)
