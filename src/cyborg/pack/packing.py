"""What a process of the pack stage does: read, verify, decode, resize, write some rows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from cyborg.common.decode import DecodeError, decode_rgb, open_image

RULES = 1
"""Raise it when pixels come out differently: arrays packed by other rules are packed again."""


@dataclass(frozen=True)
class Item:
    """One file to pack: name of the image, path of the file, sha256 of its bytes."""

    image: str
    file: str
    sha256: str


@dataclass(frozen=True)
class Chunk:
    """Neighbouring rows of the arrays of one source.

    outputs: size: (file that is being written, offset of its first row in bytes).
    quality: JPEG quality of the uniform encoding, None for none. grey: maps instead of images.
    """

    root: Path
    items: list[Item]
    first: int
    outputs: dict[int, tuple[Path, int]]
    grey: bool
    quality: int | None


@dataclass
class Packed:
    """sha256 of every row by size; what is wrong with which file; a failure to write."""

    rows: dict[int, list[str]]
    problems: list[tuple[str, str, str]] = field(default_factory=list)
    disk: str = ""


def pack_chunk(chunk: Chunk) -> Packed:
    """Write the rows of a chunk; with a problem in any file, none of them.

    Problems are returned, not raised: (what, file, hint), for they cross processes.
    """
    arrays: dict[int, list[np.ndarray]] = {size: [] for size in chunk.outputs}
    packed = Packed({size: [] for size in chunk.outputs})
    for item in chunk.items:
        try:
            image = load_image(chunk.root / item.file, item.sha256, chunk.grey)
        except _Problem as problem:
            packed.problems.append((str(problem), item.file, problem.hint))
            continue
        if chunk.quality is not None:
            image = encode_jpeg(image, chunk.quality)
        for size, rows in arrays.items():
            row = resize_image(image, size)
            rows.append(row)
            packed.rows[size].append(hashlib.sha256(row.tobytes()).hexdigest())
    if packed.problems:
        return packed
    try:
        for size, (path, offset) in chunk.outputs.items():
            with path.open("r+b") as handle:
                # Plain writes, not a mapping: a full disk is an error here and a crash there.
                handle.seek(offset + chunk.first * count_row_bytes(size, chunk.grey))
                handle.write(np.stack(arrays[size]).tobytes())
    except OSError as error:
        packed.disk = error.strerror or str(error)
    return packed


def load_image(path: Path, sha256: str, grey: bool) -> Image.Image:
    """Read a file that must have this checksum; RGB, or grey for maps.

    Raises _Problem where it is gone, another, or does not decode.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _Problem(f"cannot be read: {error.strerror}", grey) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise _Problem("is not the file that was indexed: its sha256 differs", grey)
    try:
        if not grey:
            return decode_rgb(data)
        with open_image(data, ("PNG",)) as image:
            return image.convert("L")
    except DecodeError as error:
        raise _Problem(f"does not decode: {error}", grey) from error


def encode_jpeg(image: Image.Image, quality: int) -> Image.Image:
    """The image after JPEG of this quality: baseline, chroma at half size."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    with open_image(buffer.getvalue(), ("JPEG",)) as again:
        return again.convert("RGB")


def resize_image(image: Image.Image, size: int) -> np.ndarray:
    """uint8 [size,size,3], or [size,size] of a grey one: bilinear, antialiased, aspect ignored."""
    return np.ascontiguousarray(image.resize((size, size), Image.Resampling.BILINEAR))


def count_row_bytes(size: int, grey: bool) -> int:
    """Bytes of one packed row."""
    return size * size * (1 if grey else 3)


class _Problem(Exception):
    def __init__(self, what: str, grey: bool):
        stage = "rasterize" if grey else "download"
        self.hint = f"run `dvc repro {stage} --force`, then `dvc repro`"
        super().__init__(what)
