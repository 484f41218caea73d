"""CVAT for images 1.1 (XML): box and ellipse with rotation, polygon, polyline, points, mask.

Images without shapes are annotations with nothing marked. Equal names in different subsets are
told apart as CVAT's own folders do: `<subset>/<name>`. A single <tag> of an image is the decision.
Skeletons are regions of points. Source: CVAT's format documentation (xml_format) and its
mask codec: run lengths in rows inside the mask's box.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from cyborg.common.errors import UserError
from cyborg.saliency.annotation import Annotation, Point, Region, Shape
from cyborg.saliency.formats import _limits, _rle, _shapes, _xml
from cyborg.saliency.formats._base import Format
from cyborg.saliency.formats._example import Example

Size = tuple[int, int]
# Children of <image> that hold no region of it.
_OTHERS = {"tag", "attribute", "requirements"}


def recognise(path: Path, head: bytes) -> bool:
    """Whether the beginning of a file shows CVAT's elements."""
    seen = _xml.sketch(head)
    return "annotations" in seen and bool(
        seen & {"annotations/image@name", "annotations/track", "annotations/meta"}
    )


def read(path: Path, images: Path | None = None) -> Iterator[Annotation]:
    """Yield an Annotation per <image>, in the order of the file.

    images: not needed. Raises UserError, with file, image and shape, for what cannot be read. A
    cuboid, which has no area in the image, is left out with a warning.
    """
    root = _xml.read(path)
    if root.tag != "annotations":
        raise UserError(f"<{_limits.show(root.tag)}> is not CVAT's <annotations>", where=path)
    if root.find("track") is not None and root.find("image") is None:
        raise UserError(
            "holds tracks of a video",
            where=path,
            hint="export as `CVAT for images 1.1`, which has one entry per frame",
        )
    subsets: dict[str, set[str]] = {}
    for element in root.findall("image"):
        subsets.setdefault(element.get("name", ""), set()).add(element.get("subset", ""))
    for number, element in enumerate(root.findall("image")):
        where = f"{path}: image {number}"
        name = _limits.name(_xml.attribute(element, "name", where), where)
        where = f"{path}: image {number} ({_limits.show(name)})"
        size = _limits.size(
            _number(element, "width", where), _number(element, "height", where), where
        )
        budget = _shapes.Budget()
        tags = [tag.get("label", "") for tag in element.findall("tag")]
        many = len(subsets[name]) > 1 and element.get("subset")
        yield Annotation(
            image=f"{element.get('subset')}/{name}" if many else name,
            size=size,
            regions=tuple(_regions(element, size, budget, where)),
            decision=tags[0] if len(tags) == 1 else "",
        )


def _regions(image: Element, size: Size, budget: _shapes.Budget, where: str) -> Iterator[Region]:
    for number, element in enumerate(image):
        place = f"{where}: {element.tag} {number}"
        label = element.get("label", "")
        if element.tag == "skeleton":
            parts = [
                _shape(child, label, size, budget, place)
                for child in element
                if child.tag != "attribute" and child.get("outside") != "1"
            ]
            if parts:
                yield Region(tuple(shape for part in parts for shape in part), label)
        elif element.tag == "cuboid":
            warnings.warn(f"{place}: cuboids have no area in the image; left out", stacklevel=2)
        elif element.tag not in _OTHERS:
            yield Region(_shape(element, label, size, budget, place), label)


def _shape(
    element: Element, label: str, size: Size, budget: _shapes.Budget, where: str
) -> tuple[Shape, ...]:
    def value(name: str, low: float = -_limits.MAX_COORDINATE) -> float:
        return _number(element, name, where, low)

    turn = _limits.parse_number(
        element.get("rotation", "0"), f"{where}: rotation", low=-100_000, high=100_000
    )
    kind = element.tag
    if kind == "box":
        x0, y0, x1, y1 = (value(name) for name in ("xtl", "ytl", "xbr", "ybr"))
        if x1 < x0 or y1 < y0:
            raise UserError("a box of negative size", where=where)
        return (_shapes.box(x0, y0, x1, y1, label, turn),)
    if kind == "ellipse":
        radii = value("rx", 0), value("ry", 0)
        return (_shapes.ellipse(value("cx"), value("cy"), *radii, label, turn),)
    if kind == "mask":
        left, top = (_limits.whole(value(name), f"{where}: {name}") for name in ("left", "top"))
        width, height = _limits.size(value("width"), value("height"), where)
        budget.take(width * height, where)
        pixels = _rle.cvat(_xml.attribute(element, "rle", where), width, height, f"{where}: rle")
        return (_shapes.mask(pixels, left, top, label, where, size),)
    make: dict[str, Callable[[list[Point], str, str], Shape]] = {
        "polygon": _shapes.polygon,
        "polyline": _shapes.line,
    }
    points = _points(element, where) if kind in make or kind == "points" else []
    if kind in make:
        return (make[kind](points, label, where),)
    if kind == "points":
        return tuple(_shapes.point(x, y, label) for x, y in points)
    raise UserError(
        f"shapes of type `{_limits.show(kind)}` are not known",
        where=where,
        hint="known: box, polygon, polyline, points, ellipse, mask, skeleton",
    )


def _points(element: Element, where: str) -> list[Point]:
    place = f"{where}: points"
    result = []
    for pair in _xml.attribute(element, "points", where).split(";"):
        x, comma, y = pair.partition(",")
        if not comma:
            raise UserError(f"`{_limits.show(pair)}` is not a point x,y", where=place)
        result.append((_limits.parse_number(x, place), _limits.parse_number(y, place)))
    return result


def _number(element: Element, name: str, where: str, low: float = -_limits.MAX_COORDINATE) -> float:
    return _limits.parse_number(_xml.attribute(element, name, where), f"{where}: {name}", low=low)


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
        "decision."
    ),
    size="Stated.",
    skips="Cuboids (with a warning), attributes, and hidden points of skeletons.",
    refuses="Tracks of videos.",
)
