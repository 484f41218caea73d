"""Error rates at probability 0.5, a threshold that is fixed before any test image is seen."""

from __future__ import annotations

import numpy as np

from cyborg.results.metrics._base import Metric

THRESHOLD = 0.5


def measure_fixed_threshold(scores: np.ndarray, positives: np.ndarray) -> dict[str, float]:
    """`apcer_at_half`, `bpcer_at_half`, `accuracy_at_half`, `balanced_accuracy_at_half` (0..1).

    An image is called positive where its probability is at least 0.5. Accuracy depends on the
    share of positives in the set, the balanced accuracy does not.
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


METRIC = Metric(measure_fixed_threshold)
