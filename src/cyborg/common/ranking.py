"""Measure how well scores rank two classes: mid-ranks and the area under the ROC curve."""

from __future__ import annotations

import numpy as np


def rank_scores(scores: np.ndarray) -> np.ndarray:
    """Return the mid-ranks [N] of scores [N]: 1 is the lowest, equal scores share their mean rank.

    >>> rank_scores(np.array([0.2, 0.9, 0.2, 0.5])).tolist()
    [1.5, 4.0, 1.5, 3.0]
    """
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks


def compute_auc(scores: np.ndarray, positives: np.ndarray) -> float:
    """Return the probability that a positive scores above a negative (0..1). A tie counts half.

    scores: finite numbers [N]. positives: bool [N].
    This is the Mann-Whitney statistic divided by the m·n pairs, and equals the trapezoidal area
    under the ROC curve. Source: Hanley and McNeil, Radiology 143(1), 1982. Raises ValueError if
    one of the two classes is absent.

    Of the four pairs below three are in order and one is a tie.

    >>> compute_auc(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True]))
    0.875
    """
    scores, positives = np.asarray(scores, float), np.asarray(positives, bool)
    m, n = int(positives.sum()), int((~positives).sum())
    if not m or not n:
        raise ValueError("one class only")
    return float((rank_scores(scores)[positives].sum() - m * (m + 1) / 2) / (m * n))
