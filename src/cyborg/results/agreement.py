"""How far two maps of one image agree: model against human, or human against human.

All functions take maps [H,W] of equal size with finite values. Policy for maps without structure:
a measure that does not exist (the correlation with a constant map, the region of an empty one)
is NaN, never a zero that would be averaged as if it were known; where the definition still has a
value (ties count half, tied maxima share the hit), it is that of chance. Whoever averages leaves
NaN out and says how many there were.

Sources: Bylinskii et al., IEEE TPAMI 41(3), 2019 (arXiv 1604.03605), for CC, SIM, KL, NSS and
AUC-Judd; Zhang et al., ECCV 2016 (arXiv 1608.00507), for the pointing game.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import distance_transform_edt

from cyborg.results.metrics.ranking import auc

EPSILON = 2.0**-52


def correlation(model: np.ndarray, human: np.ndarray) -> float:
    """CC: Pearson correlation over pixels (-1..1); NaN where a map is constant."""
    a, b = _pair(model, human)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / math.sqrt((a**2).sum() * (b**2).sum()))


def similarity(model: np.ndarray, human: np.ndarray) -> float:
    """SIM: sum of the smaller of both, each min-max scaled, then scaled to sum one (0..1).

    NaN where a map is constant.
    """
    a, b = _pair(model, human)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    a, b = a - a.min(), b - b.min()
    return float(np.minimum(a / a.sum(), b / b.sum()).sum())


def divergence(model: np.ndarray, human: np.ndarray) -> float:
    """KL: sum Q log(e + Q / (P + e)), both scaled to sum one, Q human, e = 2^-52 (nats, >= 0).

    The maps must not be negative (ValueError). NaN where one sums to zero.
    """
    a, b = _pair(model, human)
    if a.min() < 0 or b.min() < 0:
        raise ValueError("the divergence is of maps without negative values")
    if not a.sum() or not b.sum():
        return math.nan
    p, q = a / a.sum(), b / b.sum()
    return float((q * np.log(EPSILON + q / (p + EPSILON))).sum())


def scanpath_saliency(model: np.ndarray, fixated: np.ndarray) -> float:
    """NSS: mean of the standardised model map (deviations over all pixels) where `fixated` > 0.

    NaN where the map is constant or nothing is fixated.
    """
    a, b = _pair(model, fixated)
    if np.ptp(a) == 0 or not (b > 0).any():
        return math.nan
    return float(((a - a.mean()) / a.std())[b > 0].mean())


def auc_judd(model: np.ndarray, fixated: np.ndarray) -> float:
    """AUC-Judd: how well the map ranks pixels where `fixated` > 0 above all others (0..1).

    Ties count half, so a constant map gives 0.5; the published code breaks ties by random jitter.
    NaN where no pixel, or every pixel, is fixated.
    """
    a, b = _pair(model, fixated)
    if (b > 0).all() or not (b > 0).any():
        return math.nan
    return auc(a.ravel(), (b > 0).ravel())


def overlap_of_top(model: np.ndarray, human: np.ndarray, percent: float = 10) -> float:
    """Intersection over union of what lies above the (100 - percent) percentile of each (0..1).

    Strictly above, so ties make the regions smaller than `percent`. NaN where both are empty.
    """
    a, b = _pair(model, human)
    a, b = (x > np.percentile(x, 100 - percent) for x in (a, b))
    union = int((a | b).sum())
    return float((a & b).sum() / union) if union else math.nan


def pointing(model: np.ndarray, human: np.ndarray, tolerance: float = 0) -> float:
    """Pointing game: whether the model's maximum lies within `tolerance` pixels of `human` > 0.

    The share of hits where several pixels are the maximum: a constant map gives the share of the
    area. NaN where the human map is empty.
    """
    a, b = _pair(model, human)
    if not (b > 0).any():
        return math.nan
    near = distance_transform_edt(b <= 0) <= tolerance
    return float(near[a == a.max()].mean())


def measures(model: np.ndarray, human: np.ndarray) -> dict[str, float]:
    """All measures; `human` > 0 stands for the fixated pixels, negative model values for zero."""
    return {
        "cc": correlation(model, human),
        "sim": similarity(model, human),
        "kl": divergence(np.clip(model, 0, None), human),
        "nss": scanpath_saliency(model, human),
        "auc_judd": auc_judd(model, human),
        "iou_top10": overlap_of_top(model, human),
        "pointing": pointing(model, human),
    }


def _pair(model: np.ndarray, human: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(model, float), np.asarray(human, float)
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"maps of one size are needed, not {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a map holds values that are not finite")
    return a, b
