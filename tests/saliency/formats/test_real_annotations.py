"""Real files of every labelling tool: counts and areas against independent computations."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import re
import xml.etree.ElementTree as tree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyborg.common.errors import UserError
from cyborg.saliency.annotation import Annotation
from reading import SAMPLES, find_sample, list_samples, polygon_area, read, region_areas

pytestmark = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the folder of real annotation files is not here"
)


def summary(annotations: list[Annotation]) -> dict[str, tuple[int, float]]:
    """Number of regions and sum of their areas, by image."""
    result: dict[str, tuple[int, float]] = {}
    for annotation in annotations:
        count, total = result.get(annotation.image, (0, 0.0))
        result[annotation.image] = (
            count + len(annotation.regions),
            total + sum(region_areas([annotation])),
        )
    return result


def same(found: dict[str, tuple[int, float]], expected: dict[str, tuple[int, float]]) -> bool:
    return found.keys() == expected.keys() and all(
        found[k][0] == expected[k][0] and math.isclose(found[k][1], expected[k][1], rel_tol=1e-6)
        for k in expected
    )


@pytest.mark.parametrize("path", list_samples("labelme/*/*.json"))
def test_labelme(path: Path) -> None:
    content = json.loads(path.read_text("utf-8"))
    (annotation,) = read("labelme", path)
    groups = set()
    total = 0.0
    for number, shape in enumerate(content["shapes"]):
        group = shape.get("group_id")
        groups.add((shape["label"], group) if group is not None else number)
        p = shape["points"]
        kind = shape.get("shape_type", "polygon")
        if kind == "polygon" or (kind == "rectangle" and len(p) == 4):
            total += polygon_area(p)
        elif kind == "rectangle":
            total += abs((p[0][0] - p[1][0]) * (p[0][1] - p[1][1]))
        elif kind == "circle":
            total += math.pi * ((p[0][0] - p[1][0]) ** 2 + (p[0][1] - p[1][1]) ** 2)
        elif kind == "mask":
            picture = Image.open(io.BytesIO(base64.b64decode(shape["mask"])))
            total += int((np.array(picture) > 0).sum())
    assert len(annotation.regions) == len(groups)
    assert sum(region_areas([annotation])) == pytest.approx(total, rel=1e-9)
    size = content.get("imageWidth"), content.get("imageHeight")
    if size[0] is None:
        size = Image.open(io.BytesIO(base64.b64decode(content["imageData"]))).size
    assert annotation.size == size
    assert annotation.image == content["imagePath"]


def test_labelme_mask_lies_in_its_box() -> None:
    (annotation,) = read("labelme", find_sample("labelme", "primitives_v5_7", "primitives.json"))
    (shape,) = (s for r in annotation.regions for s in r.shapes if s.kind == "mask")
    assert shape.mask is not None
    left, top = shape.points[0]
    assert left >= 417
    assert left + shape.mask.shape[1] <= 517
    assert top >= 305
    assert top + shape.mask.shape[0] <= 405


def test_labelme_finds_its_image_by_the_name_of_the_json() -> None:
    path = find_sample("labelme", "bbox", "2011_000003.json")
    assert read("labelme", path, path.parent)[0].image == "2011_000003.jpg"


@pytest.mark.parametrize("path", list_samples("via/*/*.json", "via/*/*.csv"))
def test_via(path: Path) -> None:
    expected: dict[str, tuple[int, float]] = {}

    def add(name: str, shape: dict[str, Any] | None) -> None:
        count, total = expected.get(name, (0, 0.0))
        if shape:
            kind = shape["name"]
            count += 1
            if kind == "rect":
                total += shape["width"] * shape["height"]
            elif kind == "polygon":
                points = zip(shape["all_points_x"], shape["all_points_y"], strict=True)
                total += polygon_area(list(points))
            elif kind in ("circle", "ellipse"):
                rx = shape.get("r", shape.get("rx"))
                total += math.pi * rx * shape.get("r", shape.get("ry"))
        expected[name] = (count, total)

    if path.suffix == ".json":
        content = json.loads(path.read_text("utf-8"))
        for record in content.get("_via_img_metadata", content).values():
            add(record["filename"], None)
            regions = record["regions"]
            for region in regions.values() if isinstance(regions, dict) else regions:
                add(record["filename"], region["shape_attributes"])
    else:
        with path.open(newline="", encoding="utf-8") as handle:
            for row in list(csv.reader(handle))[1:]:
                add(row[0], json.loads(row[5]))
    found = read("via", path)
    assert same(summary(found), expected)
    assert all(annotation.size is None for annotation in found)


def test_via_csv_with_undefined_keeps_labels_and_all_rows() -> None:
    found = read("via", find_sample("via", "csv_undefined", "via_export_csv.csv"))
    assert sum(len(a.regions) for a in found) == 68


@pytest.mark.parametrize("path", list_samples("cvat/*/*.xml"))
def test_cvat(path: Path) -> None:
    expected = []
    for image in tree.parse(path).getroot().findall("image"):
        total, count = 0.0, 0
        for shape in image:
            count += 1
            get = {k: float(v) for k, v in shape.attrib.items() if re.fullmatch(r"-?[\d.]+", v)}
            if shape.tag == "box":
                total += (get["xbr"] - get["xtl"]) * (get["ybr"] - get["ytl"])
            elif shape.tag == "ellipse":
                total += math.pi * get["rx"] * get["ry"]
            elif shape.tag == "polygon":
                pairs = [tuple(map(float, p.split(","))) for p in shape.attrib["points"].split(";")]
                total += polygon_area(pairs)  # type: ignore[arg-type]
            elif shape.tag == "mask":
                total += sum(int(n) for n in shape.attrib["rle"].split(",")[1::2])
        size = (int(image.attrib["width"]), int(image.attrib["height"]))
        expected.append((image.attrib["name"], size, count, pytest.approx(total, rel=1e-6)))
    found = [
        (a.image.split("/")[-1], a.size, len(a.regions), sum(region_areas([a])))
        for a in read("cvat", path)
    ]
    assert found == expected


def test_cvat_tells_equal_names_apart_by_subset() -> None:
    found = read("cvat", find_sample("cvat", "project_subsets", "annotations.xml"))
    assert len({a.image for a in found}) == len(found) == 6
    assert "Train/img0.jpg" in {a.image for a in found}


def test_cvat_mask_is_row_major_in_its_box() -> None:
    path = find_sample("cvat", "masks", "annotations.xml")
    element = tree.parse(path).getroot().find("image/mask")
    assert element is not None
    width, left, top = (int(element.attrib[k]) for k in ("width", "left", "top"))
    flat: list[int] = []
    for number, run in enumerate(element.attrib["rle"].split(",")):
        flat += [number % 2] * int(run)
    ys, xs = np.nonzero(np.array(flat).reshape(-1, width))
    shape = read("cvat", path)[0].regions[0].shapes[0]
    assert shape.mask is not None
    rows, columns = np.nonzero(shape.mask)
    assert (rows + int(shape.points[0][1]) == ys + top).all()
    assert (columns + int(shape.points[0][0]) == xs + left).all()


def test_cvat_rotated_boxes_turn_clockwise_about_their_centre() -> None:
    box = (
        read("cvat", find_sample("cvat", "rotated_boxes", "annotations.xml"))[0]
        .regions[0]
        .shapes[0]
    )
    centre = np.array([(259.17 + 681.23) / 2, (246.46 + 278.38) / 2])
    assert np.allclose(np.mean(box.points, axis=0), centre)
    (ax, ay), (bx, by) = box.points[:2]
    # 356.3 degrees clockwise are 3.7 anticlockwise: the right end lies higher (smaller y).
    assert math.degrees(math.atan2(by - ay, bx - ax)) == pytest.approx(-3.7)


@pytest.mark.parametrize("path", list_samples("other/voc_labelimg/*.xml"))
def test_pascal_voc(path: Path) -> None:
    root = tree.parse(path).getroot()
    expected = []
    for box in root.iter("bndbox"):
        x0, y0, x1, y1 = (int(box.findtext(k, "")) for k in ("xmin", "ymin", "xmax", "ymax"))
        expected.append((x1 - x0 + 1) * (y1 - y0 + 1))
    (annotation,) = read("pascal_voc", path)
    assert region_areas([annotation]) == expected
    assert annotation.size == tuple(
        int(root.findtext(f"size/{k}", "")) for k in ("width", "height")
    )


def test_yolo_boxes_and_polygons() -> None:
    path = find_sample("other", "yolo_det", "shapes.txt")
    with pytest.raises(UserError, match="does not state"):
        read("yolo", path)
    (annotation,) = read("yolo", path, path.parent)
    assert annotation.image == "shapes.jpg"
    assert annotation.size == (588, 643)
    rows = [[float(v) for v in line.split()] for line in path.read_text().splitlines()]
    assert region_areas([annotation]) == pytest.approx(
        [w * h * 588 * 643 for _, _, _, w, h in rows]
    )
    assert annotation.regions[0].label == "rectangle"
    path = find_sample("other", "yolo_seg", "dagshub", "testimg.txt")
    (annotation,) = read("yolo", path, path.parent)
    assert annotation.size == Image.open(path.parent / "testimg.png").size == (640, 480)
    assert region_areas([annotation]) == pytest.approx(
        [640 * 480 / 4, 640 * 480 / 4, 640 * 480 / 8]
    )


@pytest.mark.parametrize("path", list_samples("other/labelbox/*.json"))
def test_labelbox(path: Path) -> None:
    expected = []
    for thing in json.loads(path.read_text())["Label"]["objects"]:
        if "bbox" in thing:
            expected.append(thing["bbox"]["width"] * thing["bbox"]["height"])
        elif "polygon" in thing:
            expected.append(polygon_area([(p["x"], p["y"]) for p in thing["polygon"]]))
        elif "line" in thing or "point" in thing:
            expected.append(0)
    found = read("labelbox", path)
    assert region_areas(found) == pytest.approx(expected)
    # Masks behind a web address are left out and counted.
    assert any("web address" in reason for one in found for reason in one.left_out)


@pytest.mark.parametrize("path", list_samples("other/labelme_web_xml/*.xml"))
def test_labelme_web(path: Path) -> None:
    root = tree.parse(path).getroot()
    expected = []
    for thing in root.iter("object"):
        points = [
            (float(p.findtext("x", "")), float(p.findtext("y", ""))) for p in thing.iter("pt")
        ]
        if points:
            expected.append(polygon_area(points))
        else:
            picture = Image.open(path.parent / "Masks" / thing.findtext("segm/mask", ""))
            expected.append(float((np.array(picture)[..., 3] > 0).sum()))
    (annotation,) = read("labelme_web", path)
    assert region_areas([annotation]) == pytest.approx(expected)
    assert annotation.image == root.findtext("filename")
    assert annotation.size == tuple(
        int(root.findtext(f"imagesize/{k}", "")) for k in ("ncols", "nrows")
    )


@pytest.mark.parametrize("path", list_samples("face_parsing/celebamask/*.png"))
def test_label_map(path: Path) -> None:
    pixels = np.array(Image.open(path))
    (annotation,) = read("label_map", path)
    kinds = [int(k) for k in np.unique(pixels) if k]
    assert region_areas([annotation]) == [int((pixels == k).sum()) for k in kinds]
    assert annotation.size == (512, 512)
    labels = {r.label for r in annotation.regions}
    assert {"skin", "nose", "l_eye", "u_lip", "hair"} <= labels
