"""Equivalence, power and the smallest difference that could have been seen."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nct, t

from cyborg.results.power import (
    Spread,
    compute_equivalence_p,
    compute_mean_interval,
    compute_power,
    count_runs_needed,
    find_smallest_difference,
)

spreads = st.builds(
    Spread, st.floats(1e-6, 0.01), st.floats(1e-6, 0.01), st.integers(min_value=2, max_value=20)
)


def simulate(spread: Spread, difference: float, times: int = 4000) -> np.ndarray:
    """Intervals [times,2] of experiments whose true difference and spread are known."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(times):
        values = difference + random.normal(0, math.sqrt(spread.runs), spread.count)
        mean = values.mean() + random.normal(0, math.sqrt(spread.images))
        seen = Spread(spread.images, float(values.var(ddof=1)), spread.count)
        found.append(compute_mean_interval(float(mean), seen, 0.95))
    return np.array(found)


@pytest.mark.parametrize("count", [3, 5, 8])
@pytest.mark.parametrize("runs", [0.02**2, 0.05**2])
def test_intervals_hold_the_true_difference(count: int, runs: float) -> None:
    low, high = simulate(Spread(0.015**2, runs, count), 0.07).T
    assert 0.91 <= ((low <= 0.07) & (high >= 0.07)).mean() <= 0.97


@pytest.mark.parametrize("difference", [0.03, 0.07])
def test_power_is_how_often_a_true_difference_is_told_from_zero(difference: float) -> None:
    spread = Spread(0.012**2, 0.04**2, 6)
    low, high = simulate(spread, difference).T
    seen = float(((low > 0) | (high < 0)).mean())
    assert seen == pytest.approx(compute_power(difference, spread, 0.95), abs=0.04)


def test_power_is_that_of_the_non_central_t() -> None:
    spread = Spread(0.0, 0.04, 6)
    shift, critical = 0.2 / spread.error, t.ppf(0.975, 5)
    expected = nct.sf(critical, 5, shift) + nct.cdf(-critical, 5, shift)
    assert compute_power(0.2, spread, 0.95) == pytest.approx(expected, abs=5e-4)


def test_freedom_by_hand() -> None:
    # Only runs vary: n - 1. Only images vary: no estimate, infinite. Half and half: 4 (n - 1).
    assert Spread(0.0, 0.01, 5).freedom == pytest.approx(4)
    assert math.isinf(Spread(0.01, 0.0, 5).freedom)
    assert Spread(0.002, 0.01, 5).freedom == pytest.approx(16)
    assert Spread(0.002, 0.01, 5).error == pytest.approx(math.sqrt(0.004))


def test_without_image_noise_it_is_the_paired_t_test() -> None:
    spread = Spread(0.0, 0.04, 5)
    reach = t.ppf(0.975, 4) * 0.2 / math.sqrt(5)
    assert compute_mean_interval(0.1, spread, 0.95) == pytest.approx((0.1 - reach, 0.1 + reach))


@given(spreads, st.floats(-0.3, 0.3), st.floats(0.001, 0.2))
def test_equivalence_is_an_interval_inside_the_margin(
    spread: Spread, difference: float, margin: float
) -> None:
    p = compute_equivalence_p(difference, spread, margin)
    low, high = compute_mean_interval(difference, spread, 0.90)
    if abs(p - 0.05) > 1e-6:
        assert (p < 0.05) == (-margin < low and high < margin)


@given(spreads)
@settings(deadline=None, max_examples=40)  # each example solves an equation
def test_the_smallest_difference_has_the_stated_power(spread: Spread) -> None:
    smallest = find_smallest_difference(spread, 0.95)
    assert compute_power(smallest, spread, 0.95) == pytest.approx(0.8, abs=1e-3)
    assert compute_power(-smallest, spread, 0.95) == pytest.approx(0.8, abs=1e-3)


def test_one_run_says_nothing_of_runs() -> None:
    alone = Spread.measure(np.array([0.1]), np.array([[0.0, 0.2]]))
    assert math.isnan(alone.runs)
    for value in (
        find_smallest_difference(alone, 0.95),
        compute_equivalence_p(0.0, alone, 0.02),
        compute_power(0.1, alone, 0.95),
        *compute_mean_interval(0.1, alone, 0.95),
    ):
        assert math.isnan(value)
    assert count_runs_needed(0.1, alone, 0.95) is None


def test_runs_needed_is_the_first_number_that_is_enough() -> None:
    spread = Spread(0.01**2, 0.05**2, 3)
    needed = count_runs_needed(0.05, spread, 0.95)
    assert needed is not None
    assert compute_power(0.05, spread.predict(needed), 0.95) >= 0.8
    assert compute_power(0.05, spread.predict(needed - 1), 0.95) < 0.8


def test_no_number_of_runs_replaces_images() -> None:
    spread = Spread(0.02**2, 0.05**2, 3)
    assert count_runs_needed(0.03, spread, 0.95) is None
    assert count_runs_needed(0.03, spread, 0.95, image_factor=16) is not None


def test_spread_is_measured_from_the_bootstrap() -> None:
    random = np.random.default_rng(1)
    images = random.normal(0, 0.01, 20_000)
    observed = np.array([0.10, 0.14, 0.06, 0.10])
    spread = Spread.measure(observed, observed[:, None] + images)
    assert spread.images == pytest.approx(0.01**2, rel=0.05)
    assert spread.runs == pytest.approx(observed.var(ddof=1))
    assert spread.count == 4
