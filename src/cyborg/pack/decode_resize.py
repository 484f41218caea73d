"""Pack some files: read, verify, decode and resize them, then write rows of the arrays.

This is the work of each process of the pack stage.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from cyborg.common.decode import DecodeError, decode_rgb, open_image

# Increase this number if a change of the code changes pixels, so that all arrays are packed anew.
RULES = 1


@dataclass(frozen=True)
class PackedFile:
    """A file to pack: the name of its image, its path, and the sha256 of its bytes."""

    image: str
    path: str
    sha256: str


@dataclass(frozen=True)
class Chunk:
    """Neighbouring rows of the arrays of one source.

    first: number of the first row. outputs: for each size, the file that is being written and the
    offset of its data in bytes. grey: whether these are maps. quality: of the JPEG that every
    image is encoded as first, or None.
    """

    root: Path
    files: list[PackedFile]
    first: int
    outputs: dict[int, tuple[Path, int]]
    grey: bool
    quality: int | None


@dataclass(frozen=True)
class FileProblem:
    """A file that cannot be packed: the reason, its path, and a hint."""

    what: str
    path: str
    hint: str


@dataclass
class ChunkResult:
    """The sha256 of every row by size, the files with problems, and an error of the disk."""

    rows: dict[int, list[str]]
    problems: list[FileProblem] = field(default_factory=list)
    write_error: str = ""


def pack_chunk(chunk: Chunk) -> ChunkResult:
    """Write the rows of a chunk, or none of them if any file has a problem.

    Problems are returned and not raised, so that the caller can report those of all processes.
    """
    arrays: dict[int, list[np.ndarray]] = {size: [] for size in chunk.outputs}
    packed = ChunkResult({size: [] for size in chunk.outputs})
    for file in chunk.files:
        try:
            image = load_image(chunk.root / file.path, file.sha256, chunk.grey)
        except _UnusableFileError as error:
            stage = "rasterize" if chunk.grey else "download"
            hint = f"run `dvc repro {stage} --force`, then `dvc repro`"
            packed.problems.append(FileProblem(str(error), file.path, hint))
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
                # Not a memory map, because a full disk would crash the process.
                handle.seek(offset + chunk.first * count_row_bytes(size, chunk.grey))
                handle.write(np.stack(arrays[size]).tobytes())
    except OSError as error:
        packed.write_error = error.strerror or str(error)
    return packed


def load_image(path: Path, sha256: str, grey: bool) -> Image.Image:
    """Read an image in RGB, or a map in grey, from a file that must have this checksum.

    Raises _UnusableFileError if the file is missing, has another checksum, or does not decode.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _UnusableFileError(f"cannot be read: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise _UnusableFileError("is not the file that was indexed: its sha256 differs")
    try:
        if not grey:
            return decode_rgb(data)
        with open_image(data, ("PNG",)) as image:
            return image.convert("L")
    except DecodeError as error:
        raise _UnusableFileError(f"does not decode: {error}") from error


def encode_jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Return the image after encoding it as baseline JPEG, with chroma at half size."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    with open_image(buffer.getvalue(), ("JPEG",)) as again:
        return again.convert("RGB")


def resize_image(image: Image.Image, size: int) -> np.ndarray:
    """Return an image as uint8 [size,size,3], or [size,size] if it is grey.

    The resize is bilinear and antialiased. It does not keep the aspect ratio.
    """
    return np.ascontiguousarray(image.resize((size, size), Image.Resampling.BILINEAR))


def count_row_bytes(size: int, grey: bool) -> int:
    """Return the number of bytes of a packed image, or of a packed map."""
    return size * size * (1 if grey else 3)


class _UnusableFileError(Exception):
    """A file that cannot be packed. Its text is the reason."""
