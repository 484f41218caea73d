"""Test DeLong, bootstrap and their edge cases against plain loops, known values and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyborg.common.ranking import compute_auc
from cyborg.results import statistics

TRUTH = np.array([False] * 4 + [True] * 3)
SCORES = np.array([[0.1, 0.4, 0.4, 0.8, 0.4, 0.7, 0.9], [0.3, 0.2, 0.6, 0.5, 0.6, 0.5, 0.8]])


def compute_by_loops(scores: np.ndarray, positives: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's estimate as its definition reads, pair by pair."""
    above, below = [], []
    for values in scores:
        psi = np.array(
            [[(p > n) + (p == n) / 2 for n in values[~positives]] for p in values[positives]]
        )
        above.append(psi.mean(axis=1))
        below.append(psi.mean(axis=0))
    aucs = np.array([row.mean() for row in above])
    k, m, n = len(scores), int(positives.sum()), int((~positives).sum())
    covariance = np.zeros((k, k))
    for r in range(k):
        for s in range(k):
            s10 = sum((above[r] - aucs[r]) * (above[s] - aucs[s])) / (m - 1)
            s01 = sum((below[r] - aucs[r]) * (below[s] - aucs[s])) / (n - 1)
            covariance[r, s] = s10 / m + s01 / n
    return aucs, covariance


def test_placements_by_hand() -> None:
    aucs, above, below = statistics.compute_placements(SCORES[:1], TRUTH)
    assert aucs == pytest.approx([0.75])
    np.testing.assert_allclose(above, [[0.5, 0.75, 1]])
    np.testing.assert_allclose(below, [[1, 2.5 / 3, 2.5 / 3, 1 / 3]])


def test_variance_by_hand() -> None:
    # Placements .5 .75 1: variance 1/16; 1 5/6 5/6 1/3: mean 3/4, squares 1/16 1/144 1/144 25/144.
    _, covariance = statistics.compute_delong_covariance(SCORES[:1], TRUTH)
    assert covariance == pytest.approx(np.array([[1 / 16 / 3 + 36 / 144 / 3 / 4]]))


@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(2, 12), st.integers(1, 4))
def test_delong_agrees_with_loops(seed: int, m: int, n: int, k: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(0, 6, (k, m + n)) / 5  # many ties
    positives = random.permutation(np.arange(m + n) < m)
    aucs, covariance = statistics.compute_delong_covariance(scores, positives)
    expected = compute_by_loops(scores, positives)
    np.testing.assert_allclose(aucs, expected[0], atol=1e-12)
    np.testing.assert_allclose(covariance, expected[1], atol=1e-12)
    assert aucs == pytest.approx([compute_auc(row, positives) for row in scores])


def test_contrast_is_the_paired_test() -> None:
    aucs, covariance = statistics.compute_delong_covariance(SCORES, TRUTH)
    found = statistics.contrast_aucs(aucs, covariance, np.array([1, -1]))
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert found.difference == pytest.approx(aucs[0] - aucs[1])
    assert found.error == pytest.approx(math.sqrt(variance))
    assert found.p == pytest.approx(math.erfc(abs(found.z) / math.sqrt(2)))


def test_contrast_without_variance() -> None:
    perfect, reversed_ = np.arange(7.0), -np.arange(7.0)
    aucs, covariance = statistics.compute_delong_covariance(np.array([perfect, 2 * perfect]), TRUTH)
    same = statistics.contrast_aucs(aucs, covariance, np.array([1, -1]))
    assert (same.difference, same.error, same.p) == (0, 0, 1)
    aucs, covariance = statistics.compute_delong_covariance(np.array([perfect, reversed_]), TRUTH)
    other = statistics.contrast_aucs(aucs, covariance, np.array([1, -1]))
    assert other.difference == 1
    assert math.isnan(other.p)


def test_one_image_of_a_class_has_no_variance() -> None:
    aucs, covariance = statistics.compute_delong_covariance(SCORES[:, :5], TRUTH[:5])
    assert aucs == pytest.approx([0.5, 0.875])
    assert np.isnan(covariance).all()
    assert math.isnan(statistics.contrast_aucs(aucs, covariance, np.array([1, -1])).p)


def test_p_values_of_equal_methods_are_uniform() -> None:
    random = np.random.default_rng(1)
    truth = np.arange(120) < 60
    p = []
    for _ in range(400):
        scores = random.standard_normal((2, 120)) + truth + random.standard_normal(120)
        aucs, covariance = statistics.compute_delong_covariance(scores, truth)
        p.append(statistics.contrast_aucs(aucs, covariance, np.array([1, -1])).p)
    # 5 % of 400 is 20, standard deviation 4.4.
    assert 8 <= np.sum(np.array(p) < 0.05) <= 34
    assert 160 <= np.sum(np.array(p) < 0.5) <= 240


def test_holm_by_hand() -> None:
    adjusted = statistics.adjust_p_values(np.array([0.01, 0.04, math.nan, 0.03, 0.5]))
    assert adjusted[[0, 1, 3, 4]] == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert math.isnan(adjusted[2])


def test_mean_sd() -> None:
    assert statistics.compute_mean_sd(np.array([1.0, 2.0, 6.0])) == pytest.approx((3, math.sqrt(7)))
    mean, sd = statistics.compute_mean_sd(np.array([0.7]))
    assert mean == 0.7
    assert math.isnan(sd)
    assert all(map(math.isnan, statistics.compute_mean_sd(np.array([]))))


@given(st.integers(0, 10_000))
@settings(max_examples=30)
def test_weighted_auc_is_the_auc_of_repeated_images(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(0, 5, 20) / 4
    positives = np.arange(20) < 8
    weights = np.concatenate(
        [random.multinomial(8, [1 / 8] * 8, 5), random.multinomial(12, [1 / 12] * 12, 5)], axis=1
    )
    expected = [compute_auc(np.repeat(scores, w), np.repeat(positives, w)) for w in weights]
    assert statistics.compute_weighted_auc(scores, positives, weights) == pytest.approx(expected)


def draw_weights(groups: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    return statistics.draw_image_weights(statistics.split_strata(groups, TRUTH), resamples, seed)


def test_resamples_keep_classes_and_groups() -> None:
    groups = np.array(["a", "a", "b", "c", "d", "d", "e"])
    drawn = draw_weights(groups, 500, seed=3)
    assert (drawn[:, 0] == drawn[:, 1]).all()
    assert (drawn[:, 4] == drawn[:, 5]).all()
    # Three negative groups a b c, two positive ones d e.
    assert (drawn[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert (drawn[:, [4, 6]].sum(axis=1) == 2).all()
    assert drawn[:, 2].mean() == pytest.approx(1, abs=0.12)


def test_resamples_depend_on_images_and_seed_alone() -> None:
    groups = np.array(list("abcdefg"))
    first = draw_weights(groups, 50, seed=0)
    assert (first == draw_weights(groups, 50, seed=0)).all()
    assert (first != draw_weights(groups, 50, seed=1)).any()
    # Another set with the same negatives meets the same draws of them.
    other = draw_weights(np.array(list("abcdxyz")), 50, seed=0)
    assert (first[:, :4] == other[:, :4]).all()


def test_bootstrap_and_delong_agree_on_the_error() -> None:
    random = np.random.default_rng(0)
    truth = np.arange(300) < 120
    scores = random.standard_normal((1, 300)) + truth
    drawn = statistics.resample_aucs(scores, truth, np.arange(300).astype(str), 3000, 0)
    _, covariance = statistics.compute_delong_covariance(scores, truth)
    assert drawn.std() == pytest.approx(math.sqrt(covariance[0, 0]), rel=0.06)
    assert drawn.mean() == pytest.approx(compute_auc(scores[0], truth), abs=0.003)


def test_first_order_is_near_the_exact_resampling() -> None:
    random = np.random.default_rng(0)
    truth = np.arange(2000) < 900
    scores = np.round(random.standard_normal((2, 2000)) + truth, 2)
    groups = np.arange(2000).astype(str)
    exact = statistics.resample_aucs(scores, truth, groups, 300, 0)
    linear = statistics.resample_aucs(scores, truth, groups, 300, 0, first_order=0)
    assert (exact - linear).std() < 0.05 * exact.std(axis=1).min()
    assert abs((exact - linear).mean()) < 1e-4


def test_blocks_are_drawn_apart() -> None:
    drawn = statistics.resample_aucs(SCORES, TRUTH, np.array(list("abcdefg")), 130, 0)
    assert drawn.shape == (2, 130)
    assert np.isfinite(drawn).all()
    assert (drawn[:, :50] != drawn[:, 50:100]).any()
    # More resamples begin with the same ones.
    assert (drawn[:, :100] == statistics.resample_aucs(
        SCORES, TRUTH, np.array(list("abcdefg")), 100, 0)).all()  # fmt: skip


def test_mean_over_runs_has_the_unbiased_variance() -> None:
    random = np.random.default_rng(0)
    runs = random.standard_normal(3)
    drawn = statistics.resample_mean(np.repeat(runs[:, None], 40_000, axis=1), 0)
    assert drawn.var() == pytest.approx(runs.var(ddof=1) / 3, rel=0.03)
    assert drawn.mean() == pytest.approx(runs.mean(), abs=0.01)


def test_mean_of_one_run_is_the_run() -> None:
    values = np.random.default_rng(0).random((1, 50))
    assert (statistics.resample_mean(values, 0) == values[0]).all()


def test_interval_and_bound() -> None:
    low, high = statistics.compute_interval(np.linspace(0, 1.2, 1201), 0.9, 0, 1)
    assert low == pytest.approx(0.06)
    assert high == 1
    # 0.025 = bound^10: ten pairs in order happen with this probability.
    assert statistics.bound_perfect_auc(10, 0.95) ** 10 == pytest.approx(0.025)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runs", "images", "least", "most"),
    [(3, 30, 0.90, 1.0), (3, 200, 0.87, 0.99), (5, 200, 0.90, 0.99), (1, 200, 0.5, 0.8)],
)
def test_intervals_cover(runs: int, images: int, least: float, most: float) -> None:
    """Intervals of 95 % hold the true AUC about as often as they state; those of one run do not.

    Simulated: scores are normal, half of their variance is the image's and half the run's, and
    the separation of the classes differs between runs with a standard deviation of 0.2.
    """
    random = np.random.default_rng(0)
    truth, groups, hits = np.arange(2 * images) < images, np.arange(2 * images).astype(str), 0
    separations = 0.8 + 0.2 * random.standard_normal(20_000)
    true = float(np.mean([0.5 * math.erfc(-d / 2) for d in separations]))
    for trial in range(300):
        of_image = random.standard_normal(2 * images)
        of_run = random.standard_normal((runs, 2 * images))
        separation = 0.8 + 0.2 * random.standard_normal((runs, 1))
        scores = (of_image + of_run) / math.sqrt(2) + truth * separation
        drawn = statistics.resample_aucs(scores, truth, groups, 300, trial)
        low, high = statistics.compute_interval(statistics.resample_mean(drawn, trial), 0.95, 0, 1)
        hits += low <= true <= high
    assert least <= hits / 300 <= most
