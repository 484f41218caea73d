"""Define what a metric is, and compute all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cyborg.common.families import METRICS


@dataclass(frozen=True)
class Metric:
    """A member of the family of metrics: the constant `METRIC` at the end of its module.

    compute: `compute(scores, positives)` returns one or more named values. scores float64 [N],
    larger means more likely positive; positives bool [N], both values present. What a set is too
    small to tell is NaN, never a guess. All of it lands in results/operating_points.csv.
    """

    compute: Callable[[np.ndarray, np.ndarray], dict[str, float]]


def measures(scores: np.ndarray, positives: np.ndarray) -> dict[str, float]:
    """Return the values of all metrics, in the order of the metrics' names.

    Raises ValueError if a score is not finite or a class is absent.
    """
    scores, positives = np.asarray(scores, float), np.asarray(positives, bool)
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite")
    if positives.all() or not positives.any():
        raise ValueError("one class only")
    found: dict[str, float] = {}
    for name in METRICS.names():
        found.update(METRICS.find(name).compute(scores, positives))
    return found
