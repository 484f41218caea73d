"""Measure how well scores order the two classes: AUC and average precision."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import average_precision_score

from cyborg.common.ranking import compute_auc
from cyborg.results.metrics._base import Metric, MetricValue


def measure_ranking(scores: np.ndarray, positives: np.ndarray) -> dict[str, float]:
    """Return `auc` and `average_precision` (0..1 each).

    >>> values = measure_ranking(np.array([0.1, 0.9, 0.5]), np.array([False, False, True]))
    >>> values["auc"], values["average_precision"]
    (0.5, 0.5)
    """
    return {
        "auc": compute_auc(scores, positives),
        "average_precision": float(average_precision_score(positives, scores)),
    }


METRIC = Metric(
    compute=measure_ranking,
    values=(
        MetricValue(
            "auc",
            "probability that a positive image scores above a negative one; a tie counts half",
            "Hanley and McNeil, Radiology 143(1), 1982",
        ),
        MetricValue(
            "average_precision",
            "sum over thresholds of the gain in recall times the precision, without "
            "interpolation; it depends on the share of positives in the set",
            "scikit-learn, `average_precision_score`",
        ),
    ),
    order=10,
)
