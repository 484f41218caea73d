"""Label Studio's results: from a value in percent to a shape in pixels."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from cyborg.saliency.annotation import Shape
from cyborg.saliency.formats import _images, _limits, _rle, _shapes
from cyborg.saliency.formats._json import Node

# Per-region answers repeat the region's geometry; the region itself has a result of its own.
_ANSWERS = {"choices", "textarea", "taxonomy", "rating", "number", "datetime", "relation", "ranker"}
_PERCENT = 100.0
# Percentages may leave the image somewhat; far beyond they are another unit.
_LOW, _HIGH = -1000.0, 1000.0


@dataclass(frozen=True)
class Part:
    """One result that is a region: its value, what makes it the same as another, label, size."""

    value: Node
    key: object
    label: str
    size: tuple[int, int] | None


def is_region(value: Node) -> bool:
    """Whether a value has the geometry of an image's region."""
    keys = value.object().keys()
    return {"x", "y"} <= keys or bool(keys & {"rle", "points", "vertices", "imageDataURL"})


def results(node: Node) -> list[Part]:
    """The regions among the results of an annotation."""
    parts = []
    for result in node.each() if not node.missing else ():
        value = result.get("value")
        if result.get("type").text("") in _ANSWERS or not isinstance(value.value, dict):
            continue
        if is_region(value):
            identity = result.get("id")
            parts.append(part(result, value, None if identity.missing else identity.label()))
    return parts


def part(result: Node, value: Node, identity: str | None) -> Part:
    """A Part from a result (which states the size) and its value; refuses what is not applied."""
    turn = result.get("image_rotation")
    if not turn.missing and turn.number() % 360 != 0:
        raise turn.fail(
            "the image was rotated in the tool, and whether its regions were is not stated",
            hint="rotate the image file instead, and annotate it again",
        )
    page = result.get("item_index")
    if not page.missing and page.number() != 0:
        raise page.fail("belongs to a task of several images, which are not told apart")
    width, height = result.get("original_width"), result.get("original_height")
    size = None
    if not (width.missing or height.missing):
        size = _limits.size(width.whole(low=1), height.whole(low=1), width.where)
    label = ""
    for name, found in value.items():
        if name.endswith("labels") and isinstance(found.value, list) and found.value:
            label = next(found.each()).label()
    key: object = identity
    if identity is None:
        geometry = {k: v for k, v in value.value.items() if not k.endswith("labels")}
        key = json.dumps(geometry, sort_keys=True)
    return Part(value, key, label, size)


def labelled(shape: Shape, label: str) -> Shape:
    """The shape with a label."""
    return shape if shape.label == label else replace(shape, label=label)


def shape(part: Part, size: tuple[int, int], budget: _shapes.Budget) -> Shape:
    """The shape of a region in pixels.

    Rectangles turn about their upper left corner, ellipses about their centre, clockwise.
    """
    value, label = part.value, part.label
    keys = value.object().keys()
    if "rle" in keys:
        return _brush(value, label, size, budget)
    if "imageDataURL" in keys:
        return _bitmask(value, label, size, budget)
    sx, sy = size[0] / _PERCENT, size[1] / _PERCENT
    if "points" in keys:
        place = value.get("points")
        points = [(x * sx, y * sy) for x, y in place.points()]
        closed = value.get("closed").value is not False
        make = _shapes.polygon if closed else _shapes.line
        return make(points, label, place.where)
    if not {"x", "y"} <= keys:
        raise value.fail(
            "is a region of a type that is not known",
            hint="known: polygon, brush, rectangle, ellipse, key point",
        )
    x, y = value.get("x").number(_LOW, _HIGH) * sx, value.get("y").number(_LOW, _HIGH) * sy
    rotation = value.get("rotation")
    turn = 0.0 if rotation.missing else rotation.number(-100_000, 100_000)
    if "radiusX" in keys or "radiusY" in keys:
        rx = value.get("radiusX").number(0, _HIGH) * sx
        ry = value.get("radiusY").number(0, _HIGH) * sy
        return _shapes.ellipse(x, y, rx, ry, label, turn)
    if "height" in keys:
        width = value.get("width").number(0, _HIGH) * sx
        height = value.get("height").number(0, _HIGH) * sy
        return _shapes.box(x, y, x + width, y + height, label, turn, about=(x, y))
    # The width of a key point is that of its dot on the screen: it marks no area.
    return _shapes.point(x, y, label)


def _brush(value: Node, label: str, size: tuple[int, int], budget: _shapes.Budget) -> Shape:
    place = value.get("rle")
    codes = place.value
    kind = value.get("format")
    if not kind.missing and kind.value != "rle":
        raise kind.fail(f"brush code `{_limits.show(kind.value)}` is not known; `rle` is")
    if not isinstance(codes, list):
        raise place.fail("an array of bytes is expected")
    try:
        code = bytes(codes)
    except (TypeError, ValueError):
        raise place.fail("holds something else than whole numbers from 0 to 255") from None
    width, height = size
    budget.take(width * height, place.where)
    alpha = _rle.label_studio(code, width, height, place.where)
    # Edges are anti-aliased: half covered counts, as a pixel counts whose centre is inside.
    return _shapes.mask(alpha >= 128, 0, 0, label, place.where, size)


def _bitmask(value: Node, label: str, size: tuple[int, int], budget: _shapes.Budget) -> Shape:
    place = value.get("imageDataURL")
    data = _images.from_data_url(place.text(), place.where)
    pixels = _images.marked(_images.decode(data, place.where))
    budget.take(pixels.size, place.where)
    own = (pixels.shape[1], pixels.shape[0])
    if own != size:
        raise place.fail(f"the mask has {own[0]}×{own[1]} pixels, the image {size[0]}×{size[1]}")
    return _shapes.mask(pixels, 0, 0, label, place.where, size)
