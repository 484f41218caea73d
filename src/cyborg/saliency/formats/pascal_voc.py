"""Pascal VOC (XML): one file per image, boxes, polygons and rotated boxes.

By the convention of Pascal VOC the numbers of a box are pixels counted from 1, and both ends are
inside. A box from 1 to W covers W columns. Some tools (labelme, CVAT) write edges counted from 0
instead. The files of a folder are of one tool, so it is decided once for all of them, and said: the
numbers are edges if any of them has a decimal point, or is 0 or negative.

An object with a polygon (`x1`, `y1`, `x2`, … as Roboflow writes it, or `pt`) is the polygon, not
its box. One with `robndbox` (roLabelImg) is the rotated box, whose angle is in radians, clockwise.
Both are edges from 0.

Source: the PASCAL VOC development kit, Roboflow, and cgvict/roLabelImg.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

from cyborg.common.errors import UserError
from cyborg.saliency.annotation import Annotation, Point, Region, Shape
from cyborg.saliency.formats import _images, _limits, _shapes, _xml
from cyborg.saliency.formats._base import Format
from cyborg.saliency.formats._example import Example

_MARKS = {
    "annotation/object/bndbox",
    "annotation/object/robndbox",
    "annotation/size",
    "annotation/segmented",
}
_EDGES = ("xmin", "ymin", "xmax", "ymax")


def recognise(path: Path, head: bytes) -> bool:
    """Tell whether the beginning of a file shows VOC's elements, not those of LabelMe (web).

    A folder is VOC if all its XML files are.
    """
    if path.is_dir():
        files = _list_files(path)
        return bool(files) and all(_is_voc(file) for file in files)
    seen = _xml.sketch_paths(head)
    return "annotation" in seen and bool(seen & _MARKS)


def _is_voc(file: Path) -> bool:
    with file.open("rb") as handle:
        return recognise(file, handle.read(2**16))


def _list_files(folder: Path) -> list[Path]:
    return [
        file
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() == ".xml"
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]


def read(path: Path, images: Path | None = None) -> Iterator[Annotation]:
    """Yield the one Annotation of a file, or those of the files of a folder, sorted.

    An object without any shape is an error. If several files name one image, each stands for an
    annotator.

    images: the folder in which the size is looked up if the file does not state it, or states 0.
    Raises UserError, with file, object and field, for anything that cannot be read.
    """
    files = _list_files(path) if path.is_dir() else [path]
    if not files:
        raise UserError("holds no XML files", location=path)
    boxes = [box for file in files for box in _read_root(file).iter("bndbox")]
    from_one = all(_counts_from_one(box) for box in boxes)
    if boxes:
        base = (
            "pixels counted from 1, both ends inside"
            if from_one
            else "edges counted from 0, because some have a decimal point or are 0"
        )
        warnings.warn(f"{path}: the numbers of boxes are read as {base}", stacklevel=2)
    for file in files:
        annotation = _read_file(file, images, from_one)
        whose = file.relative_to(path).as_posix() if len(files) > 1 else ""
        yield replace(annotation, annotator=whose)


def _read_root(path: Path) -> Element:
    root = _xml.read_file(path)
    if root.tag != "annotation":
        raise UserError(
            f"<{_limits.quote_value(root.tag)}> is not Pascal VOC's <annotation>", location=path
        )
    return root


def _read_file(path: Path, images: Path | None, from_one: bool) -> Annotation:
    root = _read_root(path)
    name = _limits.check_name(
        _xml.read_text(root.find("filename")) or path.stem, f"{path}: filename"
    )
    regions = []
    for number, element in enumerate(root.findall("object")):
        location = f"{path}: object {number}"
        label = _xml.read_text(element.find("name"))
        regions.append(Region((_read_shape(element, from_one, label, location),), label))
    parts = ("part",) * len(root.findall("object/part"))
    return Annotation(name, _read_size(root, path, images, name), tuple(regions), left_out=parts)


def _read_size(root: Element, path: Path, images: Path | None, name: str) -> tuple[int, int] | None:
    stated = root.find("size")
    location = f"{path}: size"
    if stated is not None:
        width, height = (
            _limits.parse_number(_xml.read_text(stated.find(side)), location)
            for side in ("width", "height")
        )
        if (width, height) != (0, 0):
            return _limits.check_size(width, height, location)
    return _images.look_up_size(images, name, location)


def _counts_from_one(box: Element) -> bool:
    texts = [_xml.read_text(box.find(edge)) for edge in _EDGES]
    return not any("." in text or text.startswith("-") or text == "0" for text in texts)


def _read_shape(element: Element, from_one: bool, label: str, location: str) -> Shape:
    outline, rotated, box = (element.find(tag) for tag in ("polygon", "robndbox", "bndbox"))
    if outline is not None:
        return _shapes.make_polygon(_read_outline(outline, f"{location}: polygon"), label, location)
    if rotated is not None:
        x, y, width, height, angle = (
            _limits.parse_number(_xml.read_text(rotated.find(key)), f"{location}: {key}")
            for key in ("cx", "cy", "w", "h", "angle")
        )
        if width < 0 or height < 0:
            raise UserError("a box of negative size", location=location)
        corners = x - width / 2, y - height / 2, x + width / 2, y + height / 2
        return _shapes.make_box(*corners, label, math.degrees(angle))
    if box is None:
        raise UserError(
            "has neither <bndbox> nor <polygon> nor <robndbox>",
            location=location,
            hint="LabelMe (web) XML is format `labelme_web`",
        )
    return _read_box(box, from_one, label, location)


def _read_outline(outline: Element, location: str) -> list[Point]:
    """Return the points of a polygon: <x1>, <y1>, <x2>, …, or one <pt> each."""
    if outline.find("pt") is not None:
        pairs = [(pt.find("x"), pt.find("y")) for pt in outline.findall("pt")]
    else:
        count = sum(child.tag.startswith("x") for child in outline)
        pairs = [(outline.find(f"x{n}"), outline.find(f"y{n}")) for n in range(1, count + 1)]
    return [
        (
            _limits.parse_number(_xml.read_text(x), f"{location}: x{number}"),
            _limits.parse_number(_xml.read_text(y), f"{location}: y{number}"),
        )
        for number, (x, y) in enumerate(pairs, start=1)
    ]


def _read_box(box: Element, from_one: bool, label: str, location: str) -> Shape:
    x0, y0, x1, y1 = (
        _limits.parse_number(_xml.read_text(box.find(edge)), f"{location}: {edge}")
        for edge in _EDGES
    )
    if x1 < x0 or y1 < y0:
        raise UserError("a box of negative size", location=location)
    if from_one:
        x0, y0 = x0 - 1, y0 - 1
    return _shapes.make_box(x0, y0, x1, y1, label)


EXAMPLE = Example(
    {
        "drawing.xml": """<annotation>
            <filename>drawing.png</filename>
            <size><width>7</width><height>5</height><depth>3</depth></size>
            <object>
              <name>eye</name>
              <bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>2</ymax></bndbox>
            </object>
            <object>
              <name>mouth</name>
              <bndbox><xmin>5</xmin><ymin>4</ymin><xmax>6</xmax><ymax>5</ymax></bndbox>
            </object>
            </annotation>"""
    },
    marked="111....\n111....\n.......\n....22.\n....22.\n",
)

FORMAT = Format(
    recognise,
    read,
    example=EXAMPLE,
    title="Pascal VOC",
    tools="Pascal VOC, labelImg and others, one file per image (XML)",
    reads=(
        "Polygons, rotated boxes (`robndbox`), and else boxes. Whether they count from 0 or 1 is "
        "decided once per folder."
    ),
    size="Stated, else looked up.",
    skips="Pose, `difficult`, parts, and class masks.",
    refuses="An object without any shape.",
    reads_folders=True,
)
