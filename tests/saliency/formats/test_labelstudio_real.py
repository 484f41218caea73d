"""Real files of Label Studio: regions and areas against independent computations."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyborg.common.errors import UserError
from reading import SAMPLES, find_sample, list_samples, polygon_area, read, shape_area

pytestmark = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the folder of real annotation files is not here"
)


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


@pytest.mark.parametrize("path", list_samples("label_studio/*/*.json"))
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
                one[key] = polygon_area(value["points"]) * width * height / 1e4
            elif "radiusX" in value:
                one[key] = math.pi * value["radiusX"] * value["radiusY"] * width * height / 1e4
            elif "height" in value:
                one[key] = value["width"] * value["height"] * width * height / 1e4
            elif "x" in value:
                one[key] = 0.0
        assert [shape_area(s) for r in said.regions for s in r.shapes] == pytest.approx(
            list(one.values())
        )
        if results:
            result = results[0][1]
            if "original_width" in result:
                assert said.size == (result["original_width"], result["original_height"])


def test_label_studio_rectangles_turn_about_the_upper_left_corner() -> None:
    path = find_sample("label_studio", "sdk", "obb_rotated_part1.json")
    value = json.loads(path.read_text())[0]["annotations"][0]["result"][0]["value"]
    shape = read("labelstudio", path)[0].regions[0].shapes[0]
    corner = (value["x"] * 5.97, value["y"] * 7.68)
    assert shape.points[0] == pytest.approx(corner)
    turn = math.radians(value["rotation"])
    width = value["width"] * 5.97
    end = (corner[0] + width * math.cos(turn), corner[1] + width * math.sin(turn))
    assert shape.points[1] == pytest.approx(end)


def test_label_studio_two_people_are_two_annotations() -> None:
    found = read("labelstudio", find_sample("label_studio", "sdk", "yolo_rectangles.json"))
    assert [(a.image, a.annotator) for a in found] == [
        ("/image1", "2"),
        ("/image1", "1"),
        ("/image2", "1"),
    ]


def test_label_studio_regions_stored_twice_count_once_and_keep_their_label() -> None:
    (said,) = read("labelstudio", find_sample("label_studio", "frontend", "image_tools.json"))
    assert len(said.regions) == 10
    assert {r.label for r in said.regions} == {"Moonwalker", "Planet"}
