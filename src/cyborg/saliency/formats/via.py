"""VGG Image Annotator 1 and 2: exported JSON, project and CSV.

The files state no size of the image, so `size` is None. Shapes are in pixels all the same. An image
without regions is an annotation with nothing marked. Regions that the file holds twice stay two.

Source: the VGG Image Annotator (via-1.0.x, via-2.0.x) and its exports.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from cyborg.common.errors import UserError
from cyborg.saliency.annotation import Annotation, Region, Shape
from cyborg.saliency.formats import _csv, _json, _limits, _shapes
from cyborg.saliency.formats._base import Format
from cyborg.saliency.formats._example import Example
from cyborg.saliency.formats._json import Node

_COLUMNS = {"filename", "region_shape_attributes"}
# The bare word that some versions write instead of a value. Texts match first, and are kept.
_UNDEFINED = re.compile(r'("(?:[^"\\]|\\.)*")|\bundefined\b')
_LABELS = ("label", "labels", "class", "category", "type", "name")


def recognise(path: Path, head: bytes) -> bool:
    """Tell whether the beginning of a file shows VIA's keys or columns."""
    seen = _json.sketch_keys(head)
    if seen.paths:
        return (
            seen.has_path("_via_img_metadata")
            or seen.has_path("_via_settings")
            or (seen.has_path("*", "filename") and seen.has_path("*", "regions"))
            or _is_version_3(seen)
        )
    return _is_table(_csv.sketch_columns(head))


def _is_table(columns: frozenset[str]) -> bool:
    return columns >= _COLUMNS


def _is_version_3(seen: _json.Sketch) -> bool:
    return seen.has_path("project", "pid") and seen.has_path("project", "vid_list")


def read(path: Path, images: Path | None = None) -> Iterator[Annotation]:
    """Yield an Annotation per image, in the order of the file.

    images: not needed. Raises UserError for anything that cannot be read. It names the file, the
    key of the image or the line, and the field.
    """
    with_start = _limits.read_bytes(path)[:4096].lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n")
    if with_start[:1] in (b"{", b"["):
        yield from _read_json(path)
    else:
        yield from _read_csv(path)


def _read_json(path: Path) -> Iterator[Annotation]:
    root = _json.read_file(path)
    if root.has_key("project") and root.has_key("metadata"):
        raise UserError(
            "is a project of VIA 3",
            location=path,
            hint="export COCO from VIA 3: it is read, as are exports of VIA 1 and 2",
        )
    if root.has_key("_via_img_metadata"):
        root = root.get("_via_img_metadata")
    for key, node in root.items():
        stated = node.get("filename")
        name = _limits.check_name(stated.as_text() if stated.value else key, stated.location)
        regions = node.get("regions")
        if isinstance(regions.value, dict):  # VIA 1: "0", "1", … in place of a list
            parts = [part for _, part in regions.items()]
        else:
            parts = [] if regions.is_missing else list(regions.elements())
        yield Annotation(name, None, tuple(_read_region(part) for part in parts))


def _read_csv(path: Path) -> Iterator[Annotation]:
    found: dict[str, list[Region]] = {}
    for location, row in _csv.read_rows(path, _is_table, "VIA's table"):
        name = _limits.check_name(_csv.require_cell(row, location, "filename"), location)
        regions = found.setdefault(name, [])
        cell = _csv.require_cell(row, location, "region_shape_attributes")
        attributes = row.get("region_attributes", "")
        shape = _parse_cell(cell, path, f"{location}: region_shape_attributes")
        if shape.value != {}:
            said = _parse_cell(attributes, path, f"{location}: region_attributes")
            regions.append(_make_region(shape, _read_label(said)))
    for name, regions in found.items():
        yield Annotation(name, None, tuple(regions))


def _parse_cell(text: str, path: Path, place: str) -> Node:
    """Return the JSON in a cell of the table. The bare word `undefined` is read as null."""
    text = _UNDEFINED.sub(lambda match: match[1] or "null", text.strip() or "{}")
    return _json.parse_bytes(text.encode("utf-8", "replace"), path, place.removeprefix(f"{path}:"))


def _read_region(node: Node) -> Region:
    return _make_region(node.get("shape_attributes"), _read_label(node.get("region_attributes")))


def _make_region(node: Node, label: str) -> Region:
    return Region((_read_shape(node, label),), label)


def _read_label(node: Node) -> str:
    """Return the category of a region.

    It is the region's one attribute, or among several the first of the usual names. A choice of
    several (`{"a": true, "b": false}`) is the first that is true.
    """
    if not isinstance(node.value, dict) or not node.value:
        return ""
    keys = [key for key in _LABELS if key in node.value] or list(node.value)
    if len(node.value) > 1 and keys[0] not in _LABELS:
        return ""
    value = node.value[keys[0]]
    if isinstance(value, dict):
        return next(
            (_json.replace_surrogates(k) for k, chosen in value.items() if chosen is True), ""
        )
    if isinstance(value, list | bool):
        return ""
    return Node(value, node.file, node.place).as_label()


def _read_shape(node: Node, label: str) -> Shape:
    kind = node.get("name").as_text()

    def value(key: str, low: float = -_limits.MAX_COORDINATE) -> float:
        return node.get(key).as_number(low)

    if kind == "rect":
        x, y = value("x"), value("y")
        return _shapes.make_box(x, y, x + value("width", 0), y + value("height", 0), label)
    if kind in ("polygon", "polyline"):
        xs = [x.as_number() for x in node.get("all_points_x").elements()]
        ys = [y.as_number() for y in node.get("all_points_y").elements()]
        if len(xs) != len(ys):
            raise node.make_error(f"has {len(xs)} values of x and {len(ys)} of y")
        make = _shapes.make_polygon if kind == "polygon" else _shapes.make_line
        return make(list(zip(xs, ys, strict=True)), label, node.location)
    if kind == "circle":
        radius = value("r", 0)
        return _shapes.make_ellipse(value("cx"), value("cy"), radius, radius, label)
    if kind == "ellipse":
        theta = node.get("theta")
        turn = 0.0 if theta.is_missing else math.degrees(theta.as_number(-1000, 1000))
        return _shapes.make_ellipse(
            value("cx"), value("cy"), value("rx", 0), value("ry", 0), label, turn
        )
    if kind == "point":
        return _shapes.make_point(value("cx"), value("cy"), label)
    raise node.get("name").make_error(
        f"unknown shape type `{_limits.quote_value(kind)}`",
        hint="known: rect, polygon, polyline, circle, ellipse, point",
    )


EXAMPLE = Example(
    {
        "via.json": """{"drawing.png76": {
            "filename": "drawing.png",
            "size": 76,
            "regions": [
                {
                    "shape_attributes": {
                        "name": "polygon",
                        "all_points_x": [0, 4, 0],
                        "all_points_y": [0, 0, 3]
                    },
                    "region_attributes": {"part": "eye"}
                },
                {
                    "shape_attributes": {"name": "rect", "x": 4, "y": 3, "width": 2, "height": 2},
                    "region_attributes": {"part": "mouth"}
                }
            ]
        }}"""
    },
    states_size=False,
)

FORMAT = Format(
    recognise,
    read,
    example=EXAMPLE,
    title="VGG Image Annotator",
    tools="VGG Image Annotator 1 and 2 (JSON, project, CSV) and makesense.ai",
    reads=(
        "Rectangles, polygons, circles, ellipses (with `theta`), and closed polylines. Open "
        "polylines and points have no area."
    ),
    size="Not stated.",
    skips="Attributes of the file.",
    refuses="Other types of shapes, and projects of VIA 3.",
)
