"""Controls: wrong maps on purpose, made the same way each time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyborg.common.families import CONTROLS
from cyborg.training.controls import blobs, centre, displaced, inverted, shuffled

NAMES = CONTROLS.list_names()


def some_maps(count: int = 5, height: int = 12, width: int = 9, seed: int = 0) -> np.ndarray:
    """Different maps, each a bright square on black with a soft edge."""
    rng = np.random.default_rng(seed)
    maps = np.zeros((count, height, width), np.uint8)
    for i in range(count):
        y, x = rng.integers(0, height - 3), rng.integers(0, width - 3)
        maps[i, y : y + 3, x : x + 3] = 100 + i
        maps[i, y, x] = 50
    return maps


@pytest.fixture(params=NAMES)
def control(request):
    return CONTROLS.find(request.param).change


def test_the_family_has_the_usual_controls():
    assert {"blobs", "centre", "displaced", "inverted", "shuffled"} <= set(NAMES)


def test_same_seed_same_maps_of_same_form(control):
    maps, labels = some_maps(), np.array([0, 1, 0, 1, 1])
    before = maps.copy()
    first = control(maps, labels, np.random.default_rng(3))
    second = control(maps, labels, np.random.default_rng(3))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(maps, before)  # the input is not touched
    assert first.shape == maps.shape
    assert first.dtype == np.uint8


def test_every_map_becomes_another(control):
    maps = some_maps()
    changed = control(maps, np.zeros(5), np.random.default_rng(0))
    assert all((a != b).any() for a, b in zip(maps, changed, strict=True))


def test_no_maps_at_all(control):
    assert control(some_maps(0), np.zeros(0), np.random.default_rng(0)).shape == (0, 12, 9)


@pytest.mark.parametrize("module", [blobs, displaced, shuffled])
def test_another_seed_gives_other_maps(module):
    maps = some_maps()
    a, b = (
        module.CONTROL.change(maps, np.zeros(5), np.random.default_rng(seed)) for seed in (0, 1)
    )
    assert (a != b).any()


@settings(max_examples=25, deadline=None)
@given(count=st.integers(2, 12), seed=st.integers(0, 99))
def test_shuffled_is_a_derangement(count, seed):
    maps = np.arange(count, dtype=np.uint8)[:, None, None] + np.zeros((1, 2, 3), np.uint8)
    given_to = shuffled.CONTROL.change(maps, np.zeros(count), np.random.default_rng(seed))[:, 0, 0]
    assert sorted(given_to) == list(range(count))
    assert (given_to != np.arange(count)).all()


def test_a_single_map_stays_when_shuffled():
    maps = some_maps(1)
    np.testing.assert_array_equal(
        shuffled.CONTROL.change(maps, np.zeros(1), np.random.default_rng(0)), maps
    )


@settings(max_examples=25, deadline=None)
@given(height=st.integers(2, 20), width=st.integers(2, 20), seed=st.integers(0, 99))
def test_displaced_by_a_quarter_at_least_around_the_edges(height, width, seed):
    maps = np.zeros((1, height, width), np.uint8)
    maps[0, 0, 0] = 7
    moved = displaced.CONTROL.change(maps, np.zeros(1), np.random.default_rng(seed))[0]
    assert np.sort(moved, axis=None)[-2:].tolist() == [0, 7]
    (y,), (x,) = np.nonzero(moved)
    assert min(y, height - y) >= height / 4
    assert min(x, width - x) >= width / 4


def test_inverted_by_hand():
    maps = np.array([[[0, 255], [100, 1]]], np.uint8)
    assert inverted.CONTROL.change(maps, np.zeros(1), np.random.default_rng(0)).tolist() == [
        [[255, 0], [155, 254]]
    ]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 99))
def test_blobs_keep_area_and_histogram(seed):
    maps = some_maps(3, seed=seed)
    made = blobs.CONTROL.change(maps, np.zeros(3), np.random.default_rng(seed))
    for one, other in zip(maps, made, strict=True):
        np.testing.assert_array_equal(np.sort(one, axis=None), np.sort(other, axis=None))


def test_blobs_hang_together():
    """Most marked pixels have a marked neighbour: blobs, not salt and pepper."""
    maps = np.zeros((20, 60, 60), np.uint8)
    maps[:, :15, :24] = 255  # a tenth
    made = blobs.CONTROL.change(maps, np.zeros(20), np.random.default_rng(0)) > 0
    neighbours = made & np.roll(made, 1, axis=1)
    assert neighbours.sum() > 0.7 * made.sum()


def test_centre_is_symmetric_and_the_same_for_all():
    made = centre.CONTROL.change(some_maps(), np.zeros(5), np.random.default_rng(0))
    assert (made == made[0]).all()
    np.testing.assert_array_equal(made[0], made[0, ::-1, ::-1])
    assert made.max() == 255
    assert made[0, 0, 0] < 40
    # One standard deviation is a quarter of the side: exp(-2) of the top in the middle of an edge.
    edge = centre.CONTROL.change(
        np.zeros((1, 101, 101), np.uint8), np.zeros(1), np.random.default_rng(0)
    )
    assert edge[0, 50, 0] / 255 == pytest.approx(np.exp(-0.5 * (50 / 101 / 0.25) ** 2), abs=0.003)
