"""Real recordings of gaze and mouse, and ready-made maps in JSON, against the raw files."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from reading import SHARED, files, read, real

pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the folder of real annotation files is not here"
)


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
