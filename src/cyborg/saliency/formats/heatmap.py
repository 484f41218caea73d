"""Ready-made maps as grey pictures, one per image, white if saliency is high.

A folder, or one picture. A map has the file name of the image, with its extension or another, or
`<stem>_blended` (VISER). This is the layout of the published CYBORG data. Maps have 8 or 16 bits.
They are grey, RGB with equal channels, with a palette or with transparency
(see cyborg/saliency/pictures.py). Full scale is 1. A map of zeros means that nothing was marked.
The files do not tell who marked, so there is one annotator.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cyborg.common.errors import UserError
from cyborg.saliency.annotation import Annotation
from cyborg.saliency.formats._base import Format
from cyborg.saliency.formats._example import Example, encode_png
from cyborg.saliency.pictures import read_displayed_size

# Folders of masks and label maps are pictures as well: their formats come first.
MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"II*\x00", b"MM\x00*")
BLENDED = "_blended"


def recognise(path: Path, head: bytes) -> bool:
    """Tell whether this is a picture, or a folder of pictures only, by content."""
    if path.is_dir():
        files = _list_files(path)
        return bool(files) and all(_is_picture(file) for file in files)
    return head.startswith(MAGIC)


def read(path: Path, images: Path | None = None) -> Iterator[Annotation]:
    """Yield one Annotation per picture. The pictures are decoded when they are needed.

    images: not needed. Raises UserError for a file that is not a picture, and for two maps of one
    image.
    """
    files = _list_files(path) if path.is_dir() else [path]
    if not files:
        raise UserError("holds no maps", location=path)
    seen: dict[str, Path] = {}
    for file in files:
        name = file.relative_to(path).as_posix() if path.is_dir() else file.name
        stem = name[: -len(file.suffix)] if file.suffix else name
        name = stem.removesuffix(BLENDED) + file.suffix
        if name in seen:
            raise UserError(
                f"is a second map of `{name}`",
                location=file,
                hint=f"keep only one of them, this or {seen[name]}",
            )
        seen[name] = file
        yield Annotation(image=name, size=read_displayed_size(file), heat_file=file)


def _list_files(folder: Path) -> list[Path]:
    return [
        file
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not any(p.startswith(".") for p in file.relative_to(folder).parts)
    ]


def _is_picture(file: Path) -> bool:
    with file.open("rb") as handle:
        return handle.read(8).startswith(MAGIC)


_HEIGHTS = [[0, 51, 102, 51, 0], [0, 102, 204, 102, 0], [0, 0, 51, 0, 0]]
EXAMPLE = Example(
    {"drawing.png": encode_png(np.array(_HEIGHTS, dtype=np.uint8))},
    marked=".111.\n.111.\n..1..\n",
    labels=(),
)

FORMAT = Format(
    recognise,
    read,
    example=EXAMPLE,
    title="Ready-made maps",
    tools="Any program that writes one grey picture per image (PNG, JPEG, BMP, TIFF)",
    reads="The map itself, 8 or 16 bits.",
    size="That of the map.",
    refuses="Pictures in colour, floating-point pictures, and two maps of one image.",
    general=True,
    reads_folders=True,
)
