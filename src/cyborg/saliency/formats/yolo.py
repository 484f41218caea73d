"""YOLO: one text file per image, boxes (`class x y width height`) or polygons (`class x y x y …`).

All positions are shares of the width and height of the image. The file states neither these nor the
name of the image: it is the image of the same name in the folder of the images. An empty file is an
annotation with nothing marked. `classes.txt`, `obj.names` or `data.yaml` beside the file or one
folder up names the classes. Without it, the number of the class is the label. If a line has one
number more than a box or polygon, it ends with a model's confidence, which is not read.

Source: the formats of Darknet and Ultralytics YOLO.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import yaml

from cyborg.common.errors import UserError
from cyborg.saliency.annotation import Annotation, Region, Shape
from cyborg.saliency.formats import _images, _limits, _shapes
from cyborg.saliency.formats._base import Format
from cyborg.saliency.formats._example import Example
from cyborg.saliency.match import find_image
from cyborg.saliency.names import IMAGE_SUFFIXES

_NUMBER = rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_LINE = re.compile(rb"\s*\d+(?:\.0*)?(?:[ \t]+" + _NUMBER + rb"){4,}\s*")
# Tools write up to some thousandths beyond the border. More is another unit.
_LOW, _HIGH = -0.1, 1.1
# Text files that hold no labels, and other files that belong to a data set.
_LISTS = {"classes.txt", "labels.txt", "train.txt", "val.txt", "valid.txt", "test.txt"}
_SIDE = {".txt", ".names", ".data", ".yaml", ".yml", ".cache"}


def recognise(path: Path, head: bytes) -> bool:
    """Tell whether every line is a class and four or more numbers, or a .txt file is empty.

    A folder is YOLO if all its text files are, besides class names and lists of images, and if it
    holds nothing but images and YOLO's own side files.
    """
    if path.is_dir():
        files = _list_files(path)
        return (
            bool(files)
            and all(_is_label_file(file) for file in files)
            and _holds_only_known_files(path)
        )
    head = head.removeprefix(b"\xef\xbb\xbf")
    if not head.strip():
        return path.suffix.lower() == ".txt"
    lines = head[:8192].splitlines()
    if len(head) >= 8192:
        lines = lines[:-1] or lines
    return all(_LINE.fullmatch(line) for line in lines if line.strip())


def _is_label_file(file: Path) -> bool:
    with file.open("rb") as handle:
        return recognise(file, handle.read(65536))


def _list_files(folder: Path) -> list[Path]:
    """Return the label files of a folder and its sub-folders."""
    return sorted(
        file
        for file in folder.rglob("*.txt")
        if file.is_file() and file.name not in _LISTS and not file.name.startswith(".")
    )


def _holds_only_known_files(folder: Path) -> bool:
    return all(
        file.suffix.lower() in _SIDE | IMAGE_SUFFIXES
        for file in folder.rglob("*")
        if file.is_file() and not file.name.startswith(".")
    )


def read(path: Path, images: Path | None = None) -> Iterator[Annotation]:
    """Yield the one Annotation of a file, or those of the files of a folder, sorted.

    images: the folder of the images. It is needed, because shares become pixels by the size of the
    image. Raises UserError without it, and, with file and line, for anything that cannot be read.
    """
    if path.is_dir():
        for file in _list_files(path):
            people = file.parent.relative_to(path).as_posix()
            # Folders of several people hold files of the same names: the folder tells them apart.
            for said in read(file, images):
                yield replace(said, annotator="" if people == "." else people)
        return
    try:
        lines = _limits.read_bytes(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UserError("is not a text file", where=path) from None
    if images is None:
        raise UserError(
            "states positions as shares of an image whose size it does not state",
            where=path,
            hint="give the folder of the images",
        )
    size = _images.require_size(images, path.stem, str(path))
    found = find_image(images, path.stem, str(path))
    assert found is not None
    labels = _read_class_names(path)
    regions = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            shape = _read_shape(line.split(), size, labels, f"{path}:{number}")
            regions.append(Region((shape,), shape.label))
    yield Annotation(found.relative_to(images).as_posix(), size, tuple(regions))


def _read_shape(
    words: list[str], size: tuple[int, int], labels: dict[int, str], location: str
) -> Shape:
    if len(words) < 5:
        raise UserError(
            f"has {len(words)} numbers",
            where=location,
            hint="a box is `class x y width height`, a polygon `class x y x y x y …`",
        )
    kind = _limits.check_integer(_limits.parse_number(words[0], location), location)
    label = labels.get(kind, str(kind))
    values = [_limits.parse_number(word, location, low=_LOW, high=_HIGH) for word in words[1:]]
    width, height = size
    if len(values) in (4, 5):
        x, y, w, h = values[:4]
        if w < 0 or h < 0:
            raise UserError("a box of negative size", where=location)
        x0, y0, x1, y1 = x - w / 2, y - h / 2, x + w / 2, y + h / 2
        return _shapes.make_box(x0 * width, y0 * height, x1 * width, y1 * height, label)
    pairs = zip(values[0::2], values[1::2], strict=False)
    return _shapes.make_polygon([(x * width, y * height) for x, y in pairs], label, location)


def _read_class_names(path: Path) -> dict[int, str]:
    for folder in (path.parent, path.parent.parent):
        for name in ("classes.txt", "obj.names"):
            if (folder / name).is_file():
                data = _limits.read_bytes(folder / name)
                lines = data.decode("utf-8-sig", "replace").splitlines()
                return {k: line.strip() for k, line in enumerate(lines) if line.strip()}
        for name in ("data.yaml", "data.yml"):
            if (folder / name).is_file():
                return _read_yaml_names(folder / name)
    return {}


def _read_yaml_names(path: Path) -> dict[int, str]:
    try:
        content = yaml.safe_load(_limits.read_bytes(path)[: 2**20])
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(
            f"is not valid YAML: {_limits.quote_value(str(error))}", where=path
        ) from None
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, list):
        return {k: str(name) for k, name in enumerate(names)}
    if isinstance(names, dict):
        return {k: str(name) for k, name in names.items() if isinstance(k, int)}
    return {}


EXAMPLE = Example(
    {
        "drawing.txt": (
            "0 0 0 0.571428571429 0 0 0.6\n"  # a polygon
            "1 0.714285714286 0.8 0.285714285714 0.4\n"  # a box
        ),
        "classes.txt": "eye\nmouth\n",
    }
)

FORMAT = Format(
    recognise,
    read,
    example=EXAMPLE,
    title="YOLO",
    tools="YOLO (Darknet, Ultralytics), one text file per image",
    reads="Boxes and polygons. The sub-folder is the annotator.",
    size="Looked up, and needed.",
    skips="The confidence at the end of a line.",
    refuses="A position off the image by more than a tenth of it, and an image that is not there.",
)
