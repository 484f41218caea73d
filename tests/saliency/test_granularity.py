"""Granularities: area, outline, box, hull and fine strokes of regions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyborg.saliency.annotation import Region, Shape
from cyborg.saliency.fill import fill_shape
from cyborg.saliency.granularity import find_convex_hull, select_granularity


def count_pixels(shapes: tuple[Shape, ...], width: float = 0.0) -> int:
    mask = np.zeros((30, 30), dtype=bool)
    for shape in shapes:
        fill_shape(mask, shape, width)
    return int(mask.sum())


def test_granularities_of_an_l_shaped_region() -> None:
    points = ((2.0, 2.0), (12.0, 2.0), (12.0, 6.0), (6.0, 6.0), (6.0, 12.0), (2.0, 12.0))
    region = Region((Shape("polygon", points),), "part")
    assert count_pixels(select_granularity(region, "area")) == 40 + 24
    assert count_pixels(select_granularity(region, "box")) == 100
    # The hull adds the triangle between (12, 6) and (6, 12), half of 36; centres on its edge stay.
    assert count_pixels(select_granularity(region, "hull")) == pytest.approx(64 + 18, abs=3)
    assert select_granularity(region, "fine") == ()
    outline = select_granularity(region, "outline", 2.0)
    assert [shape.kind for shape in outline] == ["line"]
    assert count_pixels(outline) == pytest.approx(2 * 40, abs=8)
    strokes = Region((Shape("line", ((3, 3), (9, 3))), Shape("polygon", points)))
    assert count_pixels(select_granularity(strokes, "fine"), 2.0) > 0


def test_granularities_of_masks_equal_those_of_the_same_polygon() -> None:
    part = np.zeros((10, 10), dtype=bool)
    part[:4, :] = True
    part[:, :4] = True
    mask = Region((Shape("mask", ((2.0, 2.0),), mask=part),))
    points = ((2.0, 2.0), (12.0, 2.0), (12.0, 6.0), (6.0, 6.0), (6.0, 12.0), (2.0, 12.0))
    polygon = Region((Shape("polygon", points),))
    for kind in ("area", "box", "hull"):
        assert count_pixels(select_granularity(mask, kind)) == count_pixels(
            select_granularity(polygon, kind)
        )
    ring, drawn = (
        count_pixels(select_granularity(mask, "outline", 2.0)),
        count_pixels(select_granularity(polygon, "outline", 2.0)),
    )
    assert ring == pytest.approx(drawn, abs=6)


def test_box_of_a_rotated_ellipse_is_its_extent() -> None:
    ellipse = Shape("ellipse", ((15.0, 15.0), (10.0, 4.0)), rotation=30)
    (box,) = select_granularity(Region((ellipse,)), "box")
    reach = math.hypot(10 * math.cos(math.pi / 6), 4 * math.sin(math.pi / 6))
    assert max(x for x, _ in box.points) == pytest.approx(15 + reach)
    assert min(x for x, _ in box.points) == pytest.approx(15 - reach)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=3, max_size=20))
def test_hull_is_convex_and_holds_all_points(points: list) -> None:
    hull = find_convex_hull(np.array(points, dtype=np.float64))
    turns = [
        (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        for (ax, ay), (bx, by), (cx, cy) in zip(
            hull, hull[1:] + hull[:1], hull[2:] + hull[:2], strict=True
        )
    ]
    if len(hull) > 2:
        assert all(turn > 0 for turn in turns)
        for x, y in points:
            for (ax, ay), (bx, by) in zip(hull, hull[1:] + hull[:1], strict=True):
                assert (bx - ax) * (y - ay) - (by - ay) * (x - ax) >= 0
