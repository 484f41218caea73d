"""One way to turn a file's bytes into RGB pixels, for packing and for comparing pictures."""

from __future__ import annotations

import re
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps


def decode(data: bytes, draft: int | None = None) -> Image.Image:
    """Decode the first frame of an image file as it is displayed: RGB, EXIF rotation applied.

    Transparency is laid over white; 16- and 32-bit integer grey is divided by 257 (its full
    range becomes 0..255); palettes, grey, 1-bit and CMYK are converted as Pillow does; colour
    profiles are ignored. draft: the decoder of JPEG may reduce the image, to no less than this
    side (fast, for thumbnails only).

    Raises ValueError, with the reason, for whatever does not decode, floating-point pixels, and
    images beyond Pillow's limit for decompression bombs.
    """
    try:
        with Image.open(BytesIO(data)) as image:
            if draft:
                image.draft("RGB", (draft, draft))
            image.load()
            return rgb(ImageOps.exif_transpose(image))
    except Exception as error:
        # Decoders answer a broken file with many kinds of errors (struct, zlib, index, syntax).
        reason = re.sub(r" <_io\.BytesIO object at \w+>", "", str(error))
        raise ValueError(reason or type(error).__name__) from error


def rgb(image: Image.Image) -> Image.Image:
    """Convert a decoded image of any mode to RGB by the rules of `decode`."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        grey = np.clip(np.asarray(image, dtype=np.int64), 0, 65535)
        return Image.fromarray(((grey + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("has floating-point pixels, whose range is not known")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
