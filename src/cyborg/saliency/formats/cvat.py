"""CVAT for images 1.1 (XML): boxes, ellipses, polygons, polylines, points, masks and skeletons.

Boxes and ellipses may be rotated. Images without shapes are annotations with nothing marked. If a
name occurs in several subsets, `<subset>/<name>` is the name, as in CVAT's own folders. A single
<tag> of an image is the decision. A shape with CVAT's label `background` cuts holes into the shapes
below it (`z_order`, then the order of the file), as in CVAT's own masks. Skeletons are regions of
points. Masks are run lengths in rows inside the box of the mask.

Source: CVAT's format documentation (xml_format) and its mask codec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from cyborg.common.errors import UserError
from cyborg.saliency.annotation import Annotation, Point, Region, Shape
from cyborg.saliency.fill import fill_shape
from cyborg.saliency.formats import _limits, _rle, _shapes, _xml
from cyborg.saliency.formats._base import Format
from cyborg.saliency.formats._example import Example

Size = tuple[int, int]
# The label whose shapes cut holes.
BACKGROUND = "background"
# Children of <image> that hold no region of it.
_OTHERS = {"tag", "attribute", "requirements"}


def recognise(path: Path, head: bytes) -> bool:
    """Tell whether the beginning of a file shows CVAT's elements."""
    seen = _xml.sketch_paths(head)
    return "annotations" in seen and bool(
        seen & {"annotations/image@name", "annotations/track", "annotations/meta"}
    )


def read(path: Path, images: Path | None = None) -> Iterator[Annotation]:
    """Yield an Annotation per <image>, in the order of the file.

    images: not needed. Raises UserError, with file, image and shape, for anything that cannot be
    read. A cuboid has no area in the image. It is left out and counted.
    """
    root = _xml.read_file(path)
    if root.tag != "annotations":
        raise UserError(
            f"<{_limits.quote_value(root.tag)}> is not CVAT's <annotations>", location=path
        )
    if root.find("track") is not None and root.find("image") is None:
        raise UserError(
            "holds tracks of a video",
            location=path,
            hint="export as `CVAT for images 1.1`, which has one entry per frame",
        )
    subsets: dict[str, set[str]] = {}
    for element in root.findall("image"):
        subsets.setdefault(element.get("name", ""), set()).add(element.get("subset", ""))
    for number, element in enumerate(root.findall("image")):
        location = f"{path}: image {number}"
        name = _limits.check_name(_xml.read_attribute(element, "name", location), location)
        location = f"{path}: image {number} ({_limits.quote_value(name)})"
        size = _limits.check_size(
            _read_number(element, "width", location),
            _read_number(element, "height", location),
            location,
        )
        budget = _shapes.MaskBudget()
        tags = [tag.get("label", "") for tag in element.findall("tag")]
        left_out: list[str] = []
        regions = _read_regions(element, size, budget, location, left_out)
        many = len(subsets[name]) > 1 and element.get("subset")
        yield Annotation(
            image=f"{element.get('subset')}/{name}" if many else name,
            size=size,
            regions=tuple(_cut_background(list(regions), size, budget, location)),
            decision=tags[0] if len(tags) == 1 else "",
            left_out=tuple(left_out),
        )


def _read_regions(
    image: Element,
    size: Size,
    budget: _shapes.MaskBudget,
    location: str,
    left_out: list[str],
) -> Iterator[tuple[float, Region]]:
    """Yield the height (`z_order`) of each region, and the region.

    left_out: the reasons for which shapes are left out are appended to it.
    """
    for number, element in enumerate(image):
        place = f"{location}: {element.tag} {number}"
        label = element.get("label", "")
        height = _limits.parse_number(element.get("z_order", "0"), f"{place}: z_order")
        if element.tag == "skeleton":
            left_out += ["hidden point of a skeleton"] * sum(
                child.get("outside") == "1" for child in element
            )
            parts = [
                _read_shapes(child, label, size, budget, place)
                for child in element
                if child.tag != "attribute" and child.get("outside") != "1"
            ]
            if parts:
                yield height, Region(tuple(shape for part in parts for shape in part), label)
        elif element.tag == "cuboid":
            left_out.append("cuboid")
        elif element.tag not in _OTHERS:
            yield height, Region(_read_shapes(element, label, size, budget, place), label)


def _cut_background(
    layers: list[tuple[float, Region]], size: Size, budget: _shapes.MaskBudget, location: str
) -> Iterator[Region]:
    """Yield the regions without those of the background, which are cut out of those below them.

    A region that loses pixels becomes a mask. Its lines and points stay as they are.
    """
    holes = [
        (height, place, region)
        for place, (height, region) in enumerate(layers)
        if region.label == BACKGROUND
    ]
    for place, (height, region) in enumerate(layers):
        if region.label == BACKGROUND:
            continue
        above = [hole for *key, hole in holes if tuple(key) > (height, place)]
        yield _cut_region(region, above, size, budget, location) if above else region


def _cut_region(
    region: Region, above: list[Region], size: Size, budget: _shapes.MaskBudget, location: str
) -> Region:
    budget.count_pixels(2 * size[0] * size[1], location)
    areas = [shape for shape in region.shapes if shape.kind not in ("line", "point")]
    drawn, cut = _fill(areas, size), _fill([s for hole in above for s in hole.shapes], size)
    if not (drawn & cut).any():
        return region
    rest = tuple(shape for shape in region.shapes if shape.kind in ("line", "point"))
    mask = _shapes.make_mask(drawn & ~cut, 0, 0, region.label, location, size)
    return Region((mask, *rest), region.label)


def _fill(shapes: list[Shape], size: Size) -> np.ndarray:
    pixels = np.zeros((size[1], size[0]), dtype=bool)
    for shape in shapes:
        fill_shape(pixels, shape, 0.0)
    return pixels


def _read_shapes(
    element: Element, label: str, size: Size, budget: _shapes.MaskBudget, location: str
) -> tuple[Shape, ...]:
    def value(name: str, low: float = -_limits.MAX_COORDINATE) -> float:
        return _read_number(element, name, location, low)

    turn = _limits.parse_number(
        element.get("rotation", "0"), f"{location}: rotation", low=-100_000, high=100_000
    )
    kind = element.tag
    if kind == "box":
        x0, y0, x1, y1 = (value(name) for name in ("xtl", "ytl", "xbr", "ybr"))
        if x1 < x0 or y1 < y0:
            raise UserError("a box of negative size", location=location)
        return (_shapes.make_box(x0, y0, x1, y1, label, turn),)
    if kind == "ellipse":
        radii = value("rx", 0), value("ry", 0)
        return (_shapes.make_ellipse(value("cx"), value("cy"), *radii, label, turn),)
    if kind == "mask":
        left, top = (
            _limits.check_integer(value(name), f"{location}: {name}") for name in ("left", "top")
        )
        width, height = _limits.check_size(value("width"), value("height"), location)
        budget.count_pixels(width * height, location)
        pixels = _rle.decode_cvat(
            _xml.read_attribute(element, "rle", location), width, height, f"{location}: rle"
        )
        return (_shapes.make_mask(pixels, left, top, label, location, size),)
    make: dict[str, Callable[[list[Point], str, str], Shape]] = {
        "polygon": _shapes.make_polygon,
        "polyline": _shapes.make_line,
    }
    points = _read_points(element, location) if kind in make or kind == "points" else []
    if kind in make:
        return (make[kind](points, label, location),)
    if kind == "points":
        return tuple(_shapes.make_point(x, y, label) for x, y in points)
    raise UserError(
        f"unknown shape type `{_limits.quote_value(kind)}`",
        location=location,
        hint="known: box, polygon, polyline, points, ellipse, mask, skeleton",
    )


def _read_points(element: Element, location: str) -> list[Point]:
    place = f"{location}: points"
    result = []
    for pair in _xml.read_attribute(element, "points", location).split(";"):
        x, comma, y = pair.partition(",")
        if not comma:
            raise UserError(f"`{_limits.quote_value(pair)}` is not a point x,y", location=place)
        result.append((_limits.parse_number(x, place), _limits.parse_number(y, place)))
    return result


def _read_number(
    element: Element, name: str, location: str, low: float = -_limits.MAX_COORDINATE
) -> float:
    return _limits.parse_number(
        _xml.read_attribute(element, name, location), f"{location}: {name}", low=low
    )


EXAMPLE = Example(
    {
        "annotations.xml": """<?xml version="1.0" encoding="utf-8"?>
            <annotations>
              <image id="0" name="drawing.png" width="7" height="5">
                <polygon label="eye" points="0.00,0.00;4.00,0.00;0.00,3.00"/>
                <box label="mouth" xtl="4.00" ytl="3.00" xbr="6.00" ybr="5.00"/>
              </image>
            </annotations>"""
    }
)

FORMAT = Format(
    recognise,
    read,
    example=EXAMPLE,
    title="CVAT",
    tools="CVAT for images 1.1 (XML)",
    reads=(
        "Polygons, boxes and ellipses with rotation, masks, and closed polylines. Open "
        "polylines, points and skeletons have no area. The single `tag` of an image is the "
        "decision. The label `background` cuts holes."
    ),
    size="Stated.",
    skips="Cuboids, attributes, and hidden points of skeletons.",
    refuses="Tracks of videos.",
)
