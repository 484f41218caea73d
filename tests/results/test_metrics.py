"""Test the metrics: the contract of every member, and values against hand and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, roc_curve

from cyborg.common.families import METRICS
from cyborg.common.ranking import compute_auc
from cyborg.results.metrics import calibration, error_rates, fixed_threshold, ranking
from cyborg.results.metrics._base import compute_metrics, list_metrics

# Scores on a coarse grid, so that ties are common. Both classes are present.
CASES = st.lists(
    st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=60
).filter(lambda rows: len({positive for _, positive in rows}) == 2)  # fmt: skip


def split_columns(rows: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    scores, positives = zip(*rows, strict=True)
    return np.array(scores) / 8, np.array(positives)


# Negatives .1 .4 .4 .8, positives .4 .7 .9: of 12 pairs 8 are in order and 2 are ties.
SCORES = np.array([0.1, 0.4, 0.4, 0.8, 0.4, 0.7, 0.9])
POSITIVES = np.array([False] * 4 + [True] * 3)


# The contract of the family


@pytest.mark.parametrize("name", METRICS.list_names())
def test_a_metric_gives_the_values_it_documents(name: str) -> None:
    metric = METRICS.find(name)
    found = metric.compute(SCORES, POSITIVES)
    assert sorted(found) == sorted(value.name for value in metric.values)
    assert all(isinstance(value, float) for value in found.values())
    assert not any(math.isinf(value) for value in found.values())
    for value in metric.values:
        assert value.meaning
        assert not value.meaning.endswith(".")


@pytest.mark.parametrize("name", METRICS.list_names())
def test_a_metric_depends_on_the_images_and_not_on_their_order(name: str) -> None:
    metric = METRICS.find(name)
    turned = metric.compute(SCORES[::-1].copy(), POSITIVES[::-1].copy())
    assert turned == pytest.approx(metric.compute(SCORES, POSITIVES), nan_ok=True)


@pytest.mark.parametrize("name", METRICS.list_names())
def test_a_metric_takes_one_image_of_each_class(name: str) -> None:
    found = METRICS.find(name).compute(np.array([0.3, 0.7]), np.array([False, True]))
    assert set(found) == {value.name for value in METRICS.find(name).values}


def test_no_two_metrics_give_a_value_of_the_same_name() -> None:
    names = [value.name for metric in list_metrics() for value in metric.values]
    assert len(set(names)) == len(names)
    assert set(compute_metrics(SCORES, POSITIVES)) == set(names)


def test_bad_scores_are_errors() -> None:
    with pytest.raises(ValueError, match="one class"):
        compute_metrics(SCORES, np.zeros(7, bool))
    with pytest.raises(ValueError, match="not finite"):
        compute_metrics(np.append(SCORES[:-1], np.nan), POSITIVES)


# Values


@given(CASES)
def test_average_precision_by_its_definition(rows: list[tuple[int, bool]]) -> None:
    scores, positives = split_columns(rows)
    expected, recall = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        called = scores >= threshold
        gained = (called & positives).sum() / positives.sum()
        expected += (gained - recall) * (called & positives).sum() / called.sum()
        recall = gained
    found = ranking.METRIC.compute(scores, positives)["average_precision"]
    assert found == pytest.approx(expected)
    assert found == pytest.approx(average_precision_score(positives, scores))


@given(CASES)
def test_roc_agrees_with_scikit_learn_and_has_the_area_of_the_ranks(
    rows: list[tuple[int, bool]],
) -> None:
    scores, positives = split_columns(rows)
    x, y, thresholds = error_rates.compute_roc(scores, positives)
    expected = roc_curve(positives, scores, drop_intermediate=False)
    np.testing.assert_allclose(x, expected[0])
    np.testing.assert_allclose(y, expected[1])
    np.testing.assert_allclose(thresholds, expected[2])
    area = float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum())
    assert area == pytest.approx(compute_auc(scores, positives))


def test_eer_by_hand() -> None:
    # Thresholds .9 .8 .7 .4 .1: FPR 0 .25 .25 .75 1, FNR 2/3 2/3 1/3 0 0. Between .7 and .4 the
    # difference FPR - FNR goes from -1/12 to 3/4: a tenth of the way, FPR = .25 + .05.
    assert error_rates.compute_eer(SCORES, POSITIVES) == pytest.approx(0.3)
    perfect, reversed_ = np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0])
    truth = np.array([False, False, True, True])
    assert error_rates.compute_eer(perfect, truth) == 0
    assert error_rates.compute_eer(reversed_, truth) == 1


@given(CASES)
def test_eer_is_the_same_for_both_classes(rows: list[tuple[int, bool]]) -> None:
    scores, positives = split_columns(rows)
    assert error_rates.compute_eer(scores, positives) == pytest.approx(
        error_rates.compute_eer(-scores, ~positives), abs=1e-9
    )


def test_operating_points_by_hand() -> None:
    negatives = np.arange(100) / 100  # one in a hundred is 0.99
    positives = np.array([0.5, 0.945, 0.95, 0.985, 0.995])
    scores = np.concatenate([negatives, positives])
    truth = np.arange(105) >= 100
    # Threshold .945 refuses .95 to .99, five of a hundred, and finds all positives but .5.
    assert error_rates.find_tpr_at_fpr(scores, truth, 0.05) == pytest.approx(4 / 5)
    assert error_rates.find_apcer_at_bpcer(scores, truth, 0.01) == pytest.approx(3 / 5)
    assert error_rates.find_tpr_at_fpr(scores, truth, 0.01) == pytest.approx(2 / 5)
    # A set of 100 cannot show one in a thousand.
    assert math.isnan(error_rates.find_tpr_at_fpr(scores, truth, 0.001))


def test_fixed_threshold_by_hand() -> None:
    # Called positive at .5: .8 of the negatives, .7 and .9 of the positives.
    found = fixed_threshold.METRIC.compute(SCORES, POSITIVES)
    assert found == pytest.approx(
        {
            "apcer_at_half": 1 / 3,
            "bpcer_at_half": 1 / 4,
            "accuracy_at_half": 5 / 7,
            "balanced_accuracy_at_half": (2 / 3 + 3 / 4) / 2,
        }
    )


def test_calibration_by_hand() -> None:
    scores = np.array([0.1, 0.2, 0.9, 1.0])
    truth = np.array([False, True, True, True])
    # Two bins: mean .15 against a share of .5, mean .95 against 1.
    error = calibration.compute_calibration_error(scores, truth, bins=2)
    assert error == pytest.approx(0.5 * 0.35 + 0.5 * 0.05)
    found = calibration.METRIC.compute(scores, truth)
    assert found["brier"] == pytest.approx(brier_score_loss(truth, scores))
    # Squared differences .01 .64 .01 0.
    assert found["brier"] == pytest.approx(0.66 / 4)
    assert calibration.METRIC.compute(np.full(4, 0.5), truth)["brier"] == 0.25
