"""Describe one image file: content hash, size, header features, perceptual hash."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import imagehash
import numpy as np
from PIL import Image, JpegImagePlugin

from cyborg.common.decode import DecodeError, displayed_size, open_image, turn_upright

HASHED = 256
"""JPEGs are decoded no larger than needed for this side before they are hashed."""
SUBSAMPLING = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}


class ImageDescription(NamedTuple):
    """What is learnt from one file; columns of docs/formats.md#images."""

    sha256: str
    bytes: int
    width: int
    height: int
    format: str
    mode: str
    header: str
    hash: str
    problem: str


def describe_image(path: str) -> ImageDescription:
    """Read one file: sha256, size as displayed, header features, perceptual hash, problem.

    Never raises for what is in the file: a decoder may fail in any way on broken bytes.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        return ImageDescription("", 0, 0, 0, "", "", "{}", "", f"cannot be read: {error.strerror}")
    digest = hashlib.sha256(data).hexdigest()
    known = ImageDescription(digest, len(data), 0, 0, "", "", "{}", "", "")
    if not data:
        return known._replace(problem="is empty")
    try:
        with open_image(data) as image:
            known = known._replace(
                format=image.format or "", mode=image.mode, header=_read_header(image, data)
            )
            width, height = displayed_size(image)
            return known._replace(width=width, height=height, hash=_hash_image(image))
    except DecodeError as error:
        return known._replace(problem=f"does not decode: {error}")


def _read_header(image: Image.Image, data: bytes) -> str:
    """What the file's header tells apart from its pixels, as JSON."""
    features: dict[str, Any] = {
        "quantisation": None,
        "progressive": bool(image.info.get("progressive", False)),
        "subsampling": None,
        "exif": "exif" in image.info,
        "icc": bool(image.info.get("icc_profile")),
        "bits": _count_bits(image, data),
    }
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        if image.quantization:
            features["quantisation"] = float(np.mean(image.quantization[min(image.quantization)]))
        features["subsampling"] = SUBSAMPLING.get(JpegImagePlugin.get_sampling(image))
    return json.dumps(features, sort_keys=True)


def _count_bits(image: Image.Image, data: bytes) -> int:
    """Bits per channel as stored (Pillow reduces 16-bit colour to 8 when it opens a PNG)."""
    if image.format == "PNG":
        return data[24]
    if image.mode.startswith("I;16"):
        return 16
    return {"1": 1, "I": 32, "F": 32}.get(image.mode, 8)


def _hash_image(image: Image.Image) -> str:
    """64-bit perceptual hash of the image as displayed; decodes the whole file."""
    image.draft("L", (HASHED, HASHED))  # JPEG: luma only, at a half, a quarter or an eighth
    image.load()
    return str(imagehash.phash(_convert_to_grey(turn_upright(image))))


def _convert_to_grey(image: Image.Image) -> Image.Image:
    if image.mode[0] not in "IF":
        return image.convert("L")
    # Pillow would clip these to 0..255.
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    low, high = (0.0, 65535.0) if image.mode.startswith("I;16") else (values.min(), values.max())
    scaled = (values - low) / (high - low or 1.0) * 255
    return Image.fromarray(scaled.round().astype(np.uint8))
