"""Measure calibration: do images with probability 0.8 belong to the class in 8 of 10 cases?"""

from __future__ import annotations

import numpy as np
from sklearn.metrics import brier_score_loss

from cyborg.results.metrics._base import Metric, MetricValue

# Bins of the expected calibration error, as many as Guo et al. (ICML 2017) use.
BINS = 15


def compute_calibration_error(scores: np.ndarray, positives: np.ndarray, bins: int = BINS) -> float:
    """Return the mean over images of |share of positives - mean probability| of their bin (0..1).

    The bins have equal width on the probability of the positive class, and the last one is
    closed. Source: Naeini et al., AAAI 2015, here on the positive class rather than on the
    predicted one.

    >>> compute_calibration_error(np.array([0.25, 0.75]), np.array([False, True]), bins=2)
    0.25
    """
    scores, positives = np.asarray(scores, float), np.asarray(positives, bool)
    index = np.minimum((scores * bins).astype(int), bins - 1)
    surplus = np.bincount(index, positives - scores, bins)
    return float(np.abs(surplus).sum() / len(scores))


def measure_calibration(scores: np.ndarray, positives: np.ndarray) -> dict[str, float]:
    """Return `calibration_error` and `brier` (0..1 each)."""
    return {
        "calibration_error": compute_calibration_error(scores, positives),
        "brier": float(brier_score_loss(positives, scores)),
    }


METRIC = Metric(
    compute=measure_calibration,
    values=(
        MetricValue(
            "calibration_error",
            f"mean over images of the distance between the share of positives and the mean "
            f"probability in the image's bin, with {BINS} bins of equal width",
            "Naeini et al., AAAI 2015, on the probability of the positive class",
            "ECE",
        ),
        MetricValue(
            "brier",
            "mean squared difference between probability and truth; 0.25 for a constant 0.5",
            "Brier, Monthly Weather Review 78(1), 1950",
        ),
    ),
    order=40,
)
