"""Decode image files: open them safely, turn them upright, convert them to RGB.

This is the only module that calls `Image.open`, so that every part of the program reads the same
file in the same way.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin

from cyborg.common.errors import UserError

# Formats that are read, whatever a file's name ends in. Others are refused: for some of them
# Pillow starts a program (Ghostscript for EPS), which no downloaded file may do.
# Pillow knows TIFF and WebP only after their modules are imported, and would import those of all
# its formats if it were asked for one that it does not know.
IMAGE_FORMATS = (
    *("BMP", "GIF", "JPEG", "PNG", "PPM"),
    TiffImagePlugin.TiffImageFile.format,
    WebPImagePlugin.WebPImageFile.format,
)
# Largest image that is decoded, width times height. It is Pillow's own limit.
MAX_PIXELS = 178_956_970
# EXIF tag of the orientation, and its values that exchange width and height.
ORIENTATION = 0x0112
QUARTER_TURNS = (5, 6, 7, 8)

# Pillow warns of images near its limit and of odd metadata. Neither changes the pixels. The
# filter is global because `warnings.catch_warnings` is not safe in threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


class DecodeError(ValueError):
    """An image that cannot be decoded. Its text is the reason."""


@contextmanager
def open_image(
    source: Path | bytes, formats: tuple[str, ...] = IMAGE_FORMATS
) -> Iterator[Image.Image]:
    """Open an image file, or the bytes of one, without decoding its pixels yet.

    formats: the formats of Pillow that are accepted, such as `PNG`. They are told by content.

    Raises OSError if the file cannot be opened. Raises DecodeError for everything that goes wrong
    later, also while the caller decodes the image inside the `with` block: another format, broken
    bytes, more than MAX_PIXELS. A UserError of the caller passes unchanged.
    """
    handle = BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    with handle:
        try:
            with Image.open(handle, formats=formats) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise DecodeError(f"more than {MAX_PIXELS} pixels")
                yield image
        except (DecodeError, UserError):
            raise
        except UnidentifiedImageError:
            raise DecodeError("not an image, or of an unknown format") from None
        # Decoders answer a broken file with many kinds of errors (struct, zlib, index, syntax).
        except Exception as error:
            reason = re.sub(r" <_io\.\w+ [^>]*>", "", " ".join(str(error).split()))
            raise DecodeError(reason or type(error).__name__) from error


def decode_rgb(source: Path | bytes, draft: int | None = None) -> Image.Image:
    """Decode the first frame of an image file as it is displayed: RGB, EXIF rotation applied.

    draft: the decoder of JPEG may reduce the image, to no less than this side. That is fast and
    good enough for thumbnails.

    Raises OSError and DecodeError as `open_image` does. Floating-point pixels are a DecodeError.

    >>> buffer = BytesIO()
    >>> Image.new("L", (2, 1), 77).save(buffer, "PNG")
    >>> decode_rgb(buffer.getvalue()).getpixel((0, 0))
    (77, 77, 77)
    """
    with open_image(source) as image:
        if draft:
            image.draft("RGB", (draft, draft))
        image.load()
        return convert_to_rgb(turn_upright(image))


def turn_upright(image: Image.Image) -> Image.Image:
    """Return the image as it is displayed, that is, with its EXIF rotation applied."""
    return ImageOps.exif_transpose(image)


def read_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8. It is 1 if the image states none that is known."""
    value = image.getexif().get(ORIENTATION)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def displayed_size(image: Image.Image) -> tuple[int, int]:
    """Return (width, height) as displayed, without decoding the pixels.

    >>> displayed_size(Image.new("L", (4, 3)))
    (4, 3)
    """
    width, height = image.size
    return (height, width) if read_orientation(image) in QUARTER_TURNS else (width, height)


def convert_to_rgb(image: Image.Image) -> Image.Image:
    """Convert a decoded image of any mode to RGB.

    Transparency is laid over white. 16- and 32-bit integer grey is divided by 257, so that its
    full range becomes 0..255. Palettes, grey, 1-bit and CMYK are converted as Pillow does. Colour
    profiles are ignored. Raises DecodeError for floating-point pixels.
    """
    if image.mode == "I" or image.mode.startswith("I;16"):
        grey = np.clip(np.asarray(image, dtype=np.int64), 0, 65535)
        return Image.fromarray(((grey + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise DecodeError("floating-point pixels, whose range is not known")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
