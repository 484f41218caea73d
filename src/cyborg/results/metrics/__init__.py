"""Measures of one run on one test set; the folder is the registry.

A module here has a function `metric(scores, positives) -> dict[str, float]`: `scores` float64 [N],
larger means more likely positive; `positives` bool [N], both values present. What a set is too
small to tell is NaN, never a guess. All of it lands in results/operating_points.csv.
"""

from __future__ import annotations

import sys

import numpy as np

from cyborg import registry


def measures(scores: np.ndarray, positives: np.ndarray) -> dict[str, float]:
    """All measures of all modules of this folder, in the order of the modules' names.

    Raises ValueError where a score is not finite or a class is absent.
    """
    scores, positives = np.asarray(scores, float), np.asarray(positives, bool)
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite")
    if positives.all() or not positives.any():
        raise ValueError("one class only")
    found: dict[str, float] = {}
    family = sys.modules[__name__]
    for name in registry.names(family):
        found.update(registry.find(family, name).metric(scores, positives))
    return found
