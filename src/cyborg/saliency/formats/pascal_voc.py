"""Pascal VOC (XML): one file per image, boxes.

By the convention of Pascal VOC the numbers are pixels counted from 1, and both ends are inside. A
box from 1 to W covers W columns. Some tools (labelme, CVAT) write edges counted from 0 instead. The
file shows which: the numbers are edges if any of them has a decimal point or is 0 or negative.

Source: the PASCAL VOC development kit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from cyborg.common.errors import UserError
from cyborg.saliency.annotation import Annotation, Region, Shape
from cyborg.saliency.formats import _images, _limits, _shapes, _xml
from cyborg.saliency.formats._base import Format
from cyborg.saliency.formats._example import Example

_EDGES = ("xmin", "ymin", "xmax", "ymax")


def recognise(path: Path, head: bytes) -> bool:
    """Tell whether the beginning of a file shows VOC's elements, not those of LabelMe (web)."""
    seen = _xml.sketch_paths(head)
    return "annotation" in seen and bool(
        seen & {"annotation/object/bndbox", "annotation/size", "annotation/segmented"}
    )


def read(path: Path, images: Path | None = None) -> Iterator[Annotation]:
    """Yield the one Annotation of a file. An object without a box is an error.

    images: the folder in which the size is looked up if the file does not state it, or states 0.
    Raises UserError, with file, object and field, for anything that cannot be read.
    """
    root = _xml.read_file(path)
    if root.tag != "annotation":
        raise UserError(
            f"<{_limits.quote_value(root.tag)}> is not Pascal VOC's <annotation>", where=path
        )
    name = _limits.check_name(
        _xml.read_text(root.find("filename")) or path.stem, f"{path}: filename"
    )
    objects = root.findall("object")
    boxes = [element.find("bndbox") for element in objects]
    from_one = all(_counts_from_one(box) for box in boxes if box is not None)
    regions = []
    for number, (element, box) in enumerate(zip(objects, boxes, strict=True)):
        location = f"{path}: object {number}"
        if box is None:
            raise UserError(
                "has no <bndbox>", where=location, hint="LabelMe (web) XML is format `labelme_web`"
            )
        label = _xml.read_text(element.find("name"))
        regions.append(Region((_read_shape(box, from_one, label, location),), label))
    yield Annotation(name, _read_size(root, path, images, name), tuple(regions))


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


def _read_shape(box: Element, from_one: bool, label: str, location: str) -> Shape:
    x0, y0, x1, y1 = (
        _limits.parse_number(_xml.read_text(box.find(edge)), f"{location}: {edge}")
        for edge in _EDGES
    )
    if x1 < x0 or y1 < y0:
        raise UserError("a box of negative size", where=location)
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
    reads="Boxes.",
    size="Stated, else looked up.",
    skips="Pose, `difficult`, parts, and class masks.",
    refuses="An object without a box.",
)
