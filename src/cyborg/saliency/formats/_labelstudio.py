"""Turn Label Studio's results, whose values are percentages, into shapes in pixels."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from cyborg.saliency.annotation import Shape
from cyborg.saliency.formats import _images, _limits, _rle, _shapes
from cyborg.saliency.formats._json import Node

# Answers per region repeat its geometry, which has a result of its own.
_ANSWERS = {"choices", "textarea", "taxonomy", "rating", "number", "datetime", "relation", "ranker"}
_PERCENT = 100.0
# Percentages may leave the image somewhat. Far beyond, they are in another unit.
_LOW, _HIGH = -1000.0, 1000.0


@dataclass(frozen=True)
class RegionResult:
    """Hold one result that is a region.

    value: its geometry. key: what makes it the same region as another result. label: its category.
    size: (width, height) of the image, or None if the result does not state it.
    """

    value: Node
    key: object
    label: str
    size: tuple[int, int] | None


def has_geometry(value: Node) -> bool:
    """Tell whether a value has the geometry of a region."""
    keys = value.as_object().keys()
    return {"x", "y"} <= keys or bool(keys & {"rle", "points", "vertices", "imageDataURL"})


def collect_results(node: Node) -> list[RegionResult]:
    """Return the regions among the results of an annotation."""
    parts = []
    for result in node.elements() if not node.is_missing else ():
        value = result.get("value")
        if result.get("type").as_text("") in _ANSWERS or not isinstance(value.value, dict):
            continue
        if has_geometry(value):
            identity = result.get("id")
            parts.append(
                make_result(result, value, None if identity.is_missing else identity.as_label())
            )
    return parts


def make_result(result: Node, value: Node, identity: str | None) -> RegionResult:
    """Return the region of a result (which states the size) and its value.

    Raises UserError for images that were rotated in the tool, and for tasks of several images.
    """
    turn = result.get("image_rotation")
    if not turn.is_missing and turn.as_number() % 360 != 0:
        raise turn.make_error(
            "the image was rotated in the tool, and the file does not state whether its regions "
            "were",
            hint="rotate the image file instead, and annotate it again",
        )
    page = result.get("item_index")
    if not page.is_missing and page.as_number() != 0:
        raise page.make_error("belongs to a task of several images, which are not told apart")
    width, height = result.get("original_width"), result.get("original_height")
    size = None
    if not (width.is_missing or height.is_missing):
        size = _limits.check_size(width.as_integer(low=1), height.as_integer(low=1), width.location)
    label = ""
    for name, found in value.items():
        if name.endswith("labels") and isinstance(found.value, list) and found.value:
            label = next(found.elements()).as_label()
    key: object = identity
    if identity is None:
        geometry = {k: v for k, v in value.value.items() if not k.endswith("labels")}
        key = json.dumps(geometry, sort_keys=True)
    return RegionResult(value, key, label, size)


def replace_label(shape: Shape, label: str) -> Shape:
    """Return the shape with another label."""
    return shape if shape.label == label else replace(shape, label=label)


def make_shape(part: RegionResult, size: tuple[int, int], budget: _shapes.MaskBudget) -> Shape:
    """Return the shape of a region in pixels.

    Rectangles turn about their upper left corner, and ellipses about their centre, clockwise.
    """
    value, label = part.value, part.label
    keys = value.as_object().keys()
    if "rle" in keys:
        return _decode_brush(value, label, size, budget)
    if "imageDataURL" in keys:
        return _decode_bit_mask(value, label, size, budget)
    sx, sy = size[0] / _PERCENT, size[1] / _PERCENT
    if "points" in keys:
        place = value.get("points")
        points = [(x * sx, y * sy) for x, y in place.as_points()]
        closed = value.get("closed").value is not False
        make = _shapes.make_polygon if closed else _shapes.make_line
        return make(points, label, place.location)
    if not {"x", "y"} <= keys:
        raise value.make_error(
            "is a region of a type that is not known",
            hint="known: polygon, brush, rectangle, ellipse, key point",
        )
    x, y = value.get("x").as_number(_LOW, _HIGH) * sx, value.get("y").as_number(_LOW, _HIGH) * sy
    rotation = value.get("rotation")
    turn = 0.0 if rotation.is_missing else rotation.as_number(-100_000, 100_000)
    if "radiusX" in keys or "radiusY" in keys:
        rx = value.get("radiusX").as_number(0, _HIGH) * sx
        ry = value.get("radiusY").as_number(0, _HIGH) * sy
        return _shapes.make_ellipse(x, y, rx, ry, label, turn)
    if "height" in keys:
        width = value.get("width").as_number(0, _HIGH) * sx
        height = value.get("height").as_number(0, _HIGH) * sy
        return _shapes.make_box(x, y, x + width, y + height, label, turn, about=(x, y))
    # The width of a key point is that of its dot on the screen: it marks no area.
    return _shapes.make_point(x, y, label)


def _decode_brush(
    value: Node, label: str, size: tuple[int, int], budget: _shapes.MaskBudget
) -> Shape:
    place = value.get("rle")
    codes = place.value
    kind = value.get("format")
    if not kind.is_missing and kind.value != "rle":
        raise kind.make_error(
            f"brush code `{_limits.quote_value(kind.value)}` is not known, only `rle` is"
        )
    if not isinstance(codes, list):
        raise place.make_error("an array of bytes is expected")
    try:
        code = bytes(codes)
    except (TypeError, ValueError):
        raise place.make_error("holds a value that is not a whole number from 0 to 255") from None
    width, height = size
    budget.count_pixels(width * height, place.location)
    alpha = _rle.decode_label_studio(code, width, height, place.location)
    # Edges are anti-aliased: half covered counts, as a pixel counts whose centre is inside.
    return _shapes.make_mask(alpha >= 128, 0, 0, label, place.location, size)


def _decode_bit_mask(
    value: Node, label: str, size: tuple[int, int], budget: _shapes.MaskBudget
) -> Shape:
    place = value.get("imageDataURL")
    data = _images.decode_data_url(place.as_text(), place.location)
    pixels = _images.find_marked_pixels(_images.decode_picture(data, place.location))
    budget.count_pixels(pixels.size, place.location)
    own = (pixels.shape[1], pixels.shape[0])
    if own != size:
        raise place.make_error(
            f"the mask has {own[0]}×{own[1]} pixels, the image {size[0]}×{size[1]}"
        )
    return _shapes.make_mask(pixels, 0, 0, label, place.location, size)
