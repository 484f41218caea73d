"""Label maps and per-part masks (CelebAMask-HQ): PNG pictures whose pixels are categories.

A label map holds the number of a category per pixel. 0 is background, and each other number is a
region. In a picture with a palette it is the number of the colour. A map in colours needs
`labelmap.txt` (`name:red,green,blue` per line, as CVAT's "Segmentation mask 1.1" writes it) beside
it or one folder up. In a folder that has `SegmentationClass`, only the maps in there are read. A
per-part mask `<image>_<part>.png` holds one part, black and white. The parts of a folder
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

from cyborg.common.decode import DecodeError, open_image
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
# A folder is recognised by some of its pictures, evenly chosen. Reading checks every one.
_LOOK = 32
_CLASSES = "SegmentationClass"
_COLOURS = "labelmap.txt"
# A picture of at least this many values of which most neighbours differ by one is a heat map.
_LEVELS = 5
_SMOOTH = 0.9

Colours = dict[tuple[int, int, int], str]


def recognise(path: Path, head: bytes) -> bool:
    """Tell whether a PNG is a per-part mask or grey map of small numbers, or a folder of these.

    A folder may hold masks of 0 and 1, and maps of one category. It may also have `labelmap.txt`.
    """
    if path.is_dir():
        files = _list_files(path)
        if files and _read_colours(files[0]) is not None:
            return True
        chosen = files[:: max(1, len(files) // _LOOK)]
        return all(_is_map(file, alone=False) for file in chosen) and any(
            _find_part(file) or _is_marked(file) for file in chosen
        )
    return head.startswith(_PNG) and _is_map(path, alone=True)


def read(path: Path, images: Path | None = None) -> Iterator[Annotation]:
    """Yield an Annotation per image, sorted by name.

    images: not needed. Sizes are those of the maps, which may be smaller than the images. Raises
    UserError for pictures that are not maps, and for parts of one image that differ in size.
    """
    files = _list_files(path) if path.is_dir() else [path]
    if not files:
        raise UserError("holds no PNG pictures", location=path)
    root = path if path.is_dir() else path.parent
    if path.is_dir() and _find_classes(path):
        root = _find_classes(path)[0]
    one_kind = all(_find_part(file) or not _has_kinds(file) for file in files)
    named = [(_name_image(file, root), file) for file in files]
    for name, group in groupby(sorted(named), key=lambda pair: pair[0]):
        size: tuple[int, int] | None = None
        regions: list[Region] = []
        budget = _shapes.MaskBudget()
        for _, file in group:
            values, names = _decode_map(file)
            own = (values.shape[1], values.shape[0])
            if size not in (None, own):
                raise UserError(
                    f"is {own[0]}×{own[1]}, other parts of {name} are not", location=file
                )
            size = own
            regions += _make_regions(values, names, one_kind, file, budget)
        yield Annotation(_limits.check_name(name, str(path)), size, tuple(regions))


def _has_kinds(file: Path) -> bool:
    """Tell whether a map holds a number above 1, so that numbers name categories of a list."""
    values, names = _decode_map(file)
    return names is None and bool(((values > 1) & (values != _BORDER)).any())


def _make_regions(
    values: np.ndarray,
    names: dict[int, str] | None,
    one_kind: bool,
    file: Path,
    budget: _shapes.MaskBudget,
) -> Iterator[Region]:
    """Yield a region per category. `names` are those of a map in colours, None for another."""
    part = _find_part(file)
    size = (values.shape[1], values.shape[0])
    if part:
        found = [(part, values > 0)] if (values > 0).any() else []
    else:
        border = () if names is not None else (_BORDER,)
        kinds = [int(value) for value in np.unique(values) if value not in (0, *border)]
        names = _name_categories(file, kinds, one_kind) if names is None else names
        found = [(names.get(kind, str(kind)), values == kind) for kind in kinds]
    for label, pixels in found:
        budget.count_pixels(pixels.size, str(file))
        yield Region((_shapes.make_mask(pixels, 0, 0, label, str(file), size),), label)


def _name_categories(file: Path, kinds: list[int], one_kind: bool) -> dict[int, str]:
    for name in ("labels.txt", "classes.txt"):
        if (file.parent / name).is_file():
            lines = _limits.read_bytes(file.parent / name).decode("utf-8-sig", "replace")
            return {k: line.strip() for k, line in enumerate(lines.splitlines()) if line.strip()}
    if one_kind:  # masks of 0 and 1, not of the parts of a face
        return {}
    return dict(enumerate(PARTS)) if max(kinds, default=0) < len(PARTS) else {}


def _find_classes(folder: Path) -> list[Path]:
    """Return the folder of class maps in an export of Pascal VOC's layout, if there is one."""
    return [f for f in sorted(folder.rglob(_CLASSES)) if f.is_dir()][:1]


def _list_files(folder: Path) -> list[Path]:
    return sorted(
        file
        for top in (_find_classes(folder) or [folder])
        for file in top.rglob("*")
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


def _decode_map(file: Path) -> tuple[np.ndarray, dict[int, str] | None]:
    """Return the numbers of a map [H,W], and the names of its colours, None if it has none."""
    if _find_part(file):
        values = _images.decode_picture(_limits.read_bytes(file), str(file))
        return _images.find_marked_pixels(values), None
    values = _decode_numbers(file)
    if values.ndim == 3:
        return _number_colours(values, file)
    if values.dtype != bool and np.unique(values).size > 256:
        raise UserError(
            "has more than 256 values, so it is a picture, not a label map",
            location=file,
            hint="ready-made maps are format `heatmap`",
        )
    return values, None


def _decode_numbers(file: Path) -> np.ndarray:
    """Return a picture as numbers [H,W], or [H,W,3] if it has colours.

    The numbers of a picture with a palette are those of the palette. Three equal channels are one.
    """
    try:
        with open_image(_limits.read_bytes(file), ("PNG",)) as picture:
            if picture.mode in ("P", "1", "L") or picture.mode.startswith("I"):
                return np.asarray(picture)
            values = np.asarray(picture.convert("RGB"))
    except DecodeError as error:
        raise UserError(
            f"is not a readable PNG picture: {_limits.quote_value(str(error))}", location=file
        ) from None
    if (values == values[..., :1]).all() and _read_colours(file) is None:
        return values[..., 0]
    return values


def _number_colours(values: np.ndarray, file: Path) -> tuple[np.ndarray, dict[int, str]]:
    """Return the numbers of the colours of a map, 0 for background, and their names."""
    colours = _read_colours(file)
    if colours is None:
        raise UserError(
            "has colours, but a label map has one number per pixel",
            location=file,
            hint=f"put `{_COLOURS}` (`name:red,green,blue` per line) beside it or one folder up",
        )
    packed = (values.astype(np.int64) * (65536, 256, 1)).sum(axis=-1)
    found, numbers = np.unique(packed, return_inverse=True)
    result = np.zeros(len(found), dtype=np.int64)
    names: dict[int, str] = {}
    order = {name: number for number, name in enumerate(dict.fromkeys(colours.values()), 1)}
    for place, code in enumerate(found.tolist()):
        colour = (code >> 16, code >> 8 & 255, code & 255)
        if colour not in colours:
            raise UserError(
                f"has the colour {colour}, which is not in {_COLOURS}",
                location=file,
                hint="it may have been saved with loss, or belong to another export",
            )
        name = colours[colour]
        if name.casefold() != "background":
            result[place] = order[name]
            names[order[name]] = name
    return result[numbers].reshape(packed.shape), names


def _read_colours(file: Path) -> Colours | None:
    """Return the categories by colour, from labelmap.txt beside a map or one folder up."""
    for folder in (file.parent, file.resolve().parent.parent):
        if (folder / _COLOURS).is_file():
            return _parse_colours(folder / _COLOURS)
    return None


def _parse_colours(path: Path) -> Colours:
    colours: Colours = {}
    for number, line in enumerate(
        _limits.read_bytes(path).decode("utf-8-sig", "replace").splitlines(), 1
    ):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, rest = line.strip().partition(":")
        parts = rest.partition(":")[0].split(",")
        if len(parts) != 3:
            raise UserError(
                f"`{_limits.quote_value(line)}` is not `name:red,green,blue`",
                location=f"{path}:{number}",
            )
        red, green, blue = (
            _limits.check_integer(
                _limits.parse_number(part, f"{path}:{number}"), f"{path}:{number}", high=255
            )
            for part in parts
        )
        colours[red, green, blue] = name
    return colours


def _is_map(file: Path, alone: bool) -> bool:
    """Tell whether a PNG is surely one of these: a black and white part, or small numbers.

    alone: whether the file is looked at by itself. It must then hold two categories, and coloured
    pictures are no maps, because they may be photographs that lie beside annotations. Pictures
    with a palette are everyday drawings, so they are not taken without being asked for.
    """
    try:
        with file.open("rb") as handle:
            kind = handle.read(26)[25:]
        if kind == _PALETTE or (alone and kind != _GREY and not _find_part(file)):
            return False
        if _find_part(file):
            pixels = _images.decode_picture(_limits.read_bytes(file), str(file))
            return bool(np.unique(pixels).size <= 2)
        pixels = _decode_numbers(file)
    except (UserError, OSError):
        return False
    if pixels.ndim != 2 or pixels.dtype == bool:
        return False
    kinds = np.unique(pixels)
    if alone:
        small = kinds.size > 2 and kinds[0] == 0 and kinds[-1] < len(PARTS)
        return bool(small) and not _is_smooth(pixels, len(kinds))
    numbers = kinds[kinds != _BORDER]
    small = not len(numbers) or numbers[-1] < len(PARTS)
    # White alone is a mask of black and white.
    only_white = bool(len(kinds) > len(numbers)) and not numbers.any()
    return bool(small) and not only_white and not _is_smooth(pixels, len(kinds))


def _is_marked(file: Path) -> bool:
    return bool(_decode_numbers(file).any())


def _is_smooth(pixels: np.ndarray, kinds: int) -> bool:
    """Tell whether most neighbours that differ do so by one, as in a faint heat map."""
    if kinds < _LEVELS:
        return False
    wide = pixels.astype(np.int64)
    steps = np.concatenate([np.abs(np.diff(wide, axis=axis)).ravel() for axis in (0, 1)])
    steps = steps[steps > 0]
    return bool(np.mean(steps == 1) > _SMOOTH) if len(steps) else False


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
    tools=(
        "Label maps, masks of 0 and 1, per-part masks of CelebAMask-HQ, and CVAT's \"Segmentation "
        'mask 1.1" (PNG)'
    ),
    reads="Every category of a map, or the part at the end of a mask's file name.",
    size="That of the map.",
    skips="The numbers 0 (background) and 255 (border).",
    refuses=(
        "Pictures in colour without `labelmap.txt`, colours that it does not list, maps of "
        "more than 256 numbers, and parts of different sizes."
    ),
    reads_folders=True,
)
