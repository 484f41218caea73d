"""What a table may claim: spread over runs, intervals by resampling, paired tests of AUC."""

from __future__ import annotations

import hashlib
import math
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from cyborg.common.ranking import compute_auc, rank_scores

# Resamples computed at once. Fixed, for it decides which random numbers a resample gets.
BLOCK = 50
# From this many images on, resampled AUCs are computed to first order (see `resampled_auc`).
FIRST_ORDER = 20_000


class Contrast(NamedTuple):
    """A weighted sum of AUCs, its standard error, z and two-sided p (NaN: cannot be told)."""

    difference: float
    error: float
    z: float
    p: float


def mean_sd(values: np.ndarray) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1) of the finite values [n]; NaN where undefined."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    mean = float(values.mean()) if len(values) else math.nan
    return mean, float(values.std(ddof=1)) if len(values) > 1 else math.nan


def placements(
    scores: np.ndarray, positives: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """AUCs [k], placements of the positives [k,m] and of the negatives [k,n] of scores [k,N].

    The placement of a positive is the share of negatives below it, of a negative the share of
    positives above it, ties counting half: the mean of either is the AUC. By mid-ranks, in
    O(N log N). Source: Sun and Xu, IEEE Signal Processing Letters 21(11), 2014.
    """
    scores = np.atleast_2d(np.asarray(scores, float))
    positives = np.asarray(positives, bool)
    m, n = int(positives.sum()), int((~positives).sum())
    if not m or not n:
        raise ValueError("one class only")
    aucs = np.array([compute_auc(row, positives) for row in scores])
    ranks = _rank_rows(scores)
    of_positives = (ranks[:, positives] - _rank_rows(scores[:, positives])) / n
    of_negatives = 1 - (ranks[:, ~positives] - _rank_rows(scores[:, ~positives])) / m
    return aucs, of_positives, of_negatives


def _rank_rows(scores: np.ndarray) -> np.ndarray:
    return np.stack([rank_scores(row) for row in scores])


def delong(scores: np.ndarray, positives: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUCs [k] and their covariance [k,k] over the sampling of images, of scores [k,N].

    The covariance is NaN where a class has one image. It covers the images only: what another
    training run would give is not in it. Source: DeLong et al., Biometrics 44(3), 1988.
    """
    aucs, of_positives, of_negatives = placements(scores, positives)
    k = len(aucs)
    if of_positives.shape[1] < 2 or of_negatives.shape[1] < 2:
        return aucs, np.full((k, k), math.nan)
    covariance = (
        np.cov(of_positives).reshape(k, k) / of_positives.shape[1]
        + np.cov(of_negatives).reshape(k, k) / of_negatives.shape[1]
    )
    return aucs, covariance


def contrast(aucs: np.ndarray, covariance: np.ndarray, weights: np.ndarray) -> Contrast:
    """Test of sum(weights · AUCs) = 0 for correlated AUCs [k] with covariance [k,k].

    With weights 1/r for r runs of one method and -1/r for those of another it compares their
    mean AUCs on the same images. Where the variance is zero (both perfect, say): p = 1 if the
    difference is zero too, else NaN, for nothing is known of its error.
    """
    weights = np.asarray(weights, float)
    difference = float(weights @ aucs)
    variance = float(weights @ covariance @ weights)
    if math.isnan(variance):
        return Contrast(difference, math.nan, math.nan, math.nan)
    # Rounding leaves variances of the order of 1e-17 where they are zero.
    if variance < 1e-15:
        equal = abs(difference) < 1e-12
        return Contrast(difference, 0.0, 0.0 if equal else math.nan, 1.0 if equal else math.nan)
    z = difference / math.sqrt(variance)
    return Contrast(difference, math.sqrt(variance), z, float(2 * norm.sf(abs(z))))


def holm(p: np.ndarray) -> np.ndarray:
    """p-values [n] adjusted for their number (Holm 1979); NaN stays NaN and is not counted."""
    p = np.asarray(p, float)
    adjusted = np.full_like(p, math.nan)
    order = [i for i in np.argsort(p, kind="stable") if not math.isnan(p[i])]
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p[index]))
        adjusted[index] = highest
    return adjusted


def stream(seed: int, *key: str) -> np.random.Generator:
    """Random numbers that depend on `seed` and the key alone, not on what was drawn before."""
    digest = hashlib.sha256("\0".join(key).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, "<u4").tolist()])


class Stratum(NamedTuple):
    """One class of a test set: its images [N] (bool), the group of each, the groups' digest."""

    members: np.ndarray
    codes: np.ndarray
    size: int
    key: str


def strata(groups: np.ndarray, positives: np.ndarray) -> list[Stratum]:
    """The two classes of a test set, of groups [N] (names) and positives [N] (bool)."""
    found = []
    positives = np.asarray(positives, bool)
    for members in (positives, ~positives):
        names, codes = np.unique(np.asarray(groups, str)[members], return_inverse=True)
        key = hashlib.sha256("\0".join(names.tolist()).encode()).hexdigest()
        found.append(Stratum(members, codes, len(names), key))
    return found


def image_weights(classes: list[Stratum], resamples: int, seed: int, block: int = 0) -> np.ndarray:
    """How often each image occurs in each resample: uint16 [resamples,N].

    Resampling is stratified by class and draws whole groups (images that belong together) with
    replacement. Each class has its own stream, keyed by its groups: two test sets with the same
    bona fide images meet the same draws of them, and a set's interval does not depend on which
    other sets there are.
    """
    weights = np.empty((resamples, len(classes[0].members)), np.uint16)
    for members, codes, size, key in classes:
        random = stream(seed, "images", str(block), key)
        drawn = random.integers(size, size=(resamples, size))
        drawn += size * np.arange(resamples)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=resamples * size)
        weights[:, members] = counts.reshape(resamples, -1)[:, codes]
    return weights


def weighted_auc(scores: np.ndarray, positives: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUC [B] of scores [N] for each row of image weights [B,N] (counts), exact with ties."""
    order = np.argsort(scores, kind="stable")
    scores, positives = np.asarray(scores, float)[order], np.asarray(positives, bool)[order]
    starts = np.flatnonzero(np.concatenate([[True], scores[1:] != scores[:-1]]))
    weights = weights[:, order].astype(float)
    above = np.add.reduceat(weights * positives, starts, axis=1)
    below = np.add.reduceat(weights * ~positives, starts, axis=1)
    pairs = above.sum(axis=1) * below.sum(axis=1)
    lower = np.cumsum(below, axis=1) - below / 2
    result: np.ndarray = (above * lower).sum(axis=1) / pairs
    return result


def resampled_auc(
    scores: np.ndarray,
    positives: np.ndarray,
    groups: np.ndarray,
    resamples: int,
    seed: int,
    first_order: int = FIRST_ORDER,
) -> np.ndarray:
    """AUC of every row of scores [k,N] in every resample of the images: [k,resamples].

    All rows meet the same resamples (they are paired). From `first_order` images on the AUC is
    replaced by its first-order expansion in the weights, (weighted mean placement of positives)
    + (that of negatives) - AUC, whose error is of the order of 1/N.
    """
    scores = np.atleast_2d(np.asarray(scores, float))
    positives = np.asarray(positives, bool)
    classes = strata(groups, positives)
    found = np.empty((len(scores), resamples))
    linear = scores.shape[1] >= first_order
    if linear:
        aucs, of_positives, of_negatives = placements(scores, positives)
    for number, start in enumerate(range(0, resamples, BLOCK)):
        part = slice(start, min(start + BLOCK, resamples))
        weights = image_weights(classes, part.stop - start, seed, number)
        if linear:
            above, below = weights[:, positives].astype(float), weights[:, ~positives].astype(float)
            found[:, part] = (
                of_positives @ above.T / above.sum(axis=1)
                + of_negatives @ below.T / below.sum(axis=1)
                - aucs[:, None]
            )
        else:
            for row, values in enumerate(scores):
                found[row, part] = weighted_auc(values, positives, weights)
    return found


def resampled_mean(values: np.ndarray, seed: int) -> np.ndarray:
    """Mean over resampled runs of values [runs,resamples]: [resamples].

    Runs are drawn with replacement, the same ones for every call with as many runs. With n runs
    the plain bootstrap variance of a mean is too small by (n - 1)/n, a third for three runs, so
    deviations of the drawn mean from the mean of all runs are stretched by sqrt(n/(n - 1)). One
    run has no spread: the result then holds the sampling of images only.
    """
    runs, resamples = values.shape
    centre = values.mean(axis=0)
    if runs == 1:
        return centre
    drawn = stream(seed, "runs", str(runs)).integers(runs, size=(resamples, runs))
    mean = np.take_along_axis(values, drawn.T, axis=0).mean(axis=0)
    result: np.ndarray = centre + math.sqrt(runs / (runs - 1)) * (mean - centre)
    return result


def interval(
    resampled: np.ndarray, confidence: float, low: float, high: float
) -> tuple[float, float]:
    """Percentile interval of resampled values [B], cut at the range `low`..`high` of the value."""
    tail = (1 - confidence) / 2
    bounds = np.clip(np.quantile(resampled, [tail, 1 - tail]), low, high)
    return float(bounds[0]), float(bounds[1])


def perfect_bound(pairs: int, confidence: float) -> float:
    """Lower bound of an AUC that was observed to be 1 with `pairs` disjoint pairs of images.

    Resampling a perfect ranking gives 1 each time. With k = min(m, n) disjoint, hence
    independent pairs, all in order, the exact (Clopper-Pearson) bound is ((1 - c)/2)^(1/k).
    """
    return float(((1 - confidence) / 2) ** (1 / pairs))
