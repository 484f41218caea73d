"""Filling of polygons, ellipses, strokes and masks, and the granularities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as codec

from cyborg.saliency.annotation import Shape
from cyborg.saliency.fill import fill_ellipse, fill_mask, fill_polygon, fill_shape, fill_stroke

SQUARE = ((1.0, 1.0), (4.0, 1.0), (4.0, 3.0), (1.0, 3.0))


def fill_rings(rings: list[Any], width: int, height: int) -> np.ndarray:
    mask = np.zeros((height, width), dtype=bool)
    fill_polygon(mask, rings)
    return mask


def count_windings(ring: np.ndarray, width: int, height: int) -> np.ndarray:
    """Winding number of a ring about every pixel centre [H,W], edge by edge."""
    y, x = np.mgrid[:height, :width] + 0.5
    number = np.zeros((height, width), dtype=int)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        if y0 != y1:
            crossed = ((y0 <= y) & (y < y1)) | ((y1 <= y) & (y < y0))
            left = x0 + (y - y0) * ((x1 - x0) / (y1 - y0)) <= x
            number += (crossed & left) * (1 if y1 > y0 else -1)
    return number


# Multiples of 1/2 put vertices and edges exactly on pixel centres; others fall anywhere.
coordinate = st.one_of(
    st.integers(-8, 40).map(lambda n: n / 2),
    st.floats(-5, 20, allow_nan=False, width=32),
)
rings = st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=12)


@settings(max_examples=300, deadline=None)
@given(rings, st.integers(1, 14), st.integers(1, 14))
def test_fill_is_point_in_polygon(ring: list, width: int, height: int) -> None:
    array = np.array(ring, dtype=np.float64)
    assert (fill_rings([ring], width, height) == (count_windings(array, width, height) != 0)).all()


@settings(max_examples=100, deadline=None)
@given(st.floats(0, 12), st.floats(0, 12), st.floats(-3, 15), st.floats(-3, 15))
def test_neighbours_share_no_pixel_and_leave_none(a: float, b: float, x: float, y: float) -> None:
    """The frame cut by a line into two polygons is covered exactly once."""
    left = fill_rings([[(-20, -20), (a, -20), (b, 30), (-20, 30)]], 12, 9)
    right = fill_rings([[(a, -20), (30, -20), (30, 30), (b, 30)]], 12, 9)
    assert not (left & right).any()
    assert (left | right).all()


def test_box_covers_exactly_its_pixels() -> None:
    mask = fill_rings([SQUARE], 6, 5)
    assert np.argwhere(mask).tolist() == [[r, c] for r in (1, 2) for c in (1, 2, 3)]
    # A polygon thinner than a pixel that holds no centre has no pixel.
    assert not fill_rings([[(1.6, 0), (2.4, 0), (2.4, 5), (1.6, 5)]], 6, 5).any()


def test_self_crossing_outline_stays_filled_and_holes_are_cut() -> None:
    # A pentagram: by the nonzero rule its middle is inside.
    star = [
        (8 + 7 * math.sin(4 * math.pi * k / 5), 8 - 7 * math.cos(4 * math.pi * k / 5))
        for k in range(5)
    ]
    assert fill_rings([star], 16, 16)[8, 8]
    outer = ((0.0, 0.0), (6.0, 0.0), (6.0, 6.0), (0.0, 6.0))
    inner = ((2.0, 2.0), (4.0, 2.0), (4.0, 4.0), (2.0, 4.0))
    for hole in (inner, inner[::-1]):  # either direction is a hole
        mask = np.zeros((6, 6), dtype=bool)
        fill_shape(mask, Shape("polygon", outer, holes=(hole,)))
        assert mask.sum() == 36 - 4
        assert not mask[2:4, 2:4].any()


def test_views_are_refused_rather_than_left_empty() -> None:
    with pytest.raises(ValueError, match="C order"):
        fill_polygon(np.zeros((8, 8), dtype=bool)[:, :4], [SQUARE])


def test_bands_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = np.random.default_rng(3).uniform(-5, 45, (30, 2))
    whole = fill_rings([ring], 40, 40)
    monkeypatch.setattr("cyborg.saliency.fill.CROSSINGS", 50)
    assert (fill_rings([ring], 40, 40) == whole).all()
    assert whole.any()


def test_polygon_area_agrees_with_shoelace_and_pycocotools() -> None:
    rng = np.random.default_rng(0)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 50))
    ring = 512 + np.stack((400 * np.cos(angles), 300 * np.sin(angles)), axis=1)
    x, y = ring.T
    exact = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    mask = fill_rings([ring], 1024, 1024)
    assert mask.sum() == pytest.approx(exact, rel=2e-3)
    other = codec.decode(codec.frPyObjects([ring.ravel().tolist()], 1024, 1024))[..., 0] > 0
    assert (mask & other).sum() / (mask | other).sum() > 0.99


def test_ellipse_and_its_rotation() -> None:
    y, x = np.mgrid[:40, :60] + 0.5
    mask = np.zeros((40, 60), dtype=bool)
    fill_ellipse(mask, (30, 20), (20, 8))
    assert (mask == (((x - 30) / 20) ** 2 + ((y - 20) / 8) ** 2 <= 1)).all()
    turned = np.zeros((60, 60), dtype=bool)
    fill_ellipse(turned, (30, 30), (20, 8), rotation=45)
    # Clockwise on screen: the long axis runs from upper left to lower right.
    assert turned[30 + 12, 30 + 12]
    assert not turned[30 - 12, 30 + 12]
    assert turned.sum() == pytest.approx(math.pi * 20 * 8, rel=0.02)
    upright = np.zeros((60, 60), dtype=bool)
    fill_ellipse(upright, (30, 30), (8, 20), rotation=90)
    assert upright.sum() == pytest.approx(math.pi * 160, rel=0.02)
    assert upright[30].sum() == 40


def test_strokes_have_width_and_round_ends_or_no_area() -> None:
    mask = np.zeros((20, 40), dtype=bool)
    fill_stroke(mask, [(10, 10), (30, 10)], 6)
    y, x = np.mgrid[:20, :40] + 0.5
    near = np.hypot(x - np.clip(x, 10, 30), y - 10) <= 3
    assert (mask == near).all()
    empty = np.zeros((20, 40), dtype=bool)
    fill_shape(empty, Shape("line", ((1, 1), (30, 15))))
    fill_shape(empty, Shape("point", ((5, 5),)))
    assert not empty.any()
    fill_shape(empty, Shape("point", ((5, 5),)), line_width=4)
    assert empty.sum() == (np.hypot(x - 5, y - 5) <= 2).sum()
    # The width that a shape states itself goes before the recipe's.
    own = np.zeros((20, 40), dtype=bool)
    fill_shape(own, Shape("point", ((5, 5),), width=2), line_width=10)
    assert own.sum() == 4


def test_masks_are_placed_and_cut() -> None:
    mask = np.zeros((4, 5), dtype=bool)
    fill_mask(mask, np.ones((3, 3), dtype=bool), (3.4, -1.0))
    assert np.argwhere(mask).tolist() == [[0, 3], [0, 4], [1, 3], [1, 4]]
    fill_mask(mask, np.ones((2, 2), dtype=bool), (90.0, 90.0))
    assert mask.sum() == 4
