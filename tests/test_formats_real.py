"""Real files of every labelling tool: counts and areas against independent computations."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import re
import warnings
import xml.etree.ElementTree as tree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from PIL import Image

from cyborg.errors import UserError
from cyborg.saliency.annotation import Annotation
from reading import SHARED, area, areas, read, real, recognised, shoelace

pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the folder of real annotation files is not here"
)


def files(*patterns: str) -> list[Any]:
    paths = [path for pattern in patterns for path in sorted(SHARED.glob(pattern))]
    return [pytest.param(path, id=path.relative_to(SHARED).as_posix()) for path in paths]


def summary(annotations: list[Annotation]) -> dict[str, tuple[int, float]]:
    """Number of regions and sum of their areas, by image."""
    result: dict[str, tuple[int, float]] = {}
    for annotation in annotations:
        count, total = result.get(annotation.image, (0, 0.0))
        result[annotation.image] = (
            count + len(annotation.regions),
            total + sum(areas([annotation])),
        )
    return result


def same(found: dict[str, tuple[int, float]], expected: dict[str, tuple[int, float]]) -> bool:
    return found.keys() == expected.keys() and all(
        found[k][0] == expected[k][0] and math.isclose(found[k][1], expected[k][1], rel_tol=1e-6)
        for k in expected
    )


@pytest.mark.parametrize("path", files("labelme/*/*.json"))
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
            total += shoelace(p)
        elif kind == "rectangle":
            total += abs((p[0][0] - p[1][0]) * (p[0][1] - p[1][1]))
        elif kind == "circle":
            total += math.pi * ((p[0][0] - p[1][0]) ** 2 + (p[0][1] - p[1][1]) ** 2)
        elif kind == "mask":
            picture = Image.open(io.BytesIO(base64.b64decode(shape["mask"])))
            total += int((np.array(picture) > 0).sum())
    assert len(annotation.regions) == len(groups)
    assert sum(areas([annotation])) == pytest.approx(total, rel=1e-9)
    size = content.get("imageWidth"), content.get("imageHeight")
    if size[0] is None:
        size = Image.open(io.BytesIO(base64.b64decode(content["imageData"]))).size
    assert annotation.size == size
    assert annotation.image == content["imagePath"]


def test_labelme_mask_lies_in_its_box() -> None:
    (annotation,) = read("labelme", real("labelme", "primitives_v5_7", "primitives.json"))
    (shape,) = (s for r in annotation.regions for s in r.shapes if s.kind == "mask")
    assert shape.mask is not None
    left, top = shape.points[0]
    assert left >= 417
    assert left + shape.mask.shape[1] <= 517
    assert top >= 305
    assert top + shape.mask.shape[0] <= 405


def test_labelme_finds_its_image_by_the_name_of_the_json() -> None:
    path = real("labelme", "bbox", "2011_000003.json")
    assert read("labelme", path, path.parent)[0].image == "2011_000003.jpg"


@pytest.mark.parametrize("path", files("via/*/*.json", "via/*/*.csv"))
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
                total += shoelace(list(points))
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
    found = read("via", real("via", "csv_undefined", "via_export_csv.csv"))
    assert sum(len(a.regions) for a in found) == 68


@pytest.mark.parametrize("path", files("cvat/*/*.xml"))
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
                total += shoelace(pairs)  # type: ignore[arg-type]
            elif shape.tag == "mask":
                total += sum(int(n) for n in shape.attrib["rle"].split(",")[1::2])
        size = (int(image.attrib["width"]), int(image.attrib["height"]))
        expected.append((image.attrib["name"], size, count, pytest.approx(total, rel=1e-6)))
    found = [
        (a.image.split("/")[-1], a.size, len(a.regions), sum(areas([a])))
        for a in read("cvat", path)
    ]
    assert found == expected


def test_cvat_tells_equal_names_apart_by_subset() -> None:
    found = read("cvat", real("cvat", "project_subsets", "annotations.xml"))
    assert len({a.image for a in found}) == len(found) == 6
    assert "Train/img0.jpg" in {a.image for a in found}


def test_cvat_mask_is_row_major_in_its_box() -> None:
    path = real("cvat", "masks", "annotations.xml")
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
    box = read("cvat", real("cvat", "rotated_boxes", "annotations.xml"))[0].regions[0].shapes[0]
    centre = np.array([(259.17 + 681.23) / 2, (246.46 + 278.38) / 2])
    assert np.allclose(np.mean(box.points, axis=0), centre)
    (ax, ay), (bx, by) = box.points[:2]
    # 356.3 degrees clockwise are 3.7 anticlockwise: the right end lies higher (smaller y).
    assert math.degrees(math.atan2(by - ay, bx - ax)) == pytest.approx(-3.7)


def alpha(codes: list[int]) -> np.ndarray:
    """Label Studio's brush code, bit by bit from its description; alpha of each pixel."""
    bits = "".join(f"{code:08b}" for code in codes)
    at = 0

    def take(n: int) -> int:
        nonlocal at
        at += n
        return int(bits[at - n : at], 2)

    total, word = take(32), take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    out: list[int] = []
    while len(out) < total:
        same_word = take(1)
        length = take(sizes[take(2)]) + 1
        out += [take(word)] * length if same_word else [take(word) for _ in range(length)]
    return np.array(out, np.uint8)[3::4]


SIZES = {"image_bbox": (800, 501), "image_ellipses": (800, 501), "image_polygons": (800, 501)}


@pytest.mark.parametrize("path", files("label_studio/*/*.json"))
def test_label_studio(path: Path, tmp_path: Path) -> None:
    content = json.loads(path.read_text("utf-8"))
    expected = []
    for task in content if isinstance(content, list) else [content]:
        if "annotations" in task:
            for annotation in task["annotations"]:
                expected.append(
                    [(r["id"], r, r["value"]) for r in annotation["result"] if "value" in r]
                )
        elif "result" in task:
            expected.append([(r["id"], r, r["value"]) for r in task["result"]])
        else:
            expected.append([(n, r, r) for n, r in enumerate(task["labels"])])
    images = None
    known = SIZES.get(path.stem)
    if known:
        with pytest.raises(UserError, match="size of the image"):
            read("labelstudio", path)
        images = tmp_path
        url = json.dumps(content)
        name = re.search(r'"image": "[^"]*/([^"/]+)"', url)
        assert name
        Image.new("L", known).save(tmp_path / (name[1].rsplit(".", 1)[0] + ".png"))
    found = read("labelstudio", path, images)
    assert len(found) == len(expected)
    for said, results in zip(found, expected, strict=True):
        one: dict[object, float] = {}
        for key, result, value in results:
            width, height = known or (result.get("original_width"), result.get("original_height"))
            if "rle" in value:
                one[key] = float((alpha(value["rle"]) >= 128).sum())
            elif "points" in value:
                one[key] = shoelace(value["points"]) * width * height / 1e4
            elif "radiusX" in value:
                one[key] = math.pi * value["radiusX"] * value["radiusY"] * width * height / 1e4
            elif "height" in value:
                one[key] = value["width"] * value["height"] * width * height / 1e4
            elif "x" in value:
                one[key] = 0.0
        assert [area(s) for r in said.regions for s in r.shapes] == pytest.approx(
            list(one.values())
        )
        if results:
            result = results[0][1]
            if "original_width" in result:
                assert said.size == (result["original_width"], result["original_height"])


def test_label_studio_rectangles_turn_about_the_upper_left_corner() -> None:
    path = real("label_studio", "sdk", "obb_rotated_part1.json")
    value = json.loads(path.read_text())[0]["annotations"][0]["result"][0]["value"]
    shape = read("labelstudio", path)[0].regions[0].shapes[0]
    corner = (value["x"] * 5.97, value["y"] * 7.68)
    assert shape.points[0] == pytest.approx(corner)
    turn = math.radians(value["rotation"])
    width = value["width"] * 5.97
    end = (corner[0] + width * math.cos(turn), corner[1] + width * math.sin(turn))
    assert shape.points[1] == pytest.approx(end)


def test_label_studio_two_people_are_two_annotations() -> None:
    found = read("labelstudio", real("label_studio", "sdk", "yolo_rectangles.json"))
    assert [(a.image, a.annotator) for a in found] == [
        ("/image1", "2"),
        ("/image1", "1"),
        ("/image2", "1"),
    ]


def test_label_studio_regions_stored_twice_count_once_and_keep_their_label() -> None:
    (said,) = read("labelstudio", real("label_studio", "frontend", "image_tools.json"))
    assert len(said.regions) == 10
    assert {r.label for r in said.regions} == {"Moonwalker", "Planet"}


@pytest.mark.parametrize("path", files("other/voc_labelimg/*.xml"))
def test_pascal_voc(path: Path) -> None:
    root = tree.parse(path).getroot()
    expected = []
    for box in root.iter("bndbox"):
        x0, y0, x1, y1 = (int(box.findtext(k, "")) for k in ("xmin", "ymin", "xmax", "ymax"))
        expected.append((x1 - x0 + 1) * (y1 - y0 + 1))
    (annotation,) = read("pascal_voc", path)
    assert areas([annotation]) == expected
    assert annotation.size == tuple(
        int(root.findtext(f"size/{k}", "")) for k in ("width", "height")
    )


def test_yolo_boxes_and_polygons() -> None:
    path = real("other", "yolo_det", "shapes.txt")
    with pytest.raises(UserError, match="does not state"):
        read("yolo", path)
    (annotation,) = read("yolo", path, path.parent)
    assert annotation.image == "shapes.jpg"
    assert annotation.size == (588, 643)
    rows = [[float(v) for v in line.split()] for line in path.read_text().splitlines()]
    assert areas([annotation]) == pytest.approx([w * h * 588 * 643 for _, _, _, w, h in rows])
    assert annotation.regions[0].label == "rectangle"
    path = real("other", "yolo_seg", "dagshub", "testimg.txt")
    (annotation,) = read("yolo", path, path.parent)
    assert annotation.size == Image.open(path.parent / "testimg.png").size == (640, 480)
    assert areas([annotation]) == pytest.approx([640 * 480 / 4, 640 * 480 / 4, 640 * 480 / 8])


@pytest.mark.parametrize("path", files("other/labelbox/*.json"))
def test_labelbox(path: Path) -> None:
    expected = []
    for thing in json.loads(path.read_text())["Label"]["objects"]:
        if "bbox" in thing:
            expected.append(thing["bbox"]["width"] * thing["bbox"]["height"])
        elif "polygon" in thing:
            expected.append(shoelace([(p["x"], p["y"]) for p in thing["polygon"]]))
        elif "line" in thing or "point" in thing:
            expected.append(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = read("labelbox", path)
    assert areas(found) == pytest.approx(expected)
    # Masks behind a web address are left out, and said to be.
    assert any("web address" in str(w.message) for w in caught)


@pytest.mark.parametrize("path", files("other/labelme_web_xml/*.xml"))
def test_labelme_web(path: Path) -> None:
    root = tree.parse(path).getroot()
    expected = []
    for thing in root.iter("object"):
        points = [
            (float(p.findtext("x", "")), float(p.findtext("y", ""))) for p in thing.iter("pt")
        ]
        if points:
            expected.append(shoelace(points))
        else:
            picture = Image.open(path.parent / "Masks" / thing.findtext("segm/mask", ""))
            expected.append(float((np.array(picture)[..., 3] > 0).sum()))
    (annotation,) = read("labelme_web", path)
    assert areas([annotation]) == pytest.approx(expected)
    assert annotation.image == root.findtext("filename")
    assert annotation.size == tuple(
        int(root.findtext(f"imagesize/{k}", "")) for k in ("ncols", "nrows")
    )


@pytest.mark.parametrize("path", files("face_parsing/celebamask/*.png"))
def test_label_map(path: Path) -> None:
    pixels = np.array(Image.open(path))
    (annotation,) = read("label_map", path)
    kinds = [int(k) for k in np.unique(pixels) if k]
    assert areas([annotation]) == [int((pixels == k).sum()) for k in kinds]
    assert annotation.size == (512, 512)
    labels = {r.label for r in annotation.regions}
    assert {"skin", "nose", "l_eye", "u_lip", "hair"} <= labels


def test_osie_matlab_and_table_agree() -> None:
    table = read("fixations", real("eye_tracking", "osie", "fixations.csv"))
    matlab = read("fixations", real("eye_tracking", "osie", "fixations.mat"))
    assert len(table) == len(matlab) == 600
    for one, other in zip(table, matlab, strict=True):
        assert (one.image, one.size, one.annotator) == (other.image, other.size, other.annotator)
        assert np.allclose(one.fixations, other.fixations)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", files("eye_tracking/osie/mouse_*/*.mat"))
def test_osie_mouse(path: Path) -> None:
    record = scipy.io.loadmat(path)["fixations"][0, 0]
    coord, subject = record["coord"].astype(float), record["subj"].astype(int).ravel()
    found = read("fixations", path)
    assert [int(a.annotator) for a in found] == sorted(set(subject.tolist()))
    for annotation in found:
        mine = coord[subject == int(annotation.annotator)]
        assert annotation.fixations is not None
        assert len(annotation.fixations) == len(mine)
        assert annotation.fixations[:, 0].sum() == pytest.approx((mine[:, 1] - 0.5).sum())
        assert annotation.fixations[:, 1].sum() == pytest.approx((mine[:, 0] - 0.5).sum())
        assert annotation.fixations[:, 0].max() < 800
        assert annotation.fixations[:, 1].max() < 600


def test_salicon() -> None:
    path = real("eye_tracking", "salicon", "fixations_train2014examples.json")
    content = json.loads(path.read_text())
    found = read("fixations", path)
    assert len(found) == len(content["annotations"])
    assert len({a.image for a in found}) == len(content["images"]) == 6
    for said, record in zip(found, content["annotations"], strict=True):
        expected = [[column - 0.5, row - 0.5] for row, column in record["fixations"]]
        assert said.fixations is not None
        assert np.allclose(said.fixations[:, :2], expected)


def test_salicon_maps() -> None:
    path = real("heatmaps", "salicon_base64", "fake_results.json")
    content = json.loads(path.read_text())
    found = read("salicon_maps", path)
    assert [a.image for a in found] == [str(record["image_id"]) for record in content]
    for said, record in zip(found, content, strict=True):
        pixels = np.array(Image.open(io.BytesIO(base64.b64decode(record["saliency_map"]))))
        assert said.size == (640, 480)
        assert said.heat is not None
        assert np.allclose(said.heat, pixels / 255)


FOLDERS = {
    "coco": "coco",
    "labelme": "labelme",
    "via": "via",
    "label_studio": "labelstudio",
    "cvat": "cvat",
    "eye_tracking": "fixations",
    "face_parsing": "label_map",
    "heatmaps/salicon_base64": "salicon_maps",
    "other/labelbox": "labelbox",
    "other/labelme_web_xml": "labelme_web",
    "other/voc_labelimg": "pascal_voc",
    "other/yolo_det": "yolo",
    "other/yolo_seg": "yolo",
}
NO_ANNOTATIONS = {"README.md", "LICENSE.txt", "classes.txt"}


@pytest.mark.parametrize("path", files("**/*.json", "**/*.xml", "**/*.csv", "**/*.mat", "**/*.txt"))
def test_recognised_as_one_format(path: Path) -> None:
    relative = path.relative_to(SHARED).as_posix()
    if path.name in NO_ANNOTATIONS:
        assert recognised(path) == []
    else:
        (expected,) = {v for k, v in FOLDERS.items() if relative.startswith(f"{k}/")}
        assert recognised(path) == [expected]


@pytest.mark.parametrize("path", files("**/*.png", "**/*.jpg", "**/*.jpeg"))
def test_pictures_are_pictures_or_label_maps(path: Path) -> None:
    expected = "heatmap"
    if path.parent.name == "celebamask" and path.suffix == ".png":
        expected = "label_map"
    assert recognised(path) == [expected]
