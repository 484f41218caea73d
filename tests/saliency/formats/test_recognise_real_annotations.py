"""Every real file is recognised, by its content, as exactly one format."""

from __future__ import annotations

from pathlib import Path

import pytest

from reading import SAMPLES, list_samples, recognise

pytestmark = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the folder of real annotation files is not here"
)


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


@pytest.mark.parametrize(
    "path", list_samples("**/*.json", "**/*.xml", "**/*.csv", "**/*.mat", "**/*.txt")
)
def test_recognised_as_one_format(path: Path) -> None:
    relative = path.relative_to(SAMPLES).as_posix()
    if path.name in NO_ANNOTATIONS:
        assert recognise(path) == []
    else:
        (expected,) = {v for k, v in FOLDERS.items() if relative.startswith(f"{k}/")}
        assert recognise(path) == [expected]


@pytest.mark.parametrize("path", list_samples("**/*.png", "**/*.jpg", "**/*.jpeg"))
def test_pictures_are_pictures_or_label_maps(path: Path) -> None:
    expected = "heatmap"
    if path.parent.name == "celebamask" and path.suffix == ".png":
        expected = "label_map"
    assert recognise(path) == [expected]
