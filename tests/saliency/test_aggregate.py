"""Maps of several annotators: aggregation, weights, granularity, blur, gaze."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from cyborg.common.errors import UserError
from cyborg.config.saliency import MapRecipe
from cyborg.saliency.aggregate import SaliencyMap, combine_maps, render_map
from cyborg.saliency.annotation import Annotation, Region, Shape

SIZE = (8, 6)


def make_region(x: float, y: float, w: float, h: float, label: str = "") -> Region:
    points = ((x, y), (x + w, y), (x + w, y + h), (x, y + h))
    return Region((Shape("polygon", points),), label)


def annotate(name: str, *regions: Region, **more: object) -> Annotation:
    return Annotation("a.jpg", SIZE, tuple(regions), annotator=name, **more)  # type: ignore[arg-type]


LEFT, MIDDLE, RIGHT = (make_region(x, 0, 4, 6) for x in (0, 2, 4))
THREE = [annotate("a", LEFT), annotate("b", MIDDLE), annotate("c", RIGHT)]


def render(annotations: list[Annotation], **recipe: object) -> SaliencyMap:
    return render_map(annotations, SIZE, MapRecipe.model_validate(recipe), "file.json")


def render_first_row(annotations: list[Annotation], **recipe: object) -> list[int]:
    """The first line of the map; every line is the same here."""
    value = render(annotations, **recipe).map
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
    assert render_first_row(THREE, **recipe) == expected


def test_what_went_in_is_counted() -> None:
    done = render([*THREE, annotate("d")])
    assert (done.annotators, done.regions, done.marked) == (4, 3, 48)
    nothing = render([annotate("a"), annotate("b")])
    assert (nothing.annotators, nothing.regions, nothing.marked) == (0, 0, 0)
    assert not nothing.map.any()


def test_area_is_that_of_the_union_whatever_the_rule() -> None:
    assert render(THREE, aggregate="intersection").marked == 48
    assert render([annotate("a", LEFT, LEFT)]).marked == 24
    # Half-covered pixels are above zero: 1.5 columns touch two.
    thin = annotate("a", make_region(0, 0, 1.5, 6))
    assert render([thin], antialias=4).marked == 12
    assert render_first_row([thin], antialias=4)[:3] == [255, 128, 0]
    assert render_first_row([thin])[:3] == [
        255,
        0,
        0,
    ]  # the centre of column 1 lies on the right edge: out


def test_one_annotator_in_several_records_is_one() -> None:
    assert (
        render_first_row([annotate("a", LEFT), annotate("a", RIGHT), annotate("b", LEFT)])
        == [255] * 4 + [128] * 4
    )


def test_those_who_marked_nothing_count_in_the_mean() -> None:
    assert render_first_row([annotate("a", LEFT), annotate("b")]) == [128] * 4 + [0] * 4


def test_only_correct() -> None:
    judged = [replace(one, correct=k) for one, k in zip(THREE, (True, False, None), strict=True)]
    done = render(judged, only_correct=True)
    assert done.annotators == 1
    assert done.map[0].tolist() == [255] * 4 + [0] * 4


def test_weights_by_time() -> None:
    timed = [annotate("a", LEFT, seconds=3.0), annotate("b", RIGHT, seconds=1.0)]
    assert render_first_row(timed, time_weight="longer") == [191] * 4 + [64] * 4
    assert render_first_row(timed, time_weight="shorter") == [64] * 4 + [191] * 4
    with pytest.raises(UserError, match="annotator `c` states no annotation time"):
        render([*timed, annotate("c", LEFT)], time_weight="longer")


def test_labels_and_their_weights() -> None:
    both = [annotate("a", make_region(0, 0, 4, 6, "eye"), make_region(2, 0, 4, 6, "mouth"))]
    assert render_first_row(both, labels=["mouth"]) == [0, 0, 255, 255, 255, 255, 0, 0]
    # Where regions overlap the higher weight holds.
    assert render_first_row(both, weights={"eye": 0.4}) == [102, 102, 255, 255, 255, 255, 0, 0]
    part = Region((Shape("polygon", LEFT.shapes[0].points, label="eye"),))
    assert render([annotate("a", part)], labels=["eye"]).regions == 1
    assert render([annotate("a", part)], labels=["nose"]).annotators == 0


def test_blur_equals_the_gaussian_and_its_units() -> None:
    size = (40, 30)
    square = Annotation("a.jpg", size, (make_region(10, 10, 8, 4),))
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
    ready = annotate("a", heat=heat)
    assert render_first_row([ready]) == [128, 128, 3, 0, 0, 0, 0, 0]
    assert render_first_row([ready], threshold=0.02) == [128, 128, 0, 0, 0, 0, 0, 0]
    assert (
        render_first_row([ready, annotate("b", RIGHT)], aggregate="union")
        == [128, 128, 3, 0] + [255] * 4
    )
    done = render([ready])
    assert (done.annotators, done.regions, done.marked) == (1, 0, 18)
    small = replace(ready, heat=np.ones((3, 4), dtype=np.float32))
    with pytest.raises(UserError, match="the map has 4 x 3 pixels"):
        render([small])
    assert render_first_row([small], on_size="scale") == [255] * 8


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
