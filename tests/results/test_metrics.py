"""Measures of scores and of maps, against values worked out by hand and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score, roc_curve

from cyborg.common.families import METRICS
from cyborg.results import agreement
from cyborg.results.metrics import calibration, error_rates, fixed_threshold, ranking
from cyborg.results.metrics._base import measures
from cyborg.training import validation

# Scores on a coarse grid, so that ties are common; both classes present.
CASES = st.lists(
    st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=60
).filter(lambda rows: len({positive for _, positive in rows}) == 2)  # fmt: skip


def columns(rows: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    scores, positives = zip(*rows, strict=True)
    return np.array(scores) / 8, np.array(positives)


# Negatives .1 .4 .4 .8, positives .4 .7 .9: of 12 pairs 8 in order and 2 ties.
SCORES = np.array([0.1, 0.4, 0.4, 0.8, 0.4, 0.7, 0.9])
POSITIVES = np.array([False] * 4 + [True] * 3)


def test_auc_by_hand() -> None:
    # .4 beats .1 and ties twice: 1 + 1; .7 beats three; .9 beats four.
    assert ranking.auc(SCORES, POSITIVES) == pytest.approx((2 + 3 + 4) / 12)


@pytest.mark.parametrize(
    ("scores", "expected"), [([0, 0, 1, 1], 1), ([1, 1, 0, 0], 0), ([3, 3, 3, 3], 0.5)]
)
def test_auc_at_its_ends(scores: list[int], expected: float) -> None:
    assert ranking.auc(np.array(scores), np.array([False, False, True, True])) == expected


@given(CASES)
def test_ranking_agrees_with_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    scores, positives = columns(rows)
    assert ranking.auc(scores, positives) == pytest.approx(roc_auc_score(positives, scores))
    assert ranking.average_precision(scores, positives) == pytest.approx(
        average_precision_score(positives, scores)
    )


@given(CASES)
def test_auc_counts_pairs_and_turns_with_the_sign(rows: list[tuple[int, bool]]) -> None:
    scores, positives = columns(rows)
    pairs = [(a > b) + (a == b) / 2 for a in scores[positives] for b in scores[~positives]]
    assert ranking.auc(scores, positives) == pytest.approx(np.mean(pairs))
    assert ranking.auc(-scores, positives) == pytest.approx(1 - np.mean(pairs))


@given(CASES)
def test_training_selects_by_the_same_auc(rows: list[tuple[int, bool]]) -> None:
    scores, positives = columns(rows)
    assert validation.rank_auc(scores, positives) == pytest.approx(ranking.auc(scores, positives))


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="one class"):
        ranking.auc(SCORES, np.ones(7, bool))
    with pytest.raises(ValueError, match="one class"):
        measures(SCORES, np.zeros(7, bool))
    with pytest.raises(ValueError, match="not finite"):
        measures(np.append(SCORES[:-1], np.nan), POSITIVES)


@given(CASES)
def test_roc_agrees_with_scikit_learn_and_has_the_area_of_the_ranks(
    rows: list[tuple[int, bool]],
) -> None:
    scores, positives = columns(rows)
    x, y, thresholds = error_rates.roc(scores, positives)
    expected = roc_curve(positives, scores, drop_intermediate=False)
    np.testing.assert_allclose(x, expected[0])
    np.testing.assert_allclose(y, expected[1])
    np.testing.assert_allclose(thresholds, expected[2])
    area = float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum())
    assert area == pytest.approx(ranking.auc(scores, positives))


def test_eer_by_hand() -> None:
    # Thresholds .9 .8 .7 .4 .1: FPR 0 .25 .25 .75 1, FNR 2/3 2/3 1/3 0 0. Between .7 and .4 the
    # difference FPR - FNR goes from -1/12 to 3/4: a tenth of the way, FPR = .25 + .05.
    assert error_rates.eer(SCORES, POSITIVES) == pytest.approx(0.3)
    perfect, reversed_ = np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0])
    truth = np.array([False, False, True, True])
    assert error_rates.eer(perfect, truth) == 0
    assert error_rates.eer(reversed_, truth) == 1


@given(CASES)
def test_eer_is_the_same_for_both_classes(rows: list[tuple[int, bool]]) -> None:
    scores, positives = columns(rows)
    assert error_rates.eer(scores, positives) == pytest.approx(
        error_rates.eer(-scores, ~positives), abs=1e-9
    )


def test_operating_points_by_hand() -> None:
    negatives = np.arange(100) / 100  # one in a hundred is 0.99
    positives = np.array([0.5, 0.945, 0.95, 0.985, 0.995])
    scores = np.concatenate([negatives, positives])
    truth = np.arange(105) >= 100
    # Threshold .945 refuses .95 to .99, five of a hundred, and finds all positives but .5.
    assert error_rates.tpr_at_fpr(scores, truth, 0.05) == pytest.approx(4 / 5)
    assert error_rates.apcer_at_bpcer(scores, truth, 0.01) == pytest.approx(3 / 5)
    assert error_rates.tpr_at_fpr(scores, truth, 0.01) == pytest.approx(2 / 5)
    # A set of 100 cannot show one in a thousand.
    assert math.isnan(error_rates.tpr_at_fpr(scores, truth, 0.001))


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
    error = calibration.expected_calibration_error(scores, truth, bins=2)
    assert error == pytest.approx(0.5 * 0.35 + 0.5 * 0.05)
    assert calibration.brier(scores, truth) == pytest.approx(brier_score_loss(truth, scores))
    assert calibration.brier(np.full(4, 0.5), truth) == 0.25


def test_every_module_takes_part() -> None:
    found = measures(SCORES, POSITIVES)
    for name in METRICS.names():
        own = METRICS.find(name).compute(SCORES, POSITIVES)
        assert own
        assert set(own) <= set(found)
    assert {"auc", "eer", "brier", "apcer_at_bpcer_5%", "tpr_at_fpr_0.1%"} <= set(found)


MODEL = np.array([[0.0, 1.0], [2.0, 5.0]])
HUMAN = np.array([[0.0, 0.0], [1.0, 3.0]])


def test_agreement_by_hand() -> None:
    # Deviations of the model -2 -1 0 3, of the human map -1 -1 0 2: 9 / sqrt(14 * 6).
    assert agreement.correlation(MODEL, HUMAN) == pytest.approx(9 / math.sqrt(84))
    # Scaled to sum one: 0 1/8 2/8 5/8 and 0 0 1/4 3/4.
    assert agreement.similarity(MODEL, HUMAN) == pytest.approx(2 / 8 + 5 / 8)
    assert agreement.divergence(MODEL, HUMAN) == pytest.approx(0.75 * math.log(6 / 5))
    # Standardised by sqrt(14 / 4): 0 and 3 are at the fixated pixels.
    assert agreement.scanpath_saliency(MODEL, HUMAN) == pytest.approx(1.5 / math.sqrt(3.5))
    assert agreement.auc_judd(MODEL, HUMAN) == 1
    assert agreement.auc_judd(-MODEL, HUMAN) == 0
    # 90th percentile of four values lies between the two largest: one pixel each, the same.
    assert agreement.overlap_of_top(MODEL, HUMAN) == 1
    assert agreement.overlap_of_top(MODEL, HUMAN.T[::-1]) == 0
    assert agreement.pointing(MODEL, HUMAN) == 1


def test_pointing_tolerance() -> None:
    model, human = np.zeros((5, 5)), np.zeros((5, 5))
    model[0, 0] = human[0, 3] = 1
    assert agreement.pointing(model, human) == 0
    assert agreement.pointing(model, human, tolerance=2.9) == 0
    assert agreement.pointing(model, human, tolerance=3) == 1


def test_agreement_with_itself_is_perfect() -> None:
    random = np.random.default_rng(0)
    own = random.random((7, 7))
    found = agreement.measures(own, own)
    assert found["cc"] == pytest.approx(1)
    assert found["sim"] == pytest.approx(1)
    assert found["kl"] == pytest.approx(0, abs=1e-12)
    assert found["iou_top10"] == found["pointing"] == 1


def test_maps_without_structure() -> None:
    flat, empty = np.ones((2, 2)), np.zeros((2, 2))
    found = agreement.measures(flat, HUMAN)
    assert [key for key in found if math.isnan(found[key])] == ["cc", "sim", "nss"]
    assert found["auc_judd"] == 0.5
    assert found["pointing"] == 0.5  # half of the area is marked
    found = agreement.measures(MODEL, empty)
    unknown = {"cc", "sim", "kl", "nss", "auc_judd", "pointing"}
    assert {key for key in found if math.isnan(found[key])} == unknown
    assert all(math.isnan(value) for value in agreement.measures(empty, empty).values())


@pytest.mark.parametrize(
    ("model", "human", "message"),
    [
        (np.ones((2, 2)), np.ones((2, 3)), "one size"),
        (np.ones(4), np.ones(4), "one size"),
        (np.array([[np.nan, 1.0]]), np.ones((1, 2)), "not finite"),
    ],
)
def test_bad_maps_are_refused(model: np.ndarray, human: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        agreement.correlation(model, human)
    with pytest.raises(ValueError, match="negative"):
        agreement.divergence(-np.ones((2, 2)), np.ones((2, 2)))
