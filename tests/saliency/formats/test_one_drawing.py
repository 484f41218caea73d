"""One drawing, a triangle and a square on 7×5 pixels, reads the same from every format."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from cyborg.common.families import FORMATS
from format_contract import number_pixels, write_example, write_image
from reading import EXAMPLES, fill_shapes, read, recognise

TRIANGLE = np.array(
    [
        [1, 1, 1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
    ],
    bool,
)
SQUARE = np.array(
    [
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 1, 0],
        [0, 0, 0, 0, 1, 1, 0],
    ],
    bool,
)
UPLOAD = "/data/upload/1/0123abcd-drawing.png"

# file, format, name of the image as the file states it, size, outlines (not only pixels) kept
FILES = [
    ("labelme/version_3.json", "labelme", "drawing.json", True, True),
    ("labelme/mask.json", "labelme", "drawing.png", True, False),
    ("via/version_1.json", "via", "drawing.png", False, True),
    ("via/project.json", "via", "drawing.png", False, True),
    ("via/table.csv", "via", "drawing.png", False, True),
    ("coco/run_lengths.json", "coco", "images/drawing.png", True, False),
    ("cvat/masks.xml", "cvat", "drawing.png", True, False),
    ("labelstudio/drafts_and_cancelled.json", "labelstudio", UPLOAD, True, True),
    ("labelstudio/json_min.json", "labelstudio", UPLOAD, True, True),
    ("labelstudio/brush.json", "labelstudio", UPLOAD, True, False),
    ("labelbox/export_1.json", "labelbox", "drawing.png", False, True),
    ("labelbox/export_2.ndjson", "labelbox", "drawing.png", True, True),
    ("labelme_web/drawing.xml", "labelme_web", "drawing.png", True, False),
]


@pytest.mark.parametrize(("file", "format", "name", "sized", "outlined"), FILES)
def test_reads_the_same(file: str, format: str, name: str, sized: bool, outlined: bool) -> None:
    path = EXAMPLES / file
    assert recognise(path) == [format]
    (annotation,) = read(format, path)
    assert annotation.image == name
    assert annotation.size == ((7, 5) if sized else None)
    assert [region.label for region in annotation.regions] == ["eye", "mouth"]
    triangle, square = annotation.regions
    assert (fill_shapes(triangle.shapes, 7, 5) == TRIANGLE).all()
    assert (fill_shapes(square.shapes, 7, 5) == SQUARE).all()
    assert all(s.label == r.label for r in annotation.regions for s in r.shapes)
    if outlined:
        (a,), (b,) = triangle.shapes, square.shapes
        assert np.allclose(a.points, [(0, 0), (4, 0), (0, 3)], atol=1e-9)
        assert np.allclose(b.points, [(4, 3), (6, 3), (6, 5), (4, 5)], atol=1e-9)


def test_pascal_voc_with_fractions_counts_edges_from_zero(tmp_path: Path) -> None:
    path = write_example("pascal_voc", tmp_path)
    text = path.read_text()
    for old, new in (("xmin>5<", "xmin>4.0<"), ("ymin>4<", "ymin>3.0<"), ("min>1<", "min>0<")):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    (annotation,) = read("pascal_voc", path)
    assert annotation.regions[0].shapes[0].points == ((0, 0), (3, 0), (3, 2), (0, 2))
    assert annotation.regions[1].shapes[0].points == ((4, 3), (6, 3), (6, 5), (4, 5))


def test_parts_of_a_face_are_regions_of_one_image() -> None:
    folder = EXAMPLES / "label_map" / "parts"
    assert recognise(folder) == ["label_map"]
    (annotation,) = read("label_map", folder)
    assert annotation.image == "12"
    assert annotation.size == (7, 5)
    eye, mouth = annotation.regions
    assert (eye.label, mouth.label) == ("l_eye", "mouth")
    assert (fill_shapes(eye.shapes, 7, 5) == TRIANGLE).all()
    assert (fill_shapes(mouth.shapes, 7, 5) == SQUARE).all()


@pytest.mark.parametrize("name", ["label_map", "yolo"])
def test_a_folder_reads_as_its_file(name: str, tmp_path: Path) -> None:
    path = write_example(name, tmp_path / "annotations")
    images = write_image(name, tmp_path / "images")
    assert recognise(path.parent) == [name]
    (one,), (other,) = read(name, path, images), read(name, path.parent, images)
    assert (one.image, one.size, one.annotator) == (other.image, other.size, other.annotator)
    shape = FORMATS.find(name).example.pixels().shape
    assert (number_pixels(one, shape) == number_pixels(other, shape)).all()


def test_label_map_of_one_file_and_own_names(tmp_path: Path) -> None:
    path = write_example("label_map", tmp_path)
    assert recognise(path) == ["label_map"]
    (tmp_path / "labels.txt").write_text("\n".join(["nothing", "", "", "", "left"]))
    (annotation,) = read("label_map", path)
    assert [region.label for region in annotation.regions] == ["left", "10"]


def test_eyetagger() -> None:
    path = EXAMPLES / "eyetagger" / "api_annotation.csv"
    assert recognise(path) == ["eyetagger"]
    picture, drawing, nothing = read("eyetagger", path)
    assert {a.image for a in (picture, drawing, nothing)} == {"/images/drawing.png"}
    assert [a.annotator for a in (picture, drawing, nothing)] == ["3", "4", "5"]
    assert [a.decision for a in (picture, drawing, nothing)] == ["fake", "real", ""]
    assert [a.correct for a in (picture, drawing, nothing)] == [True, False, None]
    # Every pixel that is not fully transparent counts, whatever its alpha.
    assert picture.size == (7, 5)
    (region,) = picture.regions
    assert (fill_shapes(region.shapes, 7, 5) == (TRIANGLE | SQUARE)).all()
    # 1.5 s and 1 s; the press whose end was not seen is left out.
    assert picture.seconds == 2.5
    assert math.isnan(drawing.seconds)
    # The two transforms cancel: the stroke is in pixels of the image.
    (stroke,) = drawing.regions[0].shapes
    assert (stroke.kind, stroke.width) == ("line", 2.0)
    assert stroke.points[0] == (4.0, 3.0)
    assert stroke.points[-1] == (6.0, 5.0)
    assert (5.0, 4.0) in stroke.points
    assert drawing.size == (7, 5)
    assert nothing.regions == ()


def test_eyetagger_without_the_table_of_images_names_by_checksum(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes((EXAMPLES / "eyetagger" / "api_annotation.csv").read_bytes())
    assert len(read("eyetagger", path)[0].image) == 64


def test_decisions_people_and_times() -> None:
    (annotation,) = read("labelstudio", EXAMPLES / "labelstudio" / "drafts_and_cancelled.json")
    assert annotation.annotator == "3"  # the cancelled one, drafts and predictions are left out
    assert annotation.decision == "fake"
    assert annotation.seconds == 2.5
    (annotation,) = read("labelstudio", EXAMPLES / "labelstudio" / "json_min.json")
    assert (annotation.annotator, annotation.decision) == ("3", "fake")
    assert read("labelme", EXAMPLES / "labelme" / "mask.json")[0].decision == "fake"
    assert read("labelme_web", EXAMPLES / "labelme_web" / "drawing.xml")[0].annotator == "anna"
    for file in ("export_1.json", "export_2.ndjson"):
        (annotation,) = read("labelbox", EXAMPLES / "labelbox" / file)
        assert (annotation.annotator, annotation.seconds) == ("user@example.com", 2.5)
