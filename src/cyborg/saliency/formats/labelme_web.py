"""LabelMe, the web tool (XML): one file per image, polygons and masks.

Objects that are marked as deleted are left out. Masks are pictures in the folder `Masks` beside the
file, or, as the tool keeps them, in `Masks/<folder>` beside `Annotations/<folder>`. This is
not labelme, which writes JSON.

Source: the LabelMe annotation tool, and the exporter of Datumaro, whose boxes carry a rotation
about their centre as an attribute.
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
    """Tell whether the beginning of a file shows LabelMe's elements, not those of Pascal VOC."""
    seen = _xml.sketch_paths(head)
    voc = seen & {"annotation/object/bndbox", "annotation/size", "annotation/segmented"}
    return "annotation" in seen and bool(seen & _MARKS) and not voc


def read(path: Path, images: Path | None = None) -> Iterator[Annotation]:
    """Yield the one Annotation of a file.

    images: the folder in which the size is looked up if the file does not state it. Raises
    UserError, with file, object and field, for anything that cannot be read.
    """
    root = _xml.read_file(path)
    if root.tag != "annotation":
        raise UserError(
            f"<{_limits.quote_value(root.tag)}> is not LabelMe's <annotation>", location=path
        )
    file, folder = _xml.read_text(root.find("filename")), _xml.read_text(root.find("folder"))
    name = _limits.check_name(
        f"{folder}/{file}" if folder and file else file or path.stem, f"{path}: filename"
    )
    size = _read_size(root, path, images, name)
    budget = _shapes.MaskBudget()
    regions, people = [], set()
    deleted = 0
    for number, element in enumerate(root.findall("object")):
        location = f"{path}: object {number}"
        if _xml.read_text(element.find("deleted"), "0") not in ("0", "no", "false"):
            deleted += 1
            continue
        label = _xml.read_text(element.find("name"))
        regions.append(Region((_read_shape(element, label, size, budget, path, location),), label))
        people |= {_xml.read_text(user) for user in element.iter("username")} - {""}
    annotator = next(iter(people)) if len(people) == 1 else ""
    left_out = ("deleted object",) * deleted
    yield Annotation(name, size, tuple(regions), annotator=annotator, left_out=left_out)


def _read_size(root: Element, path: Path, images: Path | None, name: str) -> Size:
    stated = root.find("imagesize")
    location = f"{path}: imagesize"
    if stated is not None:
        width, height = (
            _limits.parse_number(_xml.read_text(stated.find(side)), location)
            for side in ("ncols", "nrows")
        )
        return _limits.check_size(width, height, location)
    return _images.look_up_size(images, name, location)


def _read_shape(
    element: Element, label: str, size: Size, budget: _shapes.MaskBudget, path: Path, location: str
) -> Shape:
    outline, picture = element.find("polygon"), element.find("segm")
    if outline is not None:
        points: list[Point] = []
        for number, pt in enumerate(outline.findall("pt")):
            place = f"{location}: pt {number}"
            x, y = (_limits.parse_number(_xml.read_text(pt.find(axis)), place) for axis in "xy")
            points.append((x, y))
        if _xml.read_text(element.find("type")) == "bounding_box":
            if not points:
                raise UserError("a box without corners", location=location)
            turn = re.search(
                r"(?:^|,)\s*rotation=([^,]*)", _xml.read_text(element.find("attributes"))
            )
            degrees = _limits.parse_number(turn[1], f"{location}: rotation") if turn else 0.0
            xs, ys = [x for x, _ in points], [y for _, y in points]
            return _shapes.make_box(min(xs), min(ys), max(xs), max(ys), label, degrees)
        return _shapes.make_polygon(points, label, location)
    if picture is not None:
        return _read_mask(picture, label, size, budget, path, location)
    raise UserError(
        "has neither <polygon> nor <segm>",
        location=location,
        hint="boxes of Pascal VOC are `pascal_voc`",
    )


def _read_mask(
    element: Element, label: str, size: Size, budget: _shapes.MaskBudget, path: Path, location: str
) -> Shape:
    # Only the last part of the name is used: a mask lies in the folder of masks, nowhere else.
    name = strip_folders(_xml.read_text(element.find("mask")))
    _limits.check_name(name, f"{location}: mask")
    folders = _list_mask_folders(path)
    fits = name not in (".", "..") and len(name.encode()) <= 255
    file = next((f / name for f in folders if fits and (f / name).is_file()), None)
    if file is None:
        raise UserError(
            f"the mask `{_limits.quote_value(name)}` is not in {' or '.join(map(str, folders))}",
            location=location,
            hint="keep the folder `Masks` of the export beside the XML files, or beside their "
            "folder `Annotations`",
        )
    pixels = _images.find_marked_pixels(
        _images.decode_picture(_limits.read_bytes(file), str(file), ("PNG",))
    )
    budget.count_pixels(pixels.size, location)
    if size and pixels.shape != (size[1], size[0]):
        raise UserError(
            f"is {pixels.shape[1]}×{pixels.shape[0]}, but {path.name} states an image of "
            f"{size[0]}×{size[1]}",
            location=file,
        )
    return _shapes.make_mask(pixels, 0, 0, label, location, size)


def _list_mask_folders(path: Path) -> list[Path]:
    """Return the folders in which the masks of a file may be, as exports and the tool have them."""
    folders = [path.parent / "Masks"]
    above = path.resolve().parent
    inside = Path()
    while above.name and above.name != "Annotations":
        inside, above = Path(above.name) / inside, above.parent
    if above.name:
        folders.append(above.parent / "Masks" / inside)
    return folders


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
