"""Tests at the level of runs, test sets as a random factor, simultaneous intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test

from cyborg.results.run_level_tests import (
    EXACT_RUNS,
    bound_stochastic_order,
    compute_sign_flip_p,
    compute_simultaneous_intervals,
    resample_sets,
)


def test_sign_flips_by_hand() -> None:
    # Four patterns; only + + and - - are as far from zero as the observed sum of 3.
    assert compute_sign_flip_p(np.array([1.0, 2.0])) == 0.5
    assert compute_sign_flip_p(np.array([1.0, -1.0])) == 1.0
    assert compute_sign_flip_p(np.full(8, 0.2)) == 2 / 2**8
    assert math.isnan(compute_sign_flip_p(np.array([])))


@given(st.lists(st.integers(-999, 999).map(lambda k: k / 1000), min_size=2, max_size=9))
def test_sign_flips_agree_with_scipy(values: list[float]) -> None:
    theirs = permutation_test(
        (np.array(values),), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert compute_sign_flip_p(np.array(values)) == pytest.approx(theirs.pvalue, abs=1e-9)


def test_many_runs_are_sampled_and_reproducible() -> None:
    values = np.random.default_rng(0).normal(0.02, 0.05, EXACT_RUNS + 8)
    assert compute_sign_flip_p(values, seed=1) == compute_sign_flip_p(values, seed=1)
    assert compute_sign_flip_p(values, seed=1) == pytest.approx(
        compute_sign_flip_p(values, seed=2), abs=0.01
    )


def test_sign_flips_are_right_as_often_as_they_say() -> None:
    random = np.random.default_rng(3)
    p = [compute_sign_flip_p(random.normal(0, 0.05, 8)) for _ in range(400)]
    assert np.mean(np.array(p) < 0.05) < 0.09


def test_stochastic_order_knows_larger_smaller_and_equal() -> None:
    low = np.array([0.50, 0.52, 0.55, 0.51, 0.53])
    assert bound_stochastic_order(low + 0.2, low) == 0.0
    assert bound_stochastic_order(low, low + 0.2) == 1.0
    assert bound_stochastic_order(low, low) > 0.5
    assert math.isnan(bound_stochastic_order(low[:1], low))


def test_stochastic_order_by_hand() -> None:
    # Quantiles (0, 3) against (1, 1): differences -1 and 2, so a fifth of the squares is against.
    from cyborg.results.run_level_tests import _violation

    assert _violation(np.array([0.0, 3.0]), np.array([1.0, 1.0])) == pytest.approx(0.2)
    assert _violation(np.array([0.0, 3.0]), np.array([1.0])) == pytest.approx(0.2)


def test_sets_as_a_sample_widen_the_interval() -> None:
    random = np.random.default_rng(0)
    truth = np.array([0.1, 0.2, 0.3])
    values = truth[:, None] + random.normal(0, 0.01, (3, 20_000))
    fixed = values.mean(axis=0)
    drawn = resample_sets(values, seed=0)
    assert drawn.mean() == pytest.approx(fixed.mean(), abs=0.003)
    # Variance of a mean of three sets whose variance is 0.01, and that of the images.
    assert drawn.var() == pytest.approx(0.01 / 3, rel=0.1)
    assert np.array_equal(resample_sets(values[:1], seed=0), values[0])


def test_simultaneous_intervals_hold_all_rows_at_once() -> None:
    random = np.random.default_rng(0)
    rows, times = 20, 300
    held = single = 0
    for _ in range(times):
        values = random.normal(0, 1, rows)
        resampled = values[:, None] + random.normal(0, 1, (rows, 400))
        low, high = compute_simultaneous_intervals(values, resampled, 0.95)
        held += bool(((low <= 0) & (high >= 0)).all())
        single += bool((np.abs(values) <= 1.96).all())
    assert 0.90 <= held / times <= 0.985
    assert single / times < 0.5  # which is why: intervals row by row miss in most tables


def test_a_row_without_spread_has_no_interval() -> None:
    low, high = compute_simultaneous_intervals(
        np.zeros(2), np.array([[0.0, 0.0], [1.0, -1.0]]), 0.95
    )
    assert math.isnan(low[0])
    assert math.isnan(high[0])
    assert low[1] < 0 < high[1]
