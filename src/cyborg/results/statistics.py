"""Estimate the uncertainty of AUCs: spread over runs, bootstrap intervals, paired tests."""

from __future__ import annotations

import hashlib
import math
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from cyborg.common.ranking import compute_auc, rank_scores

# Resamples that are computed at once. Changing it changes the random numbers of each resample.
BLOCK = 50
# From this many images on, resampled AUCs are computed to first order (`resample_aucs` says how).
FIRST_ORDER = 20_000


class Contrast(NamedTuple):
    """A weighted sum of AUCs, its standard error, z and two-sided p. Unknown values are NaN."""

    difference: float
    error: float
    z: float
    p: float


def compute_mean_sd(values: np.ndarray) -> tuple[float, float]:
    """Return mean and sample standard deviation (n - 1) of the finite values [n].

    The mean of no values is NaN, and so is the standard deviation of fewer than two.

    >>> compute_mean_sd(np.array([1.0, 2.0, 3.0, np.nan]))
    (2.0, 1.0)
    """
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    mean = float(values.mean()) if len(values) else math.nan
    return mean, float(values.std(ddof=1)) if len(values) > 1 else math.nan


def compute_placements(
    scores: np.ndarray, positives: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return AUCs [k], placements of positives [k,m] and of negatives [k,n] of scores [k,m+n].

    The placement of a positive is the share of negatives below it. The placement of a negative is
    the share of positives above it. A tie counts half, and the mean of either is the AUC. Mid-ranks
    give them in O(N log N). Source: Sun and Xu, IEEE Signal Processing Letters 21(11), 2014.
    Raises ValueError if a class is absent.

    The positive scores are 2 and 4, the negative ones 1 and 3.

    >>> aucs, above, below = compute_placements(
    ...     np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([False, True, False, True])
    ... )
    >>> aucs.tolist(), above.tolist(), below.tolist()
    ([0.75], [[0.5, 1.0]], [[1.0, 0.5]])
    """
    scores = np.atleast_2d(np.asarray(scores, float))
    positives = np.asarray(positives, bool)
    m, n = int(positives.sum()), int((~positives).sum())
    aucs = np.array([compute_auc(row, positives) for row in scores])
    ranks = _rank_rows(scores)
    of_positives = (ranks[:, positives] - _rank_rows(scores[:, positives])) / n
    of_negatives = 1 - (ranks[:, ~positives] - _rank_rows(scores[:, ~positives])) / m
    return aucs, of_positives, of_negatives


def _rank_rows(scores: np.ndarray) -> np.ndarray:
    return np.stack([rank_scores(row) for row in scores])


def compute_delong_covariance(
    scores: np.ndarray, positives: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return AUCs [k] and their covariance [k,k] over the sampling of images, of scores [k,N].

    The covariance is NaN if a class has one image. It covers the sampling of images only and not
    the spread between training runs. Source: DeLong et al., Biometrics 44(3), 1988.

    The placements are 1/2 and 1 in both classes, whose variance is 1/8: 1/8 / 2 + 1/8 / 2.

    >>> compute_delong_covariance(
    ...     np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([False, True, False, True])
    ... )
    (array([0.75]), array([[0.125]]))
    """
    aucs, of_positives, of_negatives = compute_placements(scores, positives)
    k = len(aucs)
    if of_positives.shape[1] < 2 or of_negatives.shape[1] < 2:
        return aucs, np.full((k, k), math.nan)
    covariance = (
        np.cov(of_positives).reshape(k, k) / of_positives.shape[1]
        + np.cov(of_negatives).reshape(k, k) / of_negatives.shape[1]
    )
    return aucs, covariance


def contrast_aucs(aucs: np.ndarray, covariance: np.ndarray, weights: np.ndarray) -> Contrast:
    """Test whether sum(weights · AUCs) is 0, for correlated AUCs [k] with covariance [k,k].

    With weights 1/r for r runs of one method and -1/r for r runs of another, it compares their
    mean AUCs on the same images. If the variance is zero (both perfect, for example), p is 1 for a
    difference of zero and NaN for any other, because nothing is known of the error. Source: DeLong
    et al., Biometrics 44(3), 1988.

    The variance is 0.01 + 0.01 - 2 · 0.005 = 0.01, so z = 0.196 / 0.1.

    >>> covariance = np.array([[0.01, 0.005], [0.005, 0.01]])
    >>> found = contrast_aucs(np.array([0.896, 0.7]), covariance, np.array([1, -1]))
    >>> [round(value, 3) for value in found]
    [0.196, 0.1, 1.96, 0.05]
    """
    weights = np.asarray(weights, float)
    difference = float(weights @ aucs)
    variance = float(weights @ covariance @ weights)
    if math.isnan(variance):
        return Contrast(difference, math.nan, math.nan, math.nan)
    # Rounding leaves variances of the order of 1e-17 that are zero in truth.
    if variance < 1e-15:
        equal = abs(difference) < 1e-12
        return Contrast(difference, 0.0, 0.0 if equal else math.nan, 1.0 if equal else math.nan)
    z = difference / math.sqrt(variance)
    return Contrast(difference, math.sqrt(variance), z, float(2 * norm.sf(abs(z))))


def adjust_p_values(p: np.ndarray) -> np.ndarray:
    """Return p-values [n] adjusted for their number.

    NaN stays NaN and is not counted. Source: Holm, Scandinavian Journal of Statistics 6(2), 1979.

    The smallest is multiplied by 3, the next by 2, and none is below the one before it.

    >>> adjust_p_values(np.array([0.0625, np.nan, 0.125, 0.125])).tolist()
    [0.1875, nan, 0.25, 0.25]
    """
    p = np.asarray(p, float)
    adjusted = np.full_like(p, math.nan)
    order = [i for i in np.argsort(p, kind="stable") if not math.isnan(p[i])]
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p[index]))
        adjusted[index] = highest
    return adjusted


def make_generator(seed: int, *key: str) -> np.random.Generator:
    """Return random numbers that depend on `seed` and the key alone, not on earlier draws."""
    digest = hashlib.sha256("\0".join(key).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, "<u4").tolist()])


class Stratum(NamedTuple):
    """One class of a test set, as resampling draws from it.

    members: which images of the set belong to the class, bool [N].
    codes: number of the group of each member, int [members].
    size: number of groups.
    key: digest of the groups' names.
    """

    members: np.ndarray
    codes: np.ndarray
    size: int
    key: str


def split_strata(groups: np.ndarray, positives: np.ndarray) -> list[Stratum]:
    """Return the two classes of a test set, positives first.

    groups: name of each image's group, str [N]. positives: bool [N].
    """
    strata = []
    positives = np.asarray(positives, bool)
    for members in (positives, ~positives):
        names, codes = np.unique(np.asarray(groups, str)[members], return_inverse=True)
        key = hashlib.sha256("\0".join(names.tolist()).encode()).hexdigest()
        strata.append(Stratum(members, codes, len(names), key))
    return strata


def draw_image_weights(
    strata: list[Stratum], resamples: int, seed: int, block: int = 0
) -> np.ndarray:
    """Return how often each image occurs in each resample: uint16 [resamples,N].

    Resampling is stratified by class and draws whole groups (images that belong together) with
    replacement. Each class has its own random numbers, keyed by its groups. So two test sets with
    the same bona fide images meet the same draws of them, and the interval of a set does not depend
    on the other sets. Source: Field and Welsh, JRSS B 69(3), 2007 (cluster bootstrap).
    """
    weights = np.empty((resamples, len(strata[0].members)), np.uint16)
    for members, codes, size, key in strata:
        random = make_generator(seed, "images", str(block), key)
        drawn = random.integers(size, size=(resamples, size))
        drawn += size * np.arange(resamples)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=resamples * size)
        weights[:, members] = counts.reshape(resamples, -1)[:, codes]
    return weights


def compute_weighted_auc(
    scores: np.ndarray, positives: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the AUC [B] of scores [N] for each row of image weights (counts) [B,N].

    It is the AUC of the set in which each image is repeated as often as its weight says, and is
    exact with ties.

    The weights of the second row repeat the positive 2, which has one negative of two below it.

    >>> scores, positives = np.array([1.0, 2.0, 3.0, 4.0]), np.array([False, True, False, True])
    >>> compute_weighted_auc(scores, positives, np.array([[1, 1, 1, 1], [1, 2, 1, 0]])).tolist()
    [0.75, 0.5]
    """
    order = np.argsort(scores, kind="stable")
    scores, positives = np.asarray(scores, float)[order], np.asarray(positives, bool)[order]
    starts = np.flatnonzero(np.concatenate([[True], scores[1:] != scores[:-1]]))
    weights = weights[:, order].astype(float)
    above = np.add.reduceat(weights * positives, starts, axis=1)
    below = np.add.reduceat(weights * ~positives, starts, axis=1)
    pairs = above.sum(axis=1) * below.sum(axis=1)
    lower = np.cumsum(below, axis=1) - below / 2
    aucs: np.ndarray = (above * lower).sum(axis=1) / pairs
    return aucs


def resample_aucs(
    scores: np.ndarray,
    positives: np.ndarray,
    groups: np.ndarray,
    resamples: int,
    seed: int,
    first_order: int = FIRST_ORDER,
) -> np.ndarray:
    """Return the AUC of every row of scores [k,N] in every resample of the images: [k,resamples].

    All rows meet the same resamples, so their AUCs are paired. From `first_order` images on, the
    AUC is replaced by its first-order expansion in the weights: (weighted mean placement of
    positives) + (that of negatives) - AUC. The error of the expansion is of the order of 1/N.
    """
    scores = np.atleast_2d(np.asarray(scores, float))
    positives = np.asarray(positives, bool)
    strata = split_strata(groups, positives)
    resampled = np.empty((len(scores), resamples))
    linear = scores.shape[1] >= first_order
    if linear:
        aucs, of_positives, of_negatives = compute_placements(scores, positives)
    for number, start in enumerate(range(0, resamples, BLOCK)):
        block = slice(start, min(start + BLOCK, resamples))
        weights = draw_image_weights(strata, block.stop - start, seed, number)
        if linear:
            above, below = weights[:, positives].astype(float), weights[:, ~positives].astype(float)
            resampled[:, block] = (
                of_positives @ above.T / above.sum(axis=1)
                + of_negatives @ below.T / below.sum(axis=1)
                - aucs[:, None]
            )
        else:
            for row, values in enumerate(scores):
                resampled[row, block] = compute_weighted_auc(values, positives, weights)
    return resampled


def resample_mean(values: np.ndarray, seed: int) -> np.ndarray:
    """Return the mean over resampled runs of values [runs,resamples]: [resamples].

    Runs are drawn with replacement, and every call with as many runs draws the same ones. With n
    runs the variance of the plain bootstrap mean is too small by (n - 1)/n, a third for three runs.
    Deviations of the drawn mean from the mean of all runs are therefore stretched by
    sqrt(n/(n - 1)). One run has no spread, so the result then holds the sampling of images only.
    Source: Rao and Wu, JASA 83(401), 1988 (rescaled bootstrap).

    >>> resample_mean(np.array([[0.5, 0.75]]), seed=0).tolist()
    [0.5, 0.75]
    """
    runs, resamples = values.shape
    centre: np.ndarray = values.mean(axis=0)
    if runs == 1:
        return centre
    drawn = make_generator(seed, "runs", str(runs)).integers(runs, size=(resamples, runs))
    mean = np.take_along_axis(values, drawn.T, axis=0).mean(axis=0)
    stretched: np.ndarray = centre + math.sqrt(runs / (runs - 1)) * (mean - centre)
    return stretched


def compute_interval(
    resampled: np.ndarray, confidence: float, low: float, high: float
) -> tuple[float, float]:
    """Return the percentile interval of resampled values [B], cut at the range `low`..`high`.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    >>> compute_interval(np.arange(101) / 100, confidence=0.5, low=0, high=0.7)
    (0.25, 0.7)
    """
    tail = (1 - confidence) / 2
    bounds = np.clip(np.quantile(resampled, [tail, 1 - tail]), low, high)
    return float(bounds[0]), float(bounds[1])


def bound_perfect_auc(pairs: int, confidence: float) -> float:
    """Return the lower bound of an AUC that was observed to be 1.

    pairs: number of disjoint pairs of a positive and a negative image, min(m, n).
    Resampling a perfect ranking gives 1 each time. Disjoint pairs are independent, and all of them
    are in order, so the exact bound for k pairs is ((1 - confidence)/2)^(1/k). Source: Clopper and
    Pearson, Biometrika 26(4), 1934.

    >>> bound_perfect_auc(pairs=2, confidence=0.5)
    0.5
    """
    return float(((1 - confidence) / 2) ** (1 / pairs))
