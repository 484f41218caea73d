"""COCO: instances, stuff, results and SA-1B in one JSON file.

`segmentation` has one of three forms. It is a list of polygons (flat lists x0, y0, x1, y1, …),
which are parts of one region without holes. Or it is one such flat list, as VIA writes it. Or it is
a run-length code: `size` is [height, width], and `counts` run down the columns, background first,
as numbers or as COCO's compressed text. If it is empty, `bbox` [x, y, width, height] is the region.

`iscrowd` does not matter, because CVAT exports ellipses drawn by people as crowds. The number of an
image may be text in one of the two places. Results are a bare list without images, so the number is
the name. SA-1B has one `image` instead of `images`. The file does not tell who drew a region, so
there is one annotator. An image without regions is one with nothing marked.

Source: https://cocodataset.org/#format-data, and maskApi.c of cocoapi (BSD).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as codec

from cyborg.common.decode import MAX_PIXELS
from cyborg.common.errors import UserError
from cyborg.saliency.annotation import Annotation, Region, Shape
from cyborg.saliency.formats import _json, _limits, _shapes
from cyborg.saliency.formats._base import Format
from cyborg.saliency.formats._example import Example
from cyborg.saliency.match import find_image

Size = tuple[int, int] | None
SHAPES = ("segmentation", "bbox")
# Reasons for which something is left out.
NO_AREA, KEY_POINTS = "part of fewer than three points", "list of key points"


def recognise(path: Path, head: bytes) -> bool:
    """Tell whether this is a COCO file. `annotations` may stand far behind `images`."""
    sketch = _json.sketch_keys(head)
    if any(sketch.has_path("[]", "image_id") and sketch.has_path("[]", key) for key in SHAPES):
        return True
    if sketch.has_path("annotations", "[]") or sketch.has_path("annotations", "[]", "*"):
        seen = sketch
    elif sketch.has_path("images", "[]", "file_name") or sketch.has_path("images", "[]", "id"):
        seen = _json.sketch_keys(_find_behind(path, b'"annotations"'))
    else:
        return False
    if any(seen.has_path("annotations", "[]", key) for key in SHAPES):
        return True
    empty = seen.has_path("annotations") and not seen.has_path("annotations", "[]", "*")
    return empty and sketch.has_path("images", "[]", "file_name")


def read(path: Path, images: Path | None = None) -> Iterator[Annotation]:
    """Yield one Annotation per image, in the order of the file.

    images: not needed. An image that was renamed by Roboflow is looked up in it. Raises UserError,
    naming the record and field, for anything that is not as described above.
    """
    root = _json.read_file(path)
    if isinstance(root.value, list):
        yield from _read_results(root)
        return
    labels = _read_categories(root.get("categories"))
    entries = (
        [root.get("image")]
        if root.get("images").is_missing
        else list(root.get("images").elements())
    )
    if entries[0:1] and entries[0].is_missing:
        raise root.make_error("has neither `images` nor `image`")
    places: dict[str, int] = {}
    for number, image in enumerate(entries):
        key = _read_key(image.get("id", "image_id"))
        if key in places:
            raise image.make_error(f"the image number {_limits.quote_value(key)} is a duplicate")
        places[key] = number
    regions: list[list[_json.Node]] = [[] for _ in entries]
    for record in root.get("annotations").elements():
        # SA-1B leaves out the number, for there is one image only.
        stated = record.get("image_id")
        one = len(entries) == 1 and stated.is_missing
        place = 0 if one else places.get(_read_key(stated))
        if place is None:
            raise stated.make_error(f"no image has the number {_limits.quote_value(stated.value)}")
        regions[place].append(record)
    names: dict[str, str] = {}
    for image, records in zip(entries, regions, strict=True):
        name = _find_name(image, images, path)
        other = names.setdefault(name, image.location)
        if other != image.location:
            raise image.make_error(
                f"is a second version of the image `{name}`, as {other} is",
                hint="export the images without augmentation, or give the exported images",
            )
        size = _read_size(image)
        budget = _shapes.MaskBudget()
        left_out: list[str] = []
        found = [_read_region(record, labels, size, budget, left_out)[0] for record in records]
        regions_ = tuple(region for region in found if region.shapes)
        yield Annotation(image=name, size=size, regions=regions_, left_out=tuple(left_out))


def _find_name(image: _json.Node, images: Path | None, path: Path) -> str:
    """Return the name of an image.

    Roboflow renames images and keeps the name before in `extra`. It counts if the image of the
    new name is not in the folder and that of the old one is.
    """
    name = _limits.check_name(image.get("file_name", "path").as_text(), image.location)
    extra = image.get("extra")
    before = extra.value.get("name") if isinstance(extra.value, dict) else None
    if images is None or not isinstance(before, str) or not before.strip() or before == name:
        return name
    _limits.check_name(before, f"{extra.location}.name")
    renamed = find_image(images, name, str(path)) is None
    return before if renamed and find_image(images, before, str(path)) else name


def _read_results(root: _json.Node) -> Iterator[Annotation]:
    grouped: dict[str, list[_json.Node]] = {}
    for record in root.elements():
        grouped.setdefault(_read_key(record.get("image_id")), []).append(record)
    for key, records in grouped.items():
        budget = _shapes.MaskBudget()
        left_out: list[str] = []
        found = [_read_region(record, None, None, budget, left_out) for record in records]
        sizes = {size for _, size in found if size is not None}
        if len(sizes) > 1:
            raise records[0].make_error(
                f"image {key} has masks of different sizes: {sorted(sizes)[:3]}"
            )
        size = sizes.pop() if sizes else None
        marked = tuple(region for region, _ in found if region.shapes)
        yield Annotation(image=key, size=size, regions=marked, left_out=tuple(left_out))


def _read_key(node: _json.Node) -> str:
    """Return the number, or name, of an image as text: 7 and "7" are the same."""
    if isinstance(node.value, bool) or not isinstance(node.value, int | str):
        raise node.make_error(
            "is missing" if node.is_missing else f"`{_limits.quote_value(node.value)}` is no id"
        )
    if isinstance(node.value, int) and abs(node.value) > 10**30:
        raise node.make_error("is out of range")
    return _limits.check_name(str(node.value), node.location)


def _read_categories(categories: _json.Node) -> dict[str, str] | None:
    """Return the names of the categories by number, or None if the file has none."""
    if categories.is_missing:
        return None
    return {
        _read_key(entry.get("id")): entry.get("name").as_label() for entry in categories.elements()
    }


def _read_size(image: _json.Node) -> Size:
    width, height = image.get("width"), image.get("height")
    if width.is_missing and height.is_missing:
        return None
    return _limits.check_size(width.as_number(), height.as_number(), image.location)


def _read_region(
    record: _json.Node,
    labels: dict[str, str] | None,
    size: Size,
    budget: _shapes.MaskBudget,
    left_out: list[str],
) -> tuple[Region, Size]:
    """Return the region of a record, and the size of the image if the record states one.

    A region of parts without area has no shapes. left_out: the reasons are appended to it.
    """
    category = record.get("category_id")
    label = "" if category.is_missing else _read_key(category)
    if label and labels is not None:
        if label not in labels:
            raise category.make_error(f"no category has the number {label}")
        label = labels[label]
    drawn = record.get("segmentation")
    if isinstance(drawn.value, dict):
        shape, size = _read_mask(drawn, label, size, budget)
        return Region((shape,), label), size
    if not record.get("keypoints", "caption").is_missing:
        left_out.append(KEY_POINTS if record.has_key("keypoints") else "caption")
    parts, degenerate = _read_polygons(drawn, label)
    left_out += [NO_AREA] * degenerate
    if not parts and not degenerate:
        parts = (_read_box(record.get("bbox"), label),)
    return Region(parts, label), size


def _read_polygons(drawn: _json.Node, label: str) -> tuple[tuple[Shape, ...], int]:
    """Return the polygons of a segmentation, and how many parts have no area.

    There are none of either if it is empty.
    """
    if drawn.is_missing or drawn.value in ([], [[]], ""):
        return (), 0
    elements = list(drawn.elements())
    lists = [drawn] if not isinstance(elements[0].value, list) else elements
    parts = [_read_polygon(part, label) for part in lists if part.value != []]
    shapes = tuple(part for part in parts if part is not None)
    return shapes, len(parts) - len(shapes)


def _read_polygon(part: _json.Node, label: str) -> Shape | None:
    """Return the polygon of a part, or None if it has no area: one or two different points."""
    try:
        flat = np.array(part.value)
    except (ValueError, OverflowError):
        flat = np.array(None)
    if flat.ndim != 1 or flat.dtype.kind not in "if" or len(flat) % 2:
        raise part.make_error(
            f"`{_limits.quote_value(part.value)}` is not a list x0, y0, x1, y1, …"
        )
    # Written so that NaN fails as well.
    if not (np.abs(flat.astype(np.float64)) <= _limits.MAX_COORDINATE).all():
        raise part.make_error("has a coordinate that is out of range")
    points = [(float(x), float(y)) for x, y in flat.reshape(-1, 2)]
    if len(set(points)) < 3:
        return None
    return _shapes.make_polygon(points, label, part.location)


def _read_box(bbox: _json.Node, label: str) -> Shape:
    if bbox.is_missing:
        raise bbox.make_error("is missing, and there is no segmentation: the record marks nothing")
    numbers = [entry.as_number() for entry in bbox.elements()]
    if len(numbers) != 4:
        raise bbox.make_error(f"`{_limits.quote_value(bbox.value)}` is not [x, y, width, height]")
    x, y, width, height = numbers
    if width < 0 or height < 0:
        raise bbox.make_error(f"has a negative width or height: {_limits.quote_value(bbox.value)}")
    return _shapes.make_box(x, y, x + width, y + height, label)


def _read_mask(
    code: _json.Node, label: str, size: Size, budget: _shapes.MaskBudget
) -> tuple[Shape, Size]:
    sides = [side.as_integer(low=1) for side in code.get("size").elements()]
    if len(sides) != 2:
        raise code.make_error("`size` is not [height, width]")
    height, width = sides
    stated = _limits.check_size(width, height, code.location)
    if size is not None and stated != size:
        raise code.make_error(
            f"the mask has {width} x {height} pixels, the image {size[0]} x {size[1]}",
            hint="`size` of a run-length code is [height, width]",
        )
    budget.count_pixels(width * height, code.location)
    counts = code.get("counts")
    lengths = _decode_counts(counts) if isinstance(counts.value, str) else _read_counts(counts)
    if (lengths < 0).any() or int(lengths.sum()) != width * height:
        raise counts.make_error(
            f"the run lengths do not add up to the {width} x {height} pixels of the image"
        )
    if isinstance(counts.value, str):
        pixels = codec.decode({"size": [height, width], "counts": counts.value.encode()})
        pixels = pixels.astype(bool)
    else:
        pixels = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
        pixels = pixels.reshape(width, height).T
    return _shapes.make_mask(pixels, 0, 0, label, code.location, stated), stated


def _read_counts(counts: _json.Node) -> np.ndarray:
    """Return uncompressed run lengths, int64 [n]."""
    values: list[Any] = [entry.value for entry in counts.elements()]
    if not all(type(value) is int and 0 <= value <= MAX_PIXELS for value in values):
        raise counts.make_error("the run lengths are not whole numbers within the image")
    return np.array(values, dtype=np.int64)


def _decode_counts(counts: _json.Node) -> np.ndarray:
    """Return the run lengths of COCO's compressed text, int64 [n].

    They are checked here before a library decodes them. Each number is written in groups of five
    bits, lowest first. A sixth bit tells that more groups follow. A group plus 48 is a character.
    From the fourth number on, the difference to the number two before is written.
    """
    text = counts.value
    try:
        groups = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        groups = np.array([-1])
    more = (groups & 0x20) != 0
    if not len(groups) or (groups < 0).any() or (groups > 63).any() or more[-1]:
        raise counts.make_error(
            f"`{_limits.quote_value(text)}` is not a compressed run-length code"
        )
    ends = np.flatnonzero(~more)
    starts = np.concatenate(([0], ends[:-1] + 1))
    place = np.arange(len(groups)) - np.repeat(starts, ends - starts + 1)
    if place.max() > 6:
        raise counts.make_error("has a run length that is out of range")
    numbers = np.add.reduceat((groups & 0x1F) << (5 * place), starts)
    # The highest bit of the last group is the sign.
    negative = (groups[ends] & 0x10) != 0
    numbers -= np.where(negative, np.int64(1) << (5 * (place[ends] + 1)), 0)
    for first in (1, 2):
        numbers[first::2] = np.cumsum(numbers[first::2])
    return numbers


def _find_behind(path: Path, key: bytes) -> bytes:
    """Return an object that begins with `key` and the bytes behind it. Empty if not found."""
    try:
        with path.open("rb") as handle:
            rest = b""
            while chunk := handle.read(2**20):
                text = rest + chunk
                place = text.find(key)
                if place >= 0:
                    return b"{" + text[place:] + handle.read(2**16)
                rest = text[-len(key) :]
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror or error}", location=path) from error
    return b""


EXAMPLE = Example(
    {
        "coco.json": """{
            "images": [{"id": 1, "file_name": "drawing.png", "width": 7, "height": 5}],
            "annotations": [
                {"image_id": 1, "category_id": 3, "segmentation": [[0, 0, 4, 0, 0, 3]]},
                {"image_id": 1, "category_id": 4, "bbox": [4, 3, 2, 2]}
            ],
            "categories": [{"id": 3, "name": "eye"}, {"id": 4, "name": "mouth"}]
        }"""
    }
)

FORMAT = Format(
    recognise,
    read,
    example=EXAMPLE,
    title="COCO",
    tools=(
        "COCO instances, stuff and results, SA-1B, and COCO exports of CVAT, VIA and others (JSON)"
    ),
    reads="Polygons of several parts, compressed and uncompressed run lengths, and boxes.",
    size="Stated. In results, only masks state it. For other shapes it is looked up.",
    skips="Key points, captions, and parts of one or two points. `iscrowd` changes nothing.",
    refuses=(
        "A region without segmentation and box, a region of an image or category that the file "
        "does not list, and run lengths that do not fill the image."
    ),
)
