"""Measure error rates at points of the ROC curve: EER, APCER at a BPCER, TPR at an FPR.

The thresholds are taken from the scores of the same test set. The rates therefore describe the
ranking and not a deployed detector. `fixed_threshold` has the rates at a threshold that is fixed
beforehand.

Positive means attack (synthetic), negative means bona fide. APCER is the share of attacks that
pass as bona fide, and BPCER the share of bona fide images that are refused, both as in ISO/IEC
30107-3, with all attacks of the set as one species.
"""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_curve

from cyborg.results.metrics._base import Metric, MetricValue

BPCER = (0.01, 0.05, 0.10)
FALSE_POSITIVES = (0.001, 0.002, 0.01, 0.05)
# Column heads of the rates that the report shows.
HEADS = {"apcer_at_bpcer_5%": "APCER₅", "apcer_at_bpcer_10%": "APCER₁₀"}


def compute_roc(
    scores: np.ndarray, positives: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return false-positive rates, true-positive rates and thresholds, from (0,0) to (1,1).

    An image is called positive if its score is at least the threshold, so images of equal score
    change sides together. All three arrays are [T+1] for T distinct scores. The first threshold
    is infinity.

    >>> x, y, _ = compute_roc(np.array([0.1, 0.9, 0.5]), np.array([False, False, True]))
    >>> x.tolist(), y.tolist()
    ([0.0, 0.5, 0.5, 1.0], [0.0, 0.0, 1.0, 1.0])
    """
    x, y, thresholds = roc_curve(positives, scores, drop_intermediate=False)
    return x, y, thresholds


def compute_eer(scores: np.ndarray, positives: np.ndarray) -> float:
    """Return the equal error rate: the FPR at which the ROC polyline meets FNR = FPR (0..1).

    The polyline is linear between neighbouring thresholds. Other programs take the threshold at
    which |FNR - FPR| is least, without interpolation. On small sets that differs by up to
    1/min(m, n).

    >>> compute_eer(np.array([0.1, 0.9, 0.5]), np.array([False, False, True]))
    0.5
    """
    false_positives, true_positives, _ = compute_roc(scores, positives)
    gap = false_positives - (1 - true_positives)  # grows from -1 to 1
    after = int(np.argmax(gap >= 0))
    share = -gap[after - 1] / (gap[after] - gap[after - 1])
    step = false_positives[after] - false_positives[after - 1]
    return float(false_positives[after - 1] + share * step)


def find_tpr_at_fpr(scores: np.ndarray, positives: np.ndarray, rate: float) -> float:
    """Return the largest true-positive rate whose false-positive rate is at most `rate`.

    There is no interpolation. The value is NaN if the set has fewer than 1/rate negatives,
    because it cannot show such a rate.

    >>> scores, positives = np.array([0.1, 0.6, 0.4, 0.8]), np.array([False, False, True, True])
    >>> find_tpr_at_fpr(scores, positives, 0.5)
    1.0
    """
    negatives = int((~np.asarray(positives, bool)).sum())
    if negatives * rate < 1 - 1e-9:
        return float("nan")
    false_positives, true_positives, _ = compute_roc(scores, positives)
    return float(true_positives[false_positives <= rate + 1e-12].max())


def find_apcer_at_bpcer(scores: np.ndarray, positives: np.ndarray, rate: float) -> float:
    """Return the share of attacks that pass if at most `rate` of the bona fides are refused.

    The value is NaN if the set has fewer than 1/rate bona fide images.
    """
    return 1.0 - find_tpr_at_fpr(scores, positives, rate)


def measure_error_rates(scores: np.ndarray, positives: np.ndarray) -> dict[str, float]:
    """Return `eer`, `apcer_at_bpcer_<b>` and `tpr_at_fpr_<f>`, with rates in per cent in the names.

    The values themselves are shares (0..1).
    """
    found = {"eer": compute_eer(scores, positives)}
    for rate in BPCER:
        found[_name_apcer(rate)] = find_apcer_at_bpcer(scores, positives, rate)
    for rate in FALSE_POSITIVES:
        found[_name_tpr(rate)] = find_tpr_at_fpr(scores, positives, rate)
    return found


def _name_apcer(rate: float) -> str:
    return f"apcer_at_bpcer_{rate:.0%}"


def _name_tpr(rate: float) -> str:
    return f"tpr_at_fpr_{100 * rate:g}%"


METRIC = Metric(
    compute=measure_error_rates,
    values=(
        MetricValue(
            "eer",
            "error rate at the point of the ROC curve at which both error rates are equal, "
            "interpolated between thresholds",
            head="EER",
        ),
        *(
            MetricValue(
                _name_apcer(rate),
                f"share of positives that are missed at the strictest threshold that refuses at "
                f"most {rate:.0%} of the negatives of the same set",
                "ISO/IEC 30107-3",
                HEADS.get(_name_apcer(rate), ""),
            )
            for rate in BPCER
        ),
        *(
            MetricValue(
                _name_tpr(rate),
                f"largest share of positives found with at most {100 * rate:g}% of the negatives "
                "of the same set",
            )
            for rate in FALSE_POSITIVES
        ),
    ),
    order=20,
)
