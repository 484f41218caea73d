"""Real recordings of gaze and mouse, and ready-made maps in JSON, against the raw files."""

from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from paths import REPOSITORY
from reading import SAMPLES, find_sample, list_samples, read

sys.path.insert(0, str(REPOSITORY / "benchmarks"))
import gaze

pytestmark = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the folder of real annotation files is not here"
)


def test_osie_matlab_and_table_agree() -> None:
    table = read("fixations", find_sample("eye_tracking", "osie", "fixations.csv"))
    matlab = read("fixations", find_sample("eye_tracking", "osie", "fixations.mat"))
    assert len(table) == len(matlab) == 600
    for one, other in zip(table, matlab, strict=True):
        assert (one.image, one.size, one.annotator) == (other.image, other.size, other.annotator)
        assert np.allclose(one.fixations, other.fixations)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", list_samples("eye_tracking/osie/mouse_*/*.mat"))
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
    path = find_sample("eye_tracking", "salicon", "fixations_train2014examples.json")
    content = json.loads(path.read_text())
    found = read("fixations", path)
    assert len(found) == len(content["annotations"])
    assert len({a.image for a in found}) == len(content["images"]) == 6
    for said, record in zip(found, content["annotations"], strict=True):
        expected = [[column - 0.5, row - 0.5] for row, column in record["fixations"]]
        assert said.fixations is not None
        assert np.allclose(said.fixations[:, :2], expected)


def test_salicon_maps() -> None:
    path = find_sample("heatmaps", "salicon_base64", "fake_results.json")
    content = json.loads(path.read_text())
    found = read("salicon_maps", path)
    assert [a.image for a in found] == [str(record["image_id"]) for record in content]
    for said, record in zip(found, content, strict=True):
        pixels = np.array(Image.open(io.BytesIO(base64.b64decode(record["saliency_map"]))))
        assert said.size == (640, 480)
        assert said.heat is not None
        assert np.allclose(said.heat, pixels / 255)


@pytest.mark.parametrize("name", [name for name in gaze.FILES if name != "SALICON's maps"])
def test_positions_lie_on_the_images_and_exchanged_they_do_not(name: str) -> None:
    """The images are wider than high: (row, column) taken for (x, y) would run off them."""
    pictures = gaze.read_recordings(SAMPLES, name)
    points = [(a.fixations, p.size) for p in pictures for a in p.annotations]
    off = {
        exchanged: np.mean(
            np.concatenate(
                [((f[:, :2][:, ::step] >= size) | (f[:, :2] < 0)).any(axis=1) for f, size in points]  # type: ignore[index]
            )
        )
        for exchanged, step in ((False, 1), (True, -1))
    }
    assert off[False] == 0
    assert off[True] > 0.1


def test_salicon_maps_are_those_of_its_own_rule() -> None:
    found = gaze.compare_with_their_rule(SAMPLES)
    assert found.images == 6
    # The rule counts a pixel once, however often it was fixated: the maps differ by that.
    assert min(found.right) > 0.96
    assert max(found.exchanged) < 0.55


# CC and SIM seen at one degree: 0.61, 0.66; 0.79, 0.62; 0.81, 0.63; 0.88, 0.76.
BOUNDS = [(0.55, 0.60), (0.72, 0.56), (0.74, 0.57), (0.82, 0.70)]


@pytest.mark.parametrize(("sets", "bounds"), list(zip(gaze.PAIRS, BOUNDS, strict=True)))
def test_maps_of_gaze_agree_with_other_maps_of_the_images(
    sets: tuple[str, str], bounds: tuple[float, float]
) -> None:
    found = gaze.compare_sets(SAMPLES, *sets, sigma=1.0)
    assert found.images >= 3
    for right, exchanged, other, bound, apart in zip(
        found.right, found.exchanged, found.other, bounds, (0.4, 0.15), strict=True
    ):
        assert right > bound
        assert right - max(exchanged, other) > apart


@pytest.mark.parametrize("sets", gaze.PAIRS)
def test_maps_of_every_image_agree_better_than_exchanged_ones(sets: tuple[str, str]) -> None:
    ours, theirs = (gaze.read_recordings(SAMPLES, name) for name in sets)
    others = gaze.draw_maps(theirs)
    right, exchanged = (
        gaze.measure_each(gaze.draw_maps(ours, swap), others) for swap in (False, True)
    )
    assert (right > exchanged).all()
