"""Whether probabilities mean what they say: expected calibration error, Brier score."""

from __future__ import annotations

import numpy as np

from cyborg.results.metrics._base import Metric

BINS = 15


def expected_calibration_error(
    scores: np.ndarray, positives: np.ndarray, bins: int = BINS
) -> float:
    """Mean over images of |observed share of positives - mean probability| of their bin (0..1).

    Bins of equal width on the probability of the positive class; the last one is closed. Source:
    Naeini et al., AAAI 2015, here on the positive class rather than on the predicted one.
    """
    scores, positives = np.asarray(scores, float), np.asarray(positives, bool)
    index = np.minimum((scores * bins).astype(int), bins - 1)
    surplus = np.bincount(index, positives - scores, bins)
    return float(np.abs(surplus).sum() / len(scores))


def brier(scores: np.ndarray, positives: np.ndarray) -> float:
    """Mean squared difference of probability and truth (0..1); 0.25 for a constant 0.5."""
    return float(np.mean((np.asarray(scores, float) - np.asarray(positives, bool)) ** 2))


def measure_calibration(scores: np.ndarray, positives: np.ndarray) -> dict[str, float]:
    """`calibration_error` and `brier`."""
    return {
        "calibration_error": expected_calibration_error(scores, positives),
        "brier": brier(scores, positives),
    }


METRIC = Metric(measure_calibration)
