"""Points of the ROC curve: equal error rate, APCER at a BPCER, TPR at an FPR.

The thresholds here are taken from the scores of the same test set, so these are properties of
the ranking, not of a deployed detector; `fixed_threshold` has the rates at a threshold that is
fixed beforehand. Positive means attack (synthetic), negative means bona fide; APCER is the share
of attacks that pass as bona fide, BPCER the share of bona fide images that are refused, both as
in ISO/IEC 30107-3, with all attacks of the set as one species.
"""

from __future__ import annotations

import numpy as np

from cyborg.results.metrics._base import Metric

BPCER = (0.01, 0.05, 0.10)
FALSE_POSITIVES = (0.001, 0.002, 0.01, 0.05)


def roc(scores: np.ndarray, positives: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """False-positive rates, true-positive rates, thresholds, all [T+1], from (0,0) to (1,1).

    An image is called positive where its score is at least the threshold; images of equal score
    change sides together. The first threshold is infinity.
    """
    scores, positives = np.asarray(scores, float), np.asarray(positives, bool)
    values, inverse = np.unique(-scores, return_inverse=True)
    hits = np.cumsum(np.bincount(inverse, positives, len(values)))
    alarms = np.cumsum(np.bincount(inverse, ~positives, len(values)))
    return (
        np.concatenate([[0.0], alarms / (~positives).sum()]),
        np.concatenate([[0.0], hits / positives.sum()]),
        np.concatenate([[np.inf], -values]),
    )


def eer(scores: np.ndarray, positives: np.ndarray) -> float:
    """Equal error rate: where the ROC polyline meets the line FNR = FPR (0..1).

    Interpolated linearly between neighbouring thresholds. Others take the threshold at which
    |FNR - FPR| is least, without interpolation; on small sets that differs by up to 1/min(m, n).
    """
    false_positives, true_positives, _ = roc(scores, positives)
    gap = false_positives - (1 - true_positives)  # grows from -1 to 1
    after = int(np.argmax(gap >= 0))
    share = -gap[after - 1] / (gap[after] - gap[after - 1])
    step = false_positives[after] - false_positives[after - 1]
    return float(false_positives[after - 1] + share * step)


def tpr_at_fpr(scores: np.ndarray, positives: np.ndarray, rate: float) -> float:
    """Largest true-positive rate among the thresholds whose false-positive rate is <= `rate`.

    No interpolation. NaN where the set has fewer than 1/rate negatives: it cannot show such a
    rate.
    """
    negatives = int((~np.asarray(positives, bool)).sum())
    if negatives * rate < 1 - 1e-9:
        return float("nan")
    false_positives, true_positives, _ = roc(scores, positives)
    return float(true_positives[false_positives <= rate + 1e-12].max())


def apcer_at_bpcer(scores: np.ndarray, positives: np.ndarray, rate: float) -> float:
    """Share of attacks that pass at the strictest threshold that refuses <= `rate` bona fides.

    NaN where the set has fewer than 1/rate bona fide images.
    """
    return 1.0 - tpr_at_fpr(scores, positives, rate)


def measure_error_rates(scores: np.ndarray, positives: np.ndarray) -> dict[str, float]:
    """`eer`, `apcer_at_bpcer_<b>` and `tpr_at_fpr_<f>`, rates in per cent in the names."""
    found = {"eer": eer(scores, positives)}
    for rate in BPCER:
        found[f"apcer_at_bpcer_{rate:.0%}"] = apcer_at_bpcer(scores, positives, rate)
    for rate in FALSE_POSITIVES:
        found[f"tpr_at_fpr_{100 * rate:g}%"] = tpr_at_fpr(scores, positives, rate)
    return found


METRIC = Metric(measure_error_rates)
