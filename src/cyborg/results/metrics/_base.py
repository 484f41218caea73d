"""Define the record of a metric, and compute all metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cyborg.common.families import METRICS


@dataclass(frozen=True)
class MetricValue:
    """One of the values that a metric gives.

    name: the key in what `compute` returns, and in the column `measure` of
        results/operating_points.csv.
    meaning: the definition as the end of the sentence "The value is the …", without a full stop.
    source: the paper or standard that defines it, or an empty text.
    head: column head in the table of operating points of report.html. Empty leaves the value out.
    """

    name: str
    meaning: str
    source: str = ""
    head: str = ""


@dataclass(frozen=True)
class Metric:
    """A member of the family of metrics: the constant `METRIC` at the end of its module.

    compute: `compute(scores, positives)` returns one number for each of `values`, by name.
        scores: float64 [N], probability of the positive class. positives: bool [N], both values
        are present. A number that the set is too small to show is NaN.
    values: the values it gives, in the order in which documents list them.
    order: place of its columns in the report and of its rows in docs/metrics.md. Smaller numbers
        come first.
    """

    compute: Callable[[np.ndarray, np.ndarray], dict[str, float]]
    values: tuple[MetricValue, ...]
    order: int = 100


def list_metrics() -> list[Metric]:
    """Return all metrics by their `order`, those of equal order by name."""
    members = [METRICS.find(name) for name in METRICS.list_names()]
    return sorted(members, key=lambda metric: metric.order)


def compute_metrics(scores: np.ndarray, positives: np.ndarray) -> dict[str, float]:
    """Return the values of all metrics, in the order of the metrics' names.

    Raises ValueError if a score is not finite or a class is absent.
    """
    scores, positives = np.asarray(scores, float), np.asarray(positives, bool)
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite")
    if positives.all() or not positives.any():
        raise ValueError("one class only")
    found: dict[str, float] = {}
    for name in METRICS.list_names():
        found.update(METRICS.find(name).compute(scores, positives))
    return found
