"""One drawing, a triangle and a square on 7×5 pixels, reads the same from every format."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from reading import HERE, filled, read, recognised

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
IMAGES = HERE / "images"

# file, format, name of the image as the file states it, size, outlines (not only pixels) kept
FILES = [
    ("labelme.json", "labelme", "drawing.png", True, True),
    ("labelme_3.json", "labelme", "drawing.json", True, True),
    ("labelme_mask.json", "labelme", "drawing.png", True, False),
    ("via.json", "via", "drawing.png", False, True),
    ("via_1.json", "via", "drawing.png", False, True),
    ("via_project.json", "via", "drawing.png", False, True),
    ("via.csv", "via", "drawing.png", False, True),
    ("cvat.xml", "cvat", "drawing.png", True, True),
    ("cvat_mask.xml", "cvat", "drawing.png", True, False),
    ("labelstudio.json", "labelstudio", "/data/upload/1/0123abcd-drawing.png", True, True),
    ("labelstudio_min.json", "labelstudio", "/data/upload/1/0123abcd-drawing.png", True, True),
    ("labelstudio_brush.json", "labelstudio", "/data/upload/1/0123abcd-drawing.png", True, False),
    ("yolo/drawing.txt", "yolo", "drawing.png", True, True),
    ("yolo", "yolo", "drawing.png", True, True),
    ("labelbox.json", "labelbox", "drawing.png", False, True),
    ("labelbox.ndjson", "labelbox", "drawing.png", True, True),
    ("labelme_web/drawing.xml", "labelme_web", "drawing.png", True, False),
]


@pytest.mark.parametrize(("file", "format", "name", "sized", "outlined"), FILES)
def test_reads_the_same(file: str, format: str, name: str, sized: bool, outlined: bool) -> None:
    path = HERE / file
    assert recognised(path) == [format]
    found = read(format, path, IMAGES if format == "yolo" else None)
    assert len(found) == 1
    annotation = found[0]
    assert annotation.image == name
    assert annotation.size == ((7, 5) if sized else None)
    assert [region.label for region in annotation.regions] == ["eye", "mouth"]
    triangle, square = annotation.regions
    assert (filled(triangle.shapes, 7, 5) == TRIANGLE).all()
    assert (filled(square.shapes, 7, 5) == SQUARE).all()
    assert all(s.label == r.label for r in annotation.regions for s in r.shapes)
    if outlined:
        (a,), (b,) = triangle.shapes, square.shapes
        assert np.allclose(a.points, [(0, 0), (4, 0), (0, 3)], atol=1e-9)
        assert np.allclose(b.points, [(4, 3), (6, 3), (6, 5), (4, 5)], atol=1e-9)


def test_pascal_voc_holds_the_square() -> None:
    path = HERE / "pascal_voc.xml"
    assert recognised(path) == ["pascal_voc"]
    (annotation,) = read("pascal_voc", path)
    assert (annotation.image, annotation.size) == ("drawing.png", (7, 5))
    (region,) = annotation.regions
    assert region.label == "mouth"
    assert region.shapes[0].points == ((4, 3), (6, 3), (6, 5), (4, 5))


def test_pascal_voc_with_fractions_counts_edges_from_zero(tmp_path: Path) -> None:
    text = (HERE / "pascal_voc.xml").read_text()
    for old, new in (("xmin>5<", "xmin>4.0<"), ("ymin>4<", "ymin>3.0<")):
        text = text.replace(old, new)
    path = tmp_path / "a.xml"
    path.write_text(text)
    (annotation,) = read("pascal_voc", path)
    assert annotation.regions[0].shapes[0].points == ((4, 3), (6, 3), (6, 5), (4, 5))


@pytest.mark.parametrize("folder", ["label_map", "parts"])
def test_label_maps_hold_the_pixels(folder: str) -> None:
    assert recognised(HERE / folder) == ["label_map"]
    (annotation,) = read("label_map", HERE / folder)
    assert annotation.image == {"label_map": "drawing.png", "parts": "12"}[folder]
    assert annotation.size == (7, 5)
    eye, mouth = annotation.regions
    assert (eye.label, mouth.label) == ("l_eye", "mouth")
    assert (filled(eye.shapes, 7, 5) == TRIANGLE).all()
    assert (filled(mouth.shapes, 7, 5) == SQUARE).all()


def test_label_map_of_one_file_and_own_names(tmp_path: Path) -> None:
    path = tmp_path / "drawing.png"
    path.write_bytes((HERE / "label_map" / "drawing.png").read_bytes())
    assert recognised(path) == ["label_map"]
    (tmp_path / "labels.txt").write_text("\n".join(["nothing", "", "", "", "left"]))
    (annotation,) = read("label_map", path)
    assert [region.label for region in annotation.regions] == ["left", "10"]


def test_eyetagger() -> None:
    path = HERE / "eyetagger" / "api_annotation.csv"
    assert recognised(path) == ["eyetagger"]
    picture, drawing, nothing = read("eyetagger", path)
    assert {a.image for a in (picture, drawing, nothing)} == {"/images/drawing.png"}
    assert [a.annotator for a in (picture, drawing, nothing)] == ["3", "4", "5"]
    assert [a.decision for a in (picture, drawing, nothing)] == ["fake", "real", ""]
    assert [a.correct for a in (picture, drawing, nothing)] == [True, False, None]
    # Every pixel that is not fully transparent counts, whatever its alpha.
    assert picture.size == (7, 5)
    (region,) = picture.regions
    assert (filled(region.shapes, 7, 5) == (TRIANGLE | SQUARE)).all()
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
    path.write_bytes((HERE / "eyetagger" / "api_annotation.csv").read_bytes())
    assert len(read("eyetagger", path)[0].image) == 64


def test_decisions_people_and_times() -> None:
    (annotation,) = read("labelstudio", HERE / "labelstudio.json")
    assert annotation.annotator == "3"  # the cancelled one, drafts and predictions are left out
    assert annotation.decision == "fake"
    assert annotation.seconds == 2.5
    (annotation,) = read("labelstudio", HERE / "labelstudio_min.json")
    assert (annotation.annotator, annotation.decision) == ("3", "fake")
    assert read("labelme", HERE / "labelme.json")[0].decision == "fake"
    assert read("labelme_web", HERE / "labelme_web" / "drawing.xml")[0].annotator == "anna"
    for file in ("labelbox.json", "labelbox.ndjson"):
        (annotation,) = read("labelbox", HERE / file)
        assert (annotation.annotator, annotation.seconds) == ("user@example.com", 2.5)
