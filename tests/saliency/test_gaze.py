"""Gaze: fixations from samples, their selection, and maps of their density."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cyborg.common.errors import UserError
from cyborg.config.saliency import GazeRecipe, MapRecipe
from cyborg.saliency import gaze
from cyborg.saliency.aggregate import render_map
from cyborg.saliency.annotation import Annotation

PIXELS = GazeRecipe(unit="pixels", sigma=2.0)


def make_viewer(
    name: str, *points: tuple[float, float, float], size: tuple[int, int] = (40, 30)
) -> Annotation:
    return Annotation("a.jpg", size, annotator=name, fixations=np.array(points).reshape(-1, 3))


def test_density_is_a_sum_of_gaussians_with_maximum_one() -> None:
    people = [
        make_viewer("a", (10.5, 8.5, 0.3)),
        make_viewer("b", (30.2, 20.9, 0.1), (10.5, 8.5, 0.2)),
    ]
    done = render_map(people, (40, 30), MapRecipe(gaze=PIXELS), "f")
    y, x = np.mgrid[:30, :40] + 0.5

    def bell(cx: float, cy: float) -> np.ndarray:
        near = (np.abs(x - cx) <= 8) & (np.abs(y - cy) <= 8)
        return np.where(near, np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 8), 0)

    expected = 2 * bell(10.5, 8.5) + bell(30.5, 20.5)
    assert np.abs(done.map - expected / 2 * 255).max() < 0.501
    assert (done.annotators, done.regions) == (2, 3)
    assert done.marked == (done.map > 0).sum()
    longer = render_map(
        people, (40, 30), MapRecipe(gaze=PIXELS.model_copy(update={"weight": "duration"})), "f"
    )
    assert longer.map[20, 30] == pytest.approx(255 * 0.1 / 0.5, abs=1)


def test_many_fixations_take_another_way_to_the_same_map(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.random.default_rng(0).uniform((0, 0, 0.1), (50, 40, 1), (60, 3))
    few = gaze.sum_gaussians(points, 3.0, (50, 40))
    monkeypatch.setattr(gaze, "FEW_FIXATIONS", 1)
    many = gaze.sum_gaussians(points, 3.0, (50, 40))
    assert np.allclose(few / few.max(), many / many.max(), atol=1e-9)


def test_units_of_gaze() -> None:
    assert gaze.convert_unit_to_pixels(GazeRecipe(pixels_per_degree=35), (1024, 768)) == 35
    assert (
        gaze.convert_unit_to_pixels(GazeRecipe(), (600, 900)) == 30
    )  # 30 degrees along the longer side
    assert (
        gaze.convert_unit_to_pixels(GazeRecipe(unit="pixels", pixels_per_degree=35), (600, 900))
        == 1
    )


def test_fixations_are_filtered_in_order() -> None:
    points = [(5, 5, 0.3), (6, 6, 0.05), (math.nan, 1, 0.2), (7, 7, 0.4), (99, 7, 0.4), (8, 8, 0.5)]
    everything = make_viewer("a", *points)

    def select_columns(**changes: object) -> list[float]:
        recipe = PIXELS.model_copy(update=changes)
        return gaze.select_fixations(everything, (40, 30), recipe, "f")[:, 0].tolist()

    assert select_columns() == [5, 6, 7, 8]
    assert select_columns(drop_first=1) == [6, 7, 8]
    assert select_columns(minimum=0.1) == [5, 7, 8]
    assert select_columns(only_first=3) == [5, 6, 7]
    assert select_columns(drop_first=1, only_first=2, minimum=0.1) == [7]
    unknown = make_viewer("a", (5, 5, math.nan))
    with pytest.raises(UserError, match="without a duration"):
        gaze.select_fixations(
            unknown, (40, 30), PIXELS.model_copy(update={"minimum": 0.1}), "place"
        )


def make_recording() -> np.ndarray:
    """100 Hz: 0.3 s at (10, 10), a saccade of 3 samples, 0.2 s at (30, 20), loss, 0.05 s there."""
    still = [(10.0, 10.0)] * 31
    jump = [(15.0, 12.5), (20.0, 15.0), (25.0, 17.5)]
    after = [(30.0, 20.0)] * 21
    lost = [(math.nan, math.nan)] * 20
    short = [(30.0, 20.0)] * 6
    points = still + jump + after + lost + short
    return np.array([(x, y, k / 100) for k, (x, y) in enumerate(points)])


def test_velocity_and_dispersion_find_the_same_fixations() -> None:
    for found in (
        gaze.find_fixations_by_velocity(make_recording(), 200.0, 0.1),
        gaze.find_fixations_by_dispersion(make_recording(), 4.0, 0.1),
    ):
        assert np.allclose(found[:, :2], [[10, 10], [30, 20]], atol=0.01)
        assert found[:, 2] == pytest.approx([0.3, 0.2], abs=0.011)
    assert len(gaze.find_fixations_by_velocity(make_recording(), 200.0, 0.04)) == 3
    assert len(gaze.find_fixations_by_dispersion(make_recording(), 4.0, 0.04)) == 3
    assert len(gaze.find_fixations_by_velocity(make_recording(), 1e-3, 0.5)) == 0
    backwards = make_recording()[::-1]
    with pytest.raises(UserError, match="time does not increase"):
        gaze.find_fixations_by_velocity(backwards, 200.0, 0.1)


def test_raw_samples_become_a_map() -> None:
    raw = Annotation("a.jpg", (40, 30), annotator="a", samples=make_recording())
    recipe = GazeRecipe(unit="pixels", sigma=1.0, velocity=200.0)
    done = render_map([raw], (40, 30), MapRecipe(gaze=recipe), "f")
    assert done.regions == 2
    assert done.map[10, 10] == 255
    assert done.map[20, 30] == 255


def test_hdbscan_leaves_out_stray_fixations() -> None:
    rng = np.random.default_rng(1)
    cluster = [(*rng.normal((10, 10), 0.5), 0.2) for _ in range(30)]
    other = [(*rng.normal((18, 12), 0.5), 0.2) for _ in range(30)]
    people = [make_viewer("a", *cluster, (38.0, 2.0, 0.2)), make_viewer("b", *other)]
    plain = render_map(people, (40, 30), MapRecipe(gaze=PIXELS), "f")
    assert plain.map[2, 38] > 0
    recipe = PIXELS.model_copy(update={"denoise": "hdbscan", "cluster": 5})
    done = render_map(people, (40, 30), MapRecipe(gaze=recipe), "f")
    assert done.map[2, 38] == 0
    assert 50 <= done.regions < plain.regions
    few = gaze.remove_stray_fixations([np.array([[1.0, 1.0, 0.1]])], 5)
    assert len(few[0]) == 1
