"""COCO files: every form of a segmentation, joins of numbers, what is refused; real files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as codec

from cyborg.common.errors import UserError
from cyborg.config.saliency import MapRecipe
from cyborg.saliency.aggregate import render_map
from cyborg.saliency.annotation import Annotation
from cyborg.saliency.formats import coco
from cyborg.saliency.read import read_annotations
from paths import SHARED

ANNOTATIONS = SHARED / "data" / "annotations" / "coco"
W, H = 12, 10
PIXELS = np.zeros((H, W), dtype=np.uint8)
PIXELS[2:5, 3:9] = 1
CODE = codec.encode(np.asfortranarray(PIXELS))


def counts(pixels: np.ndarray) -> list[int]:
    """Uncompressed run lengths, down the columns, background first; written anew for the test."""
    lengths, value = [0], 0
    for pixel in pixels.T.ravel():
        if pixel != value:
            lengths.append(0)
            value = pixel
        lengths[-1] += 1
    return lengths


def content(*segmentations: Any, **more: Any) -> dict:
    return {
        "images": [{"id": 7, "file_name": "JPEGImages/a.jpg", "width": W, "height": H}],
        "annotations": [
            {"id": k, "image_id": 7, "category_id": 1, "segmentation": s} | more
            for k, s in enumerate(segmentations)
        ],
        "categories": [{"id": 1, "name": "mouth"}],
    }


def read(tmp_path: Path, value: Any) -> list[Annotation]:
    path = tmp_path / "any.name"
    path.write_text(json.dumps(value))
    return list(read_annotations(path))


def area(annotation: Annotation) -> int:
    assert annotation.size is not None
    return render_map([annotation], annotation.size, MapRecipe(), "f").marked


BOX = [3, 2, 9, 2, 9, 5, 3, 5]


@pytest.mark.parametrize(
    ("segmentation", "parts"),
    [
        ([BOX], 1),
        (BOX, 1),  # VIA's flat list
        ([[3, 2, 6, 2, 6, 5, 3, 5], [6, 2, 9, 2, 9, 5, 6, 5]], 2),
        ({"size": [H, W], "counts": CODE["counts"].decode()}, 1),
        ({"size": [H, W], "counts": counts(PIXELS)}, 1),
        ([], 1),  # the box
        ([[]], 1),
        (None, 1),
    ],
)
@pytest.mark.parametrize("crowd", [{}, {"iscrowd": 0}, {"iscrowd": 1}, {"iscrowd": True}])
def test_every_form_of_the_same_region(
    tmp_path: Path, segmentation: Any, parts: int, crowd: dict
) -> None:
    (annotation,) = read(tmp_path, content(segmentation, bbox=[3, 2, 6, 3], **crowd))
    assert annotation.image == "JPEGImages/a.jpg"
    assert annotation.size == (W, H)
    (region,) = annotation.regions
    assert region.label == "mouth"
    assert len(region.shapes) == parts
    done = render_map([annotation], (W, H), MapRecipe(), "f")
    assert (done.map > 0).tolist() == (PIXELS > 0).tolist()


def test_overlapping_parts_are_a_union(tmp_path: Path) -> None:
    (annotation,) = read(tmp_path, content([BOX, BOX]))
    assert area(annotation) == 18


def test_numbers_may_be_text_and_images_without_regions_are_kept(tmp_path: Path) -> None:
    value = content([BOX])
    value["annotations"][0]["image_id"] = "7"
    value["images"].append({"id": 8, "file_name": "b.jpg", "width": 3, "height": 4})
    first, second = read(tmp_path, value)
    assert len(first.regions) == 1
    assert (second.image, second.size, second.regions) == ("b.jpg", (3, 4), ())


def test_results_and_sa1b(tmp_path: Path) -> None:
    code = {"size": [H, W], "counts": CODE["counts"].decode()}
    records = [
        {"image_id": n, "category_id": 3, "segmentation": code, "score": 0.5} for n in (42, 42, 43)
    ]
    first, second = read(tmp_path, records)
    assert (first.image, first.size, len(first.regions)) == ("42", (W, H), 2)
    assert first.regions[0].label == "3"
    assert second.image == "43"
    image = {"image_id": 1, "width": W, "height": H, "file_name": "a.jpg"}
    (single,) = read(tmp_path, {"image": image, "annotations": [{"id": 5, "segmentation": code}]})
    assert (single.image, area(single)) == ("a.jpg", 18)


def test_recognised_with_annotations_far_behind_images(tmp_path: Path) -> None:
    value = content([BOX])
    value["images"] += [
        {"id": 100 + k, "file_name": f"{k}.jpg", "width": 9, "height": 9} for k in range(3000)
    ]
    assert len(read(tmp_path, value)) == 3001
    for record in value["annotations"]:
        record["fixations"] = [[1, 2]]
        del record["segmentation"]
    path = tmp_path / "any.name"
    path.write_text(json.dumps(value))
    assert not coco.recognise(path, path.read_bytes()[: 2**16])  # another format's


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_run_lengths_are_those_of_pycocotools(
    height: int, width: int, seed: int, share: float
) -> None:
    pixels = (np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8)
    text = codec.encode(np.asfortranarray(pixels))["counts"].decode()
    node = coco._json.Node(text, Path("f"))
    assert coco._decode_counts(node).tolist() == counts(pixels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"segmentation": [[1, 2, 3]]}, "is not a list x0, y0"),
        ({"segmentation": [[1, 2, "x", 4, 5, 6]]}, "is not a list x0, y0"),
        ({"segmentation": [[1, 2, 1e300, 4, 5, 6]]}, "out of range"),
        ({"segmentation": "abc"}, "is not an array"),
        ({"segmentation": None}, "bbox: is missing"),
        ({"segmentation": [], "bbox": [1, 2, 3]}, r"is not \[x, y, width, height\]"),
        ({"segmentation": [], "bbox": [1, 2, -3, 4]}, "negative width"),
        ({"segmentation": {"size": [H, W], "counts": [5, 10**12]}}, "run lengths"),
        ({"segmentation": {"size": [H, W], "counts": [5, 5]}}, "do not add up"),
        ({"segmentation": {"size": [H, W], "counts": [-5, 125]}}, "run lengths"),
        ({"segmentation": {"size": [W, H], "counts": [120]}}, "the mask has 10 x 12 pixels"),
        ({"segmentation": {"size": [10**5, 10**5], "counts": "a"}}, "claims an image"),
        ({"segmentation": {"size": [H, W], "counts": "~~~~"}}, "compressed run-length"),
        ({"segmentation": {"size": [H, W], "counts": "oooooooooooo0"}}, "out of range"),
        ({"segmentation": {"size": [H, W], "counts": "é"}}, "compressed run-length"),
        ({"segmentation": {"size": [H, W], "counts": ""}}, "compressed run-length"),
        ({"segmentation": {"size": [H], "counts": ""}}, "size"),
        ({"image_id": 8}, "no image has the number"),
        ({"image_id": None}, "is missing|is no id"),
        ({"category_id": 9}, "no category has the number 9"),
    ],
)
def test_bad_records_are_named(tmp_path: Path, change: dict, message: str) -> None:
    value = content([BOX])
    value["images"].append({"id": 9, "file_name": "b.jpg"})
    value["annotations"][0].update(change)
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(value))
    with pytest.raises(UserError, match=message) as error:
        list(coco.read(path))
    assert "bad.json: annotations[0]" in error.value.text()


def test_bad_images_are_named(tmp_path: Path) -> None:
    for change, message in (
        ({"width": -4}, "whole number"),
        ({"width": 10**6, "height": 10**6}, "claims an image"),
        ({"file_name": ""}, "cannot be the name"),
        ({"file_name": None}, "is missing"),
    ):
        value = content([BOX])
        value["images"][0].update(change)
        path = tmp_path / "bad.json"
        path.write_text(json.dumps(value))
        with pytest.raises(UserError, match=message) as error:
            list(coco.read(path))
        assert "images[0]" in error.value.text()
    value = content([BOX])
    value["images"] *= 2
    path.write_text(json.dumps(value))
    with pytest.raises(UserError, match="duplicate"):
        list(coco.read(path))


REAL = {  # images, records; counted by hand from the files' own lists in the test below
    "labelbox_instances/instances.json": (10, 62),
    "cvat_export_2label/annotations/instances_default.json": (4, 23),
    "via_export_coco/via_export_coco.json": (6, 18),
    "labelme2coco/annotations.json": (3, 12),
    "tiny_stuff/stuff_val.json": (1, 1),
    "sam/a.json": (1, 1),
    "ls_import/coco_import_input.json": (2, 2),
    "dagshub/annotations.json": (2, 4),
    "results_compressed_rle/fakesegm_results_part1.json": (10, 120),
}


@pytest.mark.parametrize("name", sorted(REAL))
def test_real_files(name: str) -> None:
    """Counts, and per region the area that pycocotools gives for the same record."""
    if not ANNOTATIONS.is_dir():
        pytest.skip("the shared annotation samples are not on this machine")
    found = list(read_annotations(ANNOTATIONS / name))
    assert (len(found), sum(len(a.regions) for a in found)) == REAL[name]
    value = json.loads((ANNOTATIONS / name).read_text())
    records = value if isinstance(value, list) else value["annotations"]
    sizes = {a.image: a.size for a in found}
    ours = [area(Annotation("x", a.size, (r,))) for a in found for r in a.regions]
    if not isinstance(value, list) and "images" in value:
        order = {str(i["id"]): k for k, i in enumerate(value["images"])}
        files = {str(i["id"]): i["file_name"] for i in value["images"]}
        records = sorted(records, key=lambda r: order[str(r["image_id"])])
    for record, region_area in zip(records, ours, strict=True):
        drawn = record.get("segmentation")
        if isinstance(drawn, dict):
            height, width = drawn["size"]
            code = (
                codec.frPyObjects(drawn, height, width)
                if isinstance(drawn["counts"], list)
                else drawn
            )
            assert region_area == int(codec.area(code))
            continue
        if drawn:
            width, height = sizes[files[str(record["image_id"])]] or (0, 0)
            parts = drawn if isinstance(drawn[0], list) else [drawn]
            theirs = float(codec.area(codec.merge(codec.frPyObjects(parts, height, width))))
            edge = sum(np.abs(np.diff(np.array(p).reshape(-1, 2), axis=0)).sum() for p in parts)
        else:
            _, _, width, height = record["bbox"]
            theirs, edge = width * height, 2 * (width + height)
        # The rules differ by at most about half a pixel along the outline.
        assert abs(region_area - theirs) <= 0.6 * edge + 4
        assert region_area == pytest.approx(theirs, rel=0.05, abs=40)
