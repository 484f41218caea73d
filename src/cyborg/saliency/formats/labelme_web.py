"""LabelMe, the web tool (XML): one file per image, polygons and masks.

Objects that are marked as deleted are left out. Masks are pictures in the folder `Masks` beside
the file. Not to be confused with labelme (JSON). Source: the LabelMe annotation tool and the
exporter of Datumaro, whose boxes carry a rotation about their centre as an attribute.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from cyborg.common.errors import UserError
from cyborg.saliency.annotation import Annotation, Point, Region, Shape
from cyborg.saliency.formats import _images, _limits, _shapes, _xml
from cyborg.saliency.formats._base import Format
from cyborg.saliency.formats._example import Example
from cyborg.saliency.names import strip_folders

Size = tuple[int, int] | None
_MARKS = {
    "annotation/imagesize",
    "annotation/source/sourceImage",
    "annotation/source/sourceAnnotation",
    "annotation/object/polygon",
    "annotation/object/segm",
    "annotation/object/deleted",
}


def recognise(path: Path, head: bytes) -> bool:
    """Whether the beginning of a file shows LabelMe's elements and not those of Pascal VOC."""
    seen = _xml.sketch(head)
    voc = seen & {"annotation/object/bndbox", "annotation/size", "annotation/segmented"}
    return "annotation" in seen and bool(seen & _MARKS) and not voc


def read(path: Path, images: Path | None = None) -> Iterator[Annotation]:
    """Yield the one Annotation of a file.

    images: folder in which the size is looked up where the file does not state it. Raises
    UserError, with file, object and field, for what cannot be read.
    """
    root = _xml.read(path)
    if root.tag != "annotation":
        raise UserError(f"<{_limits.show(root.tag)}> is not LabelMe's <annotation>", where=path)
    file, folder = _xml.text(root.find("filename")), _xml.text(root.find("folder"))
    name = _limits.name(
        f"{folder}/{file}" if folder and file else file or path.stem, f"{path}: filename"
    )
    size = _size(root, path, images, name)
    budget = _shapes.Budget()
    regions, people = [], set()
    for number, element in enumerate(root.findall("object")):
        where = f"{path}: object {number}"
        if _xml.text(element.find("deleted"), "0") not in ("0", "no", "false"):
            continue
        label = _xml.text(element.find("name"))
        regions.append(Region((_shape(element, label, size, budget, path, where),), label))
        people |= {_xml.text(user) for user in element.iter("username")} - {""}
    annotator = next(iter(people)) if len(people) == 1 else ""
    yield Annotation(name, size, tuple(regions), annotator=annotator)


def _size(root: Element, path: Path, images: Path | None, name: str) -> Size:
    stated = root.find("imagesize")
    where = f"{path}: imagesize"
    if stated is not None:
        width, height = (
            _limits.parse_number(_xml.text(stated.find(side)), where) for side in ("ncols", "nrows")
        )
        return _limits.size(width, height, where)
    return _images.looked_up(images, name, where)


def _shape(
    element: Element, label: str, size: Size, budget: _shapes.Budget, path: Path, where: str
) -> Shape:
    outline, picture = element.find("polygon"), element.find("segm")
    if outline is not None:
        points: list[Point] = []
        for number, pt in enumerate(outline.findall("pt")):
            place = f"{where}: pt {number}"
            x, y = (_limits.parse_number(_xml.text(pt.find(axis)), place) for axis in "xy")
            points.append((x, y))
        if _xml.text(element.find("type")) == "bounding_box":
            if not points:
                raise UserError("a box without corners", where=where)
            turn = re.search(r"(?:^|,)\s*rotation=([^,]*)", _xml.text(element.find("attributes")))
            degrees = _limits.parse_number(turn[1], f"{where}: rotation") if turn else 0.0
            xs, ys = [x for x, _ in points], [y for _, y in points]
            return _shapes.box(min(xs), min(ys), max(xs), max(ys), label, degrees)
        return _shapes.polygon(points, label, where)
    if picture is not None:
        return _mask(picture, label, size, budget, path, where)
    raise UserError(
        "has neither <polygon> nor <segm>", where=where, hint="boxes of Pascal VOC are `pascal_voc`"
    )


def _mask(
    element: Element, label: str, size: Size, budget: _shapes.Budget, path: Path, where: str
) -> Shape:
    # Only the last part of the name is used: a mask lies in the folder of masks, nowhere else.
    name = strip_folders(_xml.text(element.find("mask")))
    _limits.name(name, f"{where}: mask")
    file = path.parent / "Masks" / name
    if name in (".", "..") or len(name.encode()) > 255 or not file.is_file():
        raise UserError(
            f"the mask `{_limits.show(name)}` is not in {path.parent / 'Masks'}",
            where=where,
            hint="keep the folder `Masks` of the export beside the XML files",
        )
    pixels = _images.marked(_images.decode(_limits.read_bytes(file), str(file), ("PNG",)))
    budget.take(pixels.size, where)
    if size and pixels.shape != (size[1], size[0]):
        raise UserError(
            f"is {pixels.shape[1]}×{pixels.shape[0]}, but {path.name} states an image of "
            f"{size[0]}×{size[1]}",
            where=file,
        )
    return _shapes.mask(pixels, 0, 0, label, where, size)


EXAMPLE = Example(
    {
        "drawing.xml": """<annotation>
            <filename>drawing.png</filename>
            <imagesize><nrows>5</nrows><ncols>7</ncols></imagesize>
            <object>
              <name>eye</name>
              <polygon>
                <pt><x>0</x><y>0</y></pt><pt><x>4</x><y>0</y></pt><pt><x>0</x><y>3</y></pt>
              </polygon>
            </object>
            <object>
              <name>mouth</name>
              <type>bounding_box</type>
              <polygon><pt><x>4</x><y>3</y></pt><pt><x>6</x><y>5</y></pt></polygon>
            </object>
            </annotation>"""
    }
)

FORMAT = Format(
    recognise,
    read,
    example=EXAMPLE,
    title="LabelMe, the web tool",
    tools="LabelMe and CVAT's export of the same name, one file per image (XML)",
    reads=(
        "Polygons, boxes with rotation, and masks (`Masks/*.png`). Also the annotator, if there "
        "is only one."
    ),
    size="Stated, else looked up.",
    skips="Deleted objects.",
    refuses="A mask that is not in `Masks/`, or that differs from the image in size.",
)
