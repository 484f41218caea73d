"""Label maps and per-part masks (CelebAMask-HQ): PNG pictures whose pixels are categories.

A label map holds the number of a category per pixel. 0 is background, and each other number is a
region. A per-part mask `<image>_<part>.png` holds one part, black and white. The parts of a folder
are put together. The file names the image. `labels.txt` or `classes.txt` beside the file names the
numbers (one name per line, the first is that of 0). Without it, the order of CelebAMask-HQ names
them if none is above 18. 255, the border of VOC, is left out.

Source: switchablenorms/CelebAMask-HQ.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from cyborg.common.errors import UserError
from cyborg.saliency.annotation import Annotation, Region
from cyborg.saliency.formats import _images, _limits, _shapes
from cyborg.saliency.formats._base import Format
from cyborg.saliency.formats._example import Example, encode_png

_ORDER = (
    "background skin nose eye_g l_eye r_eye l_brow r_brow l_ear r_ear mouth u_lip l_lip hair hat "
    "ear_r neck_l neck cloth"
)
PARTS = _ORDER.split()
_PNG = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = b"\x00", b"\x03"
_BORDER = 255
# A folder is recognised by its first pictures. Reading checks every one.
_LOOK = 8


def recognise(path: Path, head: bytes) -> bool:
    """Tell whether a PNG is a per-part mask or grey map of small numbers, or a folder of these."""
    if path.is_dir():
        files = _list_files(path)
        return bool(files) and all(_is_map(file) for file in files[:_LOOK])
    return head.startswith(_PNG) and _is_map(path)


def read(path: Path, images: Path | None = None) -> Iterator[Annotation]:
    """Yield an Annotation per image, sorted by name.

    images: not needed. Sizes are those of the maps, which may be smaller than the images. Raises
    UserError for pictures that are not maps, and for parts of one image that differ in size.
    """
    files = _list_files(path) if path.is_dir() else [path]
    if not files:
        raise UserError("holds no PNG pictures", where=path)
    root = path if path.is_dir() else path.parent
    named = [(_name_image(file, root), file) for file in files]
    for name, group in groupby(sorted(named), key=lambda pair: pair[0]):
        size: tuple[int, int] | None = None
        regions: list[Region] = []
        budget = _shapes.MaskBudget()
        for _, file in group:
            values = _decode_map(file)
            own = (values.shape[1], values.shape[0])
            if size not in (None, own):
                raise UserError(f"is {own[0]}×{own[1]}, other parts of {name} are not", where=file)
            size = own
            regions += _make_regions(values, file, budget)
        yield Annotation(_limits.check_name(name, str(path)), size, tuple(regions))


def _make_regions(values: np.ndarray, file: Path, budget: _shapes.MaskBudget) -> Iterator[Region]:
    part = _find_part(file)
    size = (values.shape[1], values.shape[0])
    if part:
        found = [(part, values > 0)] if (values > 0).any() else []
    else:
        kinds = [int(value) for value in np.unique(values) if value not in (0, _BORDER)]
        names = _name_categories(file, kinds)
        found = [(names.get(kind, str(kind)), values == kind) for kind in kinds]
    for label, pixels in found:
        budget.count_pixels(pixels.size, str(file))
        yield Region((_shapes.make_mask(pixels, 0, 0, label, str(file), size),), label)


def _name_categories(file: Path, kinds: list[int]) -> dict[int, str]:
    for name in ("labels.txt", "classes.txt"):
        if (file.parent / name).is_file():
            lines = _limits.read_bytes(file.parent / name).decode("utf-8-sig", "replace")
            return {k: line.strip() for k, line in enumerate(lines.splitlines()) if line.strip()}
    return dict(enumerate(PARTS)) if max(kinds, default=0) < len(PARTS) else {}


def _list_files(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() == ".png" and file.is_file() and not file.name.startswith(".")
    )


def _find_part(file: Path) -> str:
    """Return the longest part that the name of a mask ends in, or ""."""
    fits = [part for part in PARTS if file.stem.endswith(f"_{part}") and part != "background"]
    return max(fits, key=len, default="")


def _name_image(file: Path, root: Path) -> str:
    """Return the name of the image: that of the file, without the part.

    CelebAMask-HQ numbers its masks in folders 0 to 14 with five digits, and its images without
    leading zeros: `3/07126_hair.png` is of image `7126`.
    """
    part = _find_part(file)
    if not part:
        return file.relative_to(root).as_posix()
    stem = file.stem.removesuffix(f"_{part}")
    return str(int(stem)) if len(stem) == 5 and stem.isascii() and stem.isdigit() else stem


def _decode_map(file: Path) -> np.ndarray:
    values = _images.decode_picture(_limits.read_bytes(file), str(file))
    part = _find_part(file)
    if part:
        values = _images.find_marked_pixels(values)
    if values.ndim != 2:
        raise UserError("has colours, but a label map has one number per pixel", where=file)
    if values.dtype != bool and np.unique(values).size > 256:
        raise UserError(
            "has more than 256 values, so it is a picture, not a label map",
            where=file,
            hint="ready-made maps are format `heatmap`",
        )
    return values


def _is_map(file: Path) -> bool:
    """Tell whether a PNG is surely one of these: a black and white part, or small numbers."""
    try:
        with file.open("rb") as handle:
            kind = handle.read(26)[25:]
        # Coloured pictures are no maps, and drawings with a palette are everyday pictures: they
        # are not taken without being asked for, nor decoded here, which would take long.
        if kind != _GREY and not (_find_part(file) and kind != _PALETTE):
            return False
        pixels = _images.decode_picture(_limits.read_bytes(file), str(file))
    except (UserError, OSError):
        return False
    if _find_part(file):
        return bool(np.unique(pixels).size <= 2)
    if pixels.ndim != 2 or pixels.dtype == bool:
        return False
    kinds = np.unique(pixels)
    return bool(kinds.size > 2 and kinds[0] == 0 and kinds[-1] < len(PARTS))


_NUMBERS = [[4, 4, 4, 0, 0], [4, 4, 0, 0, 0], [0, 0, 0, 10, 10]]
EXAMPLE = Example(
    {"drawing.png": encode_png(np.array(_NUMBERS, dtype=np.uint8))},
    marked="111..\n11...\n...22\n",
    labels=("l_eye", "mouth"),
)

FORMAT = Format(
    recognise,
    read,
    example=EXAMPLE,
    title="Label maps",
    tools="Label maps and per-part masks of CelebAMask-HQ and similar sets (PNG)",
    reads="Every category of a map, or the part at the end of a mask's file name.",
    size="That of the map.",
    skips="The numbers 0 (background) and 255 (border).",
    refuses="Pictures in colour, maps of more than 256 numbers, and parts of different sizes.",
)
