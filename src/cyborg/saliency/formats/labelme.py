"""labelme: one JSON file per image, all versions and shape types, and X-AnyLabeling's dialect.

A file without shapes is an annotation with nothing marked. Shapes of one label and `group_id` are
parts of one region, as in labelme's own exports. A flag that alone is true is the decision.

Source: wkentaro/labelme (labelme/_label_file.py, labelme/utils/shape.py), CVHub520/X-AnyLabeling.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from cyborg.common.errors import UserError
from cyborg.saliency.annotation import Annotation, Region, Shape
from cyborg.saliency.formats import _images, _json, _limits, _shapes
from cyborg.saliency.formats._base import Format
from cyborg.saliency.formats._example import Example
from cyborg.saliency.formats._json import Node
from cyborg.saliency.match import find_image

Size = tuple[int, int] | None

_POLYGONS = {"polygon", "oriented_rectangle", "rotation", "quadrilateral"}
_LINES = {"line", "linestrip"}


def recognise(path: Path, head: bytes) -> bool:
    """Tell whether the beginning of a file shows labelme's keys."""
    seen = _json.sketch_keys(head)
    return seen.has_path("imageData") or (
        seen.has_path("shapes")
        and (
            seen.has_path("shapes", "[]", "points")
            or seen.has_path("imagePath")
            or seen.has_path("flags")
        )
    )


def read(path: Path, images: Path | None = None) -> Iterator[Annotation]:
    """Yield the one Annotation of a file.

    images: the folder in which the image is found by `imagePath`, or if that is wrong, by the name
    of the JSON file. Its size is used if the file states none. Raises UserError, with the file and
    field, for anything that cannot be read.
    """
    root = _json.read_file(path)
    budget = _shapes.MaskBudget()
    name, size = _find_image(root, path, images)
    groups: dict[object, list[Shape]] = {}
    for number, node in enumerate(root.get("shapes").elements()):
        shape = _read_shape(node, size, budget)
        group = node.get("group_id")
        key = number if group.is_missing else (shape.label, group.as_label())
        groups.setdefault(key, []).append(shape)
    yield Annotation(
        image=name,
        size=size,
        regions=tuple(Region(tuple(parts), parts[0].label) for parts in groups.values()),
        decision=_read_decision(root),
    )


def _find_image(root: Node, path: Path, images: Path | None) -> tuple[str, Size]:
    stated = root.get("imagePath")
    name = stated.as_text("").strip() or path.stem
    name = _limits.check_name(name, stated.location)
    if images is not None and find_image(images, name, str(path)) is None:
        found = find_image(images, path.stem, str(path))
        name = found.relative_to(images).as_posix() if found else name
    width, height = root.get("imageWidth"), root.get("imageHeight")
    if not (width.is_missing or height.is_missing):
        return name, _json.read_size(width, height)
    embedded = root.get("imageData")
    if not embedded.is_missing and embedded.value != "":
        data = _images.decode_base64(embedded.as_text(), embedded.location)
        return name, _images.read_embedded_size(data, embedded.location)
    return name, _images.look_up_size(images, name, str(path))


def _read_decision(root: Node) -> str:
    flags = root.get("flags")
    if not isinstance(flags.value, dict):
        return ""
    true = [key for key, value in flags.value.items() if value is True and key != "__ignore__"]
    return _json.replace_surrogates(true[0]) if len(true) == 1 else ""


def _read_shape(node: Node, size: Size, budget: _shapes.MaskBudget) -> Shape:
    label, kind = node.get("label").as_label(), node.get("shape_type").as_text("polygon")
    place = node.get("points")
    points = place.as_points()

    def must(*counts: int) -> None:
        if len(points) not in counts:
            wanted = " or ".join(map(str, counts))
            raise place.make_error(f"a {kind} has {wanted} points, not {len(points)}")

    if kind in _POLYGONS:
        return _shapes.make_polygon(points, label, place.location)
    if kind == "rectangle":
        must(2, 4)
        if len(points) == 4:
            return _shapes.make_polygon(points, label, place.location)
        return _shapes.make_box(*points[0], *points[1], label)
    if kind == "circle":
        must(2)
        radius = math.dist(points[0], points[1])
        return _shapes.make_ellipse(*points[0], radius, radius, label)
    if kind in _LINES:
        return _shapes.make_line(points, label, place.location)
    if kind == "point":
        must(1)
        return _shapes.make_point(*points[0], label)
    if kind == "mask":
        must(2)
        return _read_mask(node, label, points, size, budget)
    raise node.get("shape_type").make_error(
        f"unknown shape type `{_limits.quote_value(kind)}`",
        hint="known: polygon, rectangle, oriented_rectangle, rotation, quadrilateral, circle, "
        "line, linestrip, point, mask",
    )


def _read_mask(
    node: Node,
    label: str,
    points: list[tuple[float, float]],
    size: Size,
    budget: _shapes.MaskBudget,
) -> Shape:
    """Return a base64 PNG in a box whose corners are its first and last pixel, as in labelme."""
    stored = node.get("mask")
    picture = _images.decode_picture(
        _images.decode_base64(stored.as_text(), stored.location), stored.location
    )
    pixels = _images.find_marked_pixels(picture)
    budget.count_pixels(pixels.size, stored.location)
    (left, top), (right, bottom) = ((math.floor(x), math.floor(y)) for x, y in points)
    if pixels.shape != (bottom - top + 1, right - left + 1):
        raise UserError(
            f"the mask has {pixels.shape[1]}×{pixels.shape[0]} pixels, its box "
            f"{right - left + 1}×{bottom - top + 1}",
            location=stored.location,
        )
    return _shapes.make_mask(pixels, left, top, label, stored.location, size)


EXAMPLE = Example(
    {
        "drawing.json": """{
            "shapes": [
                {"label": "eye", "shape_type": "polygon", "points": [[0, 0], [4, 0], [0, 3]]},
                {"label": "mouth", "shape_type": "rectangle", "points": [[6, 5], [4, 3]]}
            ],
            "imagePath": "drawing.png",
            "imageData": null,
            "imageHeight": 5,
            "imageWidth": 7
        }"""
    }
)

FORMAT = Format(
    recognise,
    read,
    example=EXAMPLE,
    title="labelme",
    tools="labelme 3 to 5 and X-AnyLabeling, one file per image (JSON)",
    reads=(
        "Polygons, rectangles of 2 or 4 points, oriented rectangles, circles and masks. Lines "
        "and points have no area. The single flag that is true is the decision."
    ),
    size="Stated, else that of the embedded image, else looked up.",
    skips="Flags and attributes of shapes.",
    refuses=(
        "Other types of shapes, a mask that does not fit its box, and an embedded image with an "
        "EXIF rotation if no size is stated."
    ),
)
