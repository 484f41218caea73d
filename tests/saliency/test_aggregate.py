"""Maps of several annotators: aggregation, weights, granularity, blur, gaze."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from cyborg.common.errors import UserError
from cyborg.config.saliency import GazeRecipe, MapRecipe
from cyborg.saliency import gaze
from cyborg.saliency.aggregate import SaliencyMap, combine_maps, render_map
from cyborg.saliency.annotation import Annotation, Region, Shape
from cyborg.saliency.fit import fit_annotation

SIZE = (8, 6)


def region(x: float, y: float, w: float, h: float, label: str = "") -> Region:
    points = ((x, y), (x + w, y), (x + w, y + h), (x, y + h))
    return Region((Shape("polygon", points),), label)


def said(name: str, *regions: Region, **more: object) -> Annotation:
    return Annotation("a.jpg", SIZE, tuple(regions), annotator=name, **more)  # type: ignore[arg-type]


LEFT, MIDDLE, RIGHT = (region(x, 0, 4, 6) for x in (0, 2, 4))
THREE = [said("a", LEFT), said("b", MIDDLE), said("c", RIGHT)]


def rendered(annotations: list[Annotation], **recipe: object) -> SaliencyMap:
    return render_map(annotations, SIZE, MapRecipe.model_validate(recipe), "file.json")


def row(annotations: list[Annotation], **recipe: object) -> list[int]:
    """The first line of the map; every line is the same here."""
    value = rendered(annotations, **recipe).map
    assert value.dtype == np.uint8
    assert (value == value[0]).all()
    return value[0].tolist()


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        # a marks columns 0-3, b 2-5, c 4-7.
        ({"aggregate": "mean"}, [85, 85, 170, 170, 170, 170, 85, 85]),
        ({"aggregate": "union"}, [255] * 8),
        ({"aggregate": "intersection"}, [0] * 8),
        ({"aggregate": "vote", "votes": 2}, [0, 0, 255, 255, 255, 255, 0, 0]),
        ({"aggregate": "vote", "votes": 1}, [255] * 8),
        ({"aggregate": "vote", "votes": 4}, [0] * 8),
    ],
)
def test_rules_of_aggregation(recipe: dict, expected: list[int]) -> None:
    assert row(THREE, **recipe) == expected


def test_what_went_in_is_counted() -> None:
    done = rendered([*THREE, said("d")])
    assert (done.annotators, done.regions, done.marked) == (4, 3, 48)
    nothing = rendered([said("a"), said("b")])
    assert (nothing.annotators, nothing.regions, nothing.marked) == (0, 0, 0)
    assert not nothing.map.any()


def test_area_is_that_of_the_union_whatever_the_rule() -> None:
    assert rendered(THREE, aggregate="intersection").marked == 48
    assert rendered([said("a", LEFT, LEFT)]).marked == 24
    # Half-covered pixels are above zero: 1.5 columns touch two.
    thin = said("a", region(0, 0, 1.5, 6))
    assert rendered([thin], antialias=4).marked == 12
    assert row([thin], antialias=4)[:3] == [255, 128, 0]
    assert row([thin])[:3] == [255, 0, 0]  # the centre of column 1 lies on the right edge: out


def test_one_annotator_in_several_records_is_one() -> None:
    assert row([said("a", LEFT), said("a", RIGHT), said("b", LEFT)]) == [255] * 4 + [128] * 4


def test_those_who_marked_nothing_count_in_the_mean() -> None:
    assert row([said("a", LEFT), said("b")]) == [128] * 4 + [0] * 4


def test_only_correct() -> None:
    judged = [replace(one, correct=k) for one, k in zip(THREE, (True, False, None), strict=True)]
    done = rendered(judged, only_correct=True)
    assert done.annotators == 1
    assert done.map[0].tolist() == [255] * 4 + [0] * 4


def test_weights_by_time() -> None:
    timed = [said("a", LEFT, seconds=3.0), said("b", RIGHT, seconds=1.0)]
    assert row(timed, time_weight="longer") == [191] * 4 + [64] * 4
    assert row(timed, time_weight="shorter") == [64] * 4 + [191] * 4
    with pytest.raises(UserError, match="annotator `c` states no annotation time"):
        rendered([*timed, said("c", LEFT)], time_weight="longer")


def test_labels_and_their_weights() -> None:
    both = [said("a", region(0, 0, 4, 6, "eye"), region(2, 0, 4, 6, "mouth"))]
    assert row(both, labels=["mouth"]) == [0, 0, 255, 255, 255, 255, 0, 0]
    # Where regions overlap the higher weight holds.
    assert row(both, weights={"eye": 0.4}) == [102, 102, 255, 255, 255, 255, 0, 0]
    part = Region((Shape("polygon", LEFT.shapes[0].points, label="eye"),))
    assert rendered([said("a", part)], labels=["eye"]).regions == 1
    assert rendered([said("a", part)], labels=["nose"]).annotators == 0


def test_blur_equals_the_gaussian_and_its_units() -> None:
    size = (40, 30)
    square = Annotation("a.jpg", size, (region(10, 10, 8, 4),))
    plain = np.zeros((30, 40))
    plain[10:14, 10:18] = 1
    for recipe, sigma in (
        ({"blur": 2.0}, 2.0),
        ({"blur": 0.25, "blur_unit": "marks"}, 2.0),  # the box of all marks is 8 wide
        ({"blur": 0.1, "blur_unit": "image"}, 3.0),  # the shorter side is 30
    ):
        done = render_map([square], size, MapRecipe.model_validate(recipe), "f")
        expected = gaussian_filter(plain, sigma, mode="nearest") * 255
        assert np.abs(done.map - expected).max() < 0.501
        assert done.marked == 32  # of the regions, not of their blur


def test_ready_maps_are_combined_like_regions() -> None:
    heat = np.zeros((6, 8), dtype=np.float32)
    heat[:, :2], heat[:, 2] = 0.5, 0.01
    ready = said("a", heat=heat)
    assert row([ready]) == [128, 128, 3, 0, 0, 0, 0, 0]
    assert row([ready], threshold=0.02) == [128, 128, 0, 0, 0, 0, 0, 0]
    assert row([ready, said("b", RIGHT)], aggregate="union") == [128, 128, 3, 0] + [255] * 4
    done = rendered([ready])
    assert (done.annotators, done.regions, done.marked) == (1, 0, 18)
    small = replace(ready, heat=np.ones((3, 4), dtype=np.float32))
    with pytest.raises(UserError, match="the map has 4 x 3 pixels"):
        rendered([small])
    assert row([small], on_size="scale") == [255] * 8


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_votes_lie_between_union_and_intersection(n: int, seed: int) -> None:
    stack = list(np.random.default_rng(seed).random((n, 3, 4)).astype(np.float32))
    values = [
        combine_maps(stack, MapRecipe(aggregate="vote", votes=k), [1.0] * n, (4, 3))
        for k in range(1, n + 1)
    ]
    assert (values[0] == combine_maps(stack, MapRecipe(aggregate="union"), [], (4, 3))).all()
    assert (
        values[-1] == combine_maps(stack, MapRecipe(aggregate="intersection"), [], (4, 3))
    ).all()
    assert all((low <= high).all() for high, low in pairwise(values))


@pytest.mark.parametrize(
    "recipe",
    [
        {"granularity": "outline"},
        {"aggregate": "union", "time_weight": "longer"},
        {"labels": []},
        {"weights": {"eye": 1.5}},
        {"gaze": {"sigma": 0}},
    ],
)
def test_recipes_that_make_no_sense_are_refused(recipe: dict) -> None:
    with pytest.raises(ValidationError):
        MapRecipe.model_validate(recipe)


def test_fit_scales_and_refuses() -> None:
    drawn = Annotation(
        "a.jpg",
        (8, 6),
        (Region((Shape("ellipse", ((4.0, 3.0), (2.0, 1.0)), rotation=30, width=1.0),)),),
        fixations=np.array([[4.0, 3.0, 0.2]]),
    )
    twice = fit_annotation(drawn, (16, 12), MapRecipe(on_size="scale"), "f")
    shape = twice.regions[0].shapes[0]
    assert shape.points == ((8.0, 6.0), (4.0, 2.0))
    assert (shape.rotation, shape.width) == (30, 2.0)
    assert twice.fixations is not None
    assert twice.fixations.tolist() == [[8.0, 6.0, 0.2]]
    with pytest.raises(UserError, match="made on 8 x 6 pixels, the image has 16 x 12"):
        fit_annotation(drawn, (16, 12), MapRecipe(), "f")
    with pytest.raises(UserError, match="made on 8 x 6") as error:
        fit_annotation(drawn, (6, 8), MapRecipe(on_size="scale"), "f")
    assert "EXIF" in str(error.value.hint)
    with pytest.raises(UserError, match="made on 8 x 6"):
        fit_annotation(drawn, (16, 14), MapRecipe(on_size="scale"), "f")


# Gaze ------------------------------------------------------------------------------------------

PIXELS = GazeRecipe(unit="pixels", sigma=2.0)


def looked(
    name: str, *points: tuple[float, float, float], size: tuple[int, int] = (40, 30)
) -> Annotation:
    return Annotation("a.jpg", size, annotator=name, fixations=np.array(points).reshape(-1, 3))


def test_density_is_a_sum_of_gaussians_with_maximum_one() -> None:
    people = [looked("a", (10.5, 8.5, 0.3)), looked("b", (30.2, 20.9, 0.1), (10.5, 8.5, 0.2))]
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
    everything = looked("a", *points)

    def kept(**changes: object) -> list[float]:
        recipe = PIXELS.model_copy(update=changes)
        return gaze.select_fixations(everything, (40, 30), recipe, "f")[:, 0].tolist()

    assert kept() == [5, 6, 7, 8]
    assert kept(drop_first=1) == [6, 7, 8]
    assert kept(minimum=0.1) == [5, 7, 8]
    assert kept(only_first=3) == [5, 6, 7]
    assert kept(drop_first=1, only_first=2, minimum=0.1) == [7]
    unknown = looked("a", (5, 5, math.nan))
    with pytest.raises(UserError, match="without a duration"):
        gaze.select_fixations(
            unknown, (40, 30), PIXELS.model_copy(update={"minimum": 0.1}), "place"
        )


def recording() -> np.ndarray:
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
        gaze.find_fixations_by_velocity(recording(), 200.0, 0.1),
        gaze.find_fixations_by_dispersion(recording(), 4.0, 0.1),
    ):
        assert np.allclose(found[:, :2], [[10, 10], [30, 20]], atol=0.01)
        assert found[:, 2] == pytest.approx([0.3, 0.2], abs=0.011)
    assert len(gaze.find_fixations_by_velocity(recording(), 200.0, 0.04)) == 3
    assert len(gaze.find_fixations_by_dispersion(recording(), 4.0, 0.04)) == 3
    assert len(gaze.find_fixations_by_velocity(recording(), 1e-3, 0.5)) == 0
    backwards = recording()[::-1]
    with pytest.raises(UserError, match="time does not increase"):
        gaze.find_fixations_by_velocity(backwards, 200.0, 0.1)


def test_raw_samples_become_a_map() -> None:
    raw = Annotation("a.jpg", (40, 30), annotator="a", samples=recording())
    recipe = GazeRecipe(unit="pixels", sigma=1.0, velocity=200.0)
    done = render_map([raw], (40, 30), MapRecipe(gaze=recipe), "f")
    assert done.regions == 2
    assert done.map[10, 10] == 255
    assert done.map[20, 30] == 255


def test_hdbscan_leaves_out_stray_fixations() -> None:
    rng = np.random.default_rng(1)
    cluster = [(*rng.normal((10, 10), 0.5), 0.2) for _ in range(30)]
    other = [(*rng.normal((18, 12), 0.5), 0.2) for _ in range(30)]
    people = [looked("a", *cluster, (38.0, 2.0, 0.2)), looked("b", *other)]
    plain = render_map(people, (40, 30), MapRecipe(gaze=PIXELS), "f")
    assert plain.map[2, 38] > 0
    recipe = PIXELS.model_copy(update={"denoise": "hdbscan", "cluster": 5})
    done = render_map(people, (40, 30), MapRecipe(gaze=recipe), "f")
    assert done.map[2, 38] == 0
    assert 50 <= done.regions < plain.regions
    few = gaze.remove_stray_fixations([np.array([[1.0, 1.0, 0.1]])], 5)
    assert len(few[0]) == 1
