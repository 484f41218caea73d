"""How well scores order the two classes: area under the ROC curve, average precision."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from cyborg.results.metrics._base import Metric


def auc(scores: np.ndarray, positives: np.ndarray) -> float:
    """Probability that a positive scores above a negative, a tie counting half (0..1).

    The Mann-Whitney statistic over m·n pairs, by mid-ranks; equal to the trapezoidal area.
    Raises ValueError where a class is absent.
    """
    scores, positives = np.asarray(scores, float), np.asarray(positives, bool)
    m, n = int(positives.sum()), int((~positives).sum())
    if not m or not n:
        raise ValueError("one class only")
    return float((rankdata(scores)[positives].sum() - m * (m + 1) / 2) / (m * n))


def average_precision(scores: np.ndarray, positives: np.ndarray) -> float:
    """Mean precision over the positives in descending order of score (0..1).

    Sum over thresholds of (gain in recall) · precision, without interpolation; images of equal
    score enter together. It depends on the share of positives in the set.
    """
    scores, positives = np.asarray(scores, float), np.asarray(positives, bool)
    values, inverse = np.unique(-scores, return_inverse=True)
    hits = np.bincount(inverse, positives, len(values))
    taken = np.cumsum(np.bincount(inverse, minlength=len(values)))
    return float((hits / positives.sum() * np.cumsum(hits) / taken).sum())


def measure_ranking(scores: np.ndarray, positives: np.ndarray) -> dict[str, float]:
    """`auc` and `average_precision`."""
    return {
        "auc": auc(scores, positives),
        "average_precision": average_precision(scores, positives),
    }


METRIC = Metric(measure_ranking)
