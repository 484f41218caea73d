"""Test mid-ranks and the AUC against values worked out by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from cyborg.common.ranking import compute_auc, rank_scores

# Scores on a coarse grid, so that ties are common. Both classes are present.
CASES = st.lists(
    st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=60
).filter(lambda rows: len({positive for _, positive in rows}) == 2)  # fmt: skip

# Negatives .1 .4 .4 .8, positives .4 .7 .9: of 12 pairs 8 are in order and 2 are ties.
SCORES = np.array([0.1, 0.4, 0.4, 0.8, 0.4, 0.7, 0.9])
POSITIVES = np.array([False] * 4 + [True] * 3)


def split_columns(rows: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    scores, positives = zip(*rows, strict=True)
    return np.array(scores) / 8, np.array(positives)


@given(st.lists(st.integers(-3, 3), max_size=40))
def test_mid_ranks_are_those_of_scipy_to_the_bit(values: list[int]) -> None:
    scores = np.array(values) / 3
    assert rank_scores(scores).tolist() == rankdata(scores).tolist()


def test_auc_by_hand() -> None:
    # .4 beats .1 and ties twice: 1 + 1; .7 beats three; .9 beats four.
    assert compute_auc(SCORES, POSITIVES) == pytest.approx((2 + 3 + 4) / 12)


@pytest.mark.parametrize(
    ("scores", "expected"), [([0, 0, 1, 1], 1), ([1, 1, 0, 0], 0), ([3, 3, 3, 3], 0.5)]
)
def test_auc_at_its_ends(scores: list[int], expected: float) -> None:
    assert compute_auc(np.array(scores), np.array([False, False, True, True])) == expected


@given(CASES)
def test_auc_agrees_with_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    scores, positives = split_columns(rows)
    assert compute_auc(scores, positives) == pytest.approx(roc_auc_score(positives, scores))


@given(CASES)
def test_auc_counts_pairs_and_turns_with_the_sign(rows: list[tuple[int, bool]]) -> None:
    scores, positives = split_columns(rows)
    pairs = [(a > b) + (a == b) / 2 for a in scores[positives] for b in scores[~positives]]
    assert compute_auc(scores, positives) == pytest.approx(np.mean(pairs))
    assert compute_auc(-scores, positives) == pytest.approx(1 - np.mean(pairs))


@pytest.mark.parametrize("positives", [np.ones(7, bool), np.zeros(7, bool)])
def test_one_class_is_an_error(positives: np.ndarray) -> None:
    with pytest.raises(ValueError, match="one class"):
        compute_auc(SCORES, positives)
