"""YOLO: one text file per image, boxes (`class x y width height`) or polygons (`class x y x y …`).

All positions are shares of the width and height of the image. The file states neither these nor the
name of the image: it is the image of the same name in the folder of the images. Of several images
of that name it is the one in the folder of the same name (`labels/train/1.txt` and
`images/train/1.jpg`). An empty file is an annotation with nothing marked. `classes.txt`,
`obj.names` or `data.yaml` beside the file or up to two folders up names the classes. Without it,
the number of the class is the label. If a line has one number more than a box or polygon, it ends
with a model's confidence, which is not read.

Key points are read as points together with their box. A line holds key points if `data.yaml` has
`kpt_shape`, or if every line of the file is a box, and points inside the box that each end in a
visibility of 0, 1 or 2. Key points of visibility 0 are left out.

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
_SIDE = {".txt", ".names", ".data", ".yaml", ".yml", ".cache", ".md"}
_NOTES = {"notes.json"}
# The beginning of a line that is meant as a label. Notes and lists of images have none.
_START = re.compile(rb"\s*\d+(?:\.0*)?[ \t]+[-+.]?\d")
# Folders of the tools' own layout, which name no annotator.
_LAYOUT = {"images", "labels", "train", "val", "valid", "test", "obj_train_data"}
_MARK = b"\xef\xbb\xbf"


def recognise(path: Path, head: bytes) -> bool:
    """Tell whether every line is a class and four or more numbers, or a .txt file is empty.

    A folder is YOLO if it holds files of labels, and besides them nothing but notes, lists, images
    and YOLO's own side files.
    """
    if path.is_dir():
        return _holds_only_known_files(path) and bool(_list_files(path))
    head = head.removeprefix(_MARK)
    if not head.strip():
        return path.suffix.lower() == ".txt"
    lines = head[:8192].splitlines()
    if len(head) >= 8192:
        lines = lines[:-1] or lines
    return all(_LINE.fullmatch(line) for line in lines if line.strip())


def _is_label_file(file: Path) -> bool:
    """Tell whether a text file is empty or has a line of a label, even if it is damaged."""
    with file.open("rb") as handle:
        lines = handle.read(65536).removeprefix(_MARK).splitlines()
    return not b"".join(lines).strip() or any(_START.match(line) for line in lines)


def _list_files(folder: Path) -> list[Path]:
    """Return the label files of a folder and its sub-folders."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() == ".txt"
        and file.is_file()
        and file.name.lower() not in _LISTS
        and not file.name.startswith(".")
        and _is_label_file(file)
    )


def _holds_only_known_files(folder: Path) -> bool:
    return all(
        file.suffix.lower() in _SIDE | IMAGE_SUFFIXES or file.name.lower() in _NOTES
        for file in folder.rglob("*")
        if file.is_file() and not file.name.startswith(".")
    )


def read(path: Path, images: Path | None = None) -> Iterator[Annotation]:
    """Yield the one Annotation of a file, or those of the files of a folder, sorted.

    images: the folder of the images. It is needed, because shares become pixels by the size of the
    image. Raises UserError without it, for two files of one annotator that mean one image, and,
    with file and line, for anything that cannot be read.
    """
    if not path.is_dir():
        yield _read_file(path, images)
        return
    seen: dict[tuple[str, str], Path] = {}
    for file in _list_files(path):
        folders = file.parent.relative_to(path).parts
        # Folders of several people hold files of the same names: the folder tells them apart.
        people = "/".join(folder for folder in folders if folder not in _LAYOUT)
        said = replace(_read_file(file, images), annotator=people)
        other = seen.setdefault((said.image, people), file)
        if other != file:
            raise UserError(
                f"holds labels of the image `{said.image}`, and so does {other}",
                location=file,
                hint="remove one of them, or give the folder with the images of both",
            )
        yield said


def _read_file(path: Path, images: Path | None) -> Annotation:
    try:
        lines = _limits.read_bytes(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UserError("is not a text file", location=path) from None
    if images is None:
        raise UserError(
            "states positions as shares of an image whose size it does not state",
            location=path,
            hint="give the folder of the images",
        )
    found = find_image(images, _state_image(path), str(path))
    # Raises UserError if there is no such image.
    size = _images.require_size(images, _state_image(path) if found else path.stem, str(path))
    assert found is not None
    labels, key_points = _read_data_set(path)
    rows = [(f"{path}:{n}", line.split()) for n, line in enumerate(lines, 1) if line.strip()]
    if key_points is None and rows and all(_shows_visibility(words) for _, words in rows):
        key_points = 3
    regions: list[Region] = []
    left_out: list[str] = []
    for location, words in rows:
        if key_points and len(words) > 6:
            shapes = _read_key_points(words, key_points, size, labels, location)
            hidden = (len(words) - 5) // key_points - len(shapes) + 1
            left_out += ["hidden key point"] * hidden
        else:
            shapes = (_read_shape(words, size, labels, location),)
        regions.append(Region(shapes, shapes[0].label))
    name = found.relative_to(images).as_posix()
    return Annotation(name, size, tuple(regions), left_out=tuple(left_out))


def _state_image(path: Path) -> str:
    """Return the path of the image by YOLO's layout: the last folder `labels` is `images`."""
    *folders, _ = path.resolve().parts
    if "labels" in folders:
        last = len(folders) - 1 - folders[::-1].index("labels")
        folders[last] = "images"
    return "/".join([*folders, path.stem])


def _shows_visibility(words: list[str]) -> bool:
    """Tell whether a line is a box, and points inside it that each end in 0, 1 or 2."""
    try:
        x, y, w, h, *rest = (float(word) for word in words[1:])
    except ValueError:
        return False
    if len(rest) < 3 or len(rest) % 3 or w <= 0 or h <= 0:
        return False
    return all(
        seen in (0, 1, 2)
        and (seen == 0 or (abs(px - x) <= w / 2 + 0.01 and abs(py - y) <= h / 2 + 0.01))
        for px, py, seen in zip(rest[0::3], rest[1::3], rest[2::3], strict=True)
    )


def _read_key_points(
    words: list[str],
    numbers: int,
    size: tuple[int, int],
    labels: dict[int, str],
    location: str,
) -> tuple[Shape, ...]:
    """Return the box of a line and its key points, of two or three numbers each.

    Points of visibility 0 are left out.
    """
    box, rest = _read_shape(words[:5], size, labels, location), words[5:]
    if len(rest) % numbers:
        raise UserError(
            f"has {len(rest)} numbers after its box, but `kpt_shape` in data.yaml says "
            f"{numbers} for each key point",
            location=location,
        )
    points = []
    for start in range(0, len(rest), numbers):
        if numbers == 3 and _limits.parse_number(rest[start + 2], location, low=0) == 0:
            continue
        x, y = (
            _limits.parse_number(word, location, low=_LOW, high=_HIGH)
            for word in rest[start : start + 2]
        )
        points.append(_shapes.make_point(x * size[0], y * size[1], box.label))
    return (box, *points)


def _read_shape(
    words: list[str], size: tuple[int, int], labels: dict[int, str], location: str
) -> Shape:
    if len(words) < 5:
        raise UserError(
            f"has {len(words)} numbers",
            location=location,
            hint="a box is `class x y width height`, a polygon `class x y x y x y …`",
        )
    kind = _limits.check_integer(_limits.parse_number(words[0], location), location)
    label = labels.get(kind, str(kind))
    values = [_limits.parse_number(word, location, low=_LOW, high=_HIGH) for word in words[1:]]
    width, height = size
    if len(values) in (4, 5):
        x, y, w, h = values[:4]
        if w < 0 or h < 0:
            raise UserError("a box of negative size", location=location)
        x0, y0, x1, y1 = x - w / 2, y - h / 2, x + w / 2, y + h / 2
        return _shapes.make_box(x0 * width, y0 * height, x1 * width, y1 * height, label)
    pairs = zip(values[0::2], values[1::2], strict=False)
    return _shapes.make_polygon([(x * width, y * height) for x, y in pairs], label, location)


def _read_data_set(path: Path) -> tuple[dict[int, str], int | None]:
    """Return the names of the classes, and how many numbers a key point has, None if unknown.

    The files that state them lie beside the file or up to two folders up. The nearest counts.
    """
    labels: dict[int, str] = {}
    for folder in path.resolve().parents[:3]:
        for name in ("data.yaml", "data.yml", "dataset.yaml"):
            if (folder / name).is_file():
                names, numbers = _read_yaml(folder / name)
                return labels or names, numbers
        for name in ("classes.txt", "obj.names"):
            if not labels and (folder / name).is_file():
                data = _limits.read_bytes(folder / name)
                lines = data.decode("utf-8-sig", "replace").splitlines()
                labels = {k: line.strip() for k, line in enumerate(lines) if line.strip()}
    return labels, None


def _read_yaml(path: Path) -> tuple[dict[int, str], int | None]:
    try:
        content = yaml.safe_load(_limits.read_bytes(path)[: 2**20])
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(
            f"is not valid YAML: {_limits.quote_value(str(error))}", location=path
        ) from None
    if not isinstance(content, dict):
        return {}, None
    shape = content.get("kpt_shape")
    if shape is not None and not (
        isinstance(shape, list) and len(shape) == 2 and shape[1] in (2, 3)
    ):
        raise UserError(
            f"`{_limits.quote_value(shape)}` is no shape of key points",
            location=f"{path}: kpt_shape",
            hint="[number of points, 2 or 3] is expected",
        )
    numbers = int(shape[1]) if shape else None
    names = content.get("names")
    if isinstance(names, list):
        return {k: str(name) for k, name in enumerate(names)}, numbers
    if isinstance(names, dict):
        return {k: str(name) for k, name in names.items() if isinstance(k, int)}, numbers
    return {}, numbers


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
    reads="Boxes, polygons, and key points with their box. The sub-folder is the annotator.",
    size="Looked up, and needed.",
    skips="The confidence at the end of a line, hidden key points, notes and lists of images.",
    refuses="A position off the image by more than a tenth of it, and an image that is not there.",
    reads_folders=True,
)
