"""Measure error rates at probability 0.5, a threshold that is fixed before any test image."""

from __future__ import annotations

import numpy as np

from cyborg.results.metrics._base import Metric, MetricValue

# An image is called positive if its probability is at least this.
THRESHOLD = 0.5


def measure_fixed_threshold(scores: np.ndarray, positives: np.ndarray) -> dict[str, float]:
    """Return the error rates and accuracies at probability 0.5 (0..1 each).

    Below, one of two positives is missed and no negative is refused.

    >>> scores, positives = np.array([0.1, 0.4, 0.9]), np.array([False, True, True])
    >>> measure_fixed_threshold(scores, positives)["balanced_accuracy_at_half"]
    0.75
    """
    called = np.asarray(scores, float) >= THRESHOLD
    positives = np.asarray(positives, bool)
    missed = float((~called[positives]).mean())
    refused = float(called[~positives].mean())
    return {
        "apcer_at_half": missed,
        "bpcer_at_half": refused,
        "accuracy_at_half": float((called == positives).mean()),
        "balanced_accuracy_at_half": 1 - (missed + refused) / 2,
    }


METRIC = Metric(
    compute=measure_fixed_threshold,
    values=(
        MetricValue(
            "apcer_at_half",
            "share of positives whose probability is below 0.5",
            "ISO/IEC 30107-3",
            "APCER at ½",
        ),
        MetricValue(
            "bpcer_at_half",
            "share of negatives whose probability is at least 0.5",
            "ISO/IEC 30107-3",
            "BPCER at ½",
        ),
        MetricValue(
            "accuracy_at_half",
            "share of images on their own side of 0.5; it depends on the share of positives in "
            "the set",
        ),
        MetricValue(
            "balanced_accuracy_at_half",
            "mean of the accuracies on positives and on negatives at 0.5",
        ),
    ),
    order=30,
)
