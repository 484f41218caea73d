"""Test differences at the level of runs, and with test sets (generators) as a random factor."""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy.stats import norm

# Up to so many runs every pattern of signs is looked at; beyond, as many random ones.
EXACT_RUNS = 16
PATTERNS = 2**EXACT_RUNS


def compute_sign_flip_p(differences: np.ndarray, seed: int = 0) -> float:
    """Return the two-sided p-value that paired differences [runs] are symmetric around zero.

    If two methods do not differ, each run's difference is as likely with the other sign. The
    p-value is the share of all patterns of signs whose mean is at least as far from zero as the
    observed one. With n runs it cannot be below 2 / 2^n: four runs never reach 0.05, whatever they
    show. Source: Fisher, The Design of Experiments, 1935, section 21. NaN without runs.

    >>> compute_sign_flip_p(np.array([0.1, 0.2, 0.3, 0.1, 0.2]))
    0.0625
    """
    differences = np.asarray(differences, float)
    count = len(differences)
    if not count:
        return math.nan
    if count <= EXACT_RUNS:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=count)))
        means = np.abs(signs @ differences)
    else:
        random = np.random.default_rng(seed)
        signs = random.choice((1.0, -1.0), size=(PATTERNS - 1, count))
        # The observed pattern is one of all, so it counts among the random ones.
        means = np.abs(np.concatenate([[differences.sum()], signs @ differences]))
    observed = abs(float(differences.sum()))
    rounding = 1e-12 * float(np.abs(differences).sum())
    return float(np.mean(means >= observed - rounding))


def bound_stochastic_order(
    ours: np.ndarray, theirs: np.ndarray, confidence: float = 0.95, seed: int = 0
) -> float:
    """Return an upper bound of how far `ours` is from being stochastically larger than `theirs`.

    ours, theirs: values of two methods [n], [m] over independent runs. The violation is the share
    of the squared distance between the two quantile functions that lies where ours is below
    theirs: 0 if ours is larger at every quantile, 1 if it is smaller at every one. The bound is
    its upper confidence limit by the bootstrap; below 0.5 ours is almost stochastically larger,
    and 0.2 is a customary threshold. Sources: del Barrio et al., The Mathematics of the Uncertain,
    2018; Dror et al., Deep Dominance, ACL 2019. NaN with fewer than two runs of either.
    """
    ours, theirs = np.sort(np.asarray(ours, float)), np.sort(np.asarray(theirs, float))
    n, m = len(ours), len(theirs)
    if min(n, m) < 2:
        return math.nan
    observed = _violation(ours, theirs)
    random = np.random.default_rng(seed)
    scale = math.sqrt(n * m / (n + m))
    drawn = [
        _violation(
            np.sort(ours[random.integers(n, size=n)]), np.sort(theirs[random.integers(m, size=m)])
        )
        for _ in range(1000)
    ]
    deviation = float(np.std([scale * (value - observed) for value in drawn]))
    return min(max(observed + deviation / scale * float(norm.ppf(confidence)), 0.0), 1.0)


def _violation(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Share of the squared quantile distance where sorted `ours` [n] is below sorted `theirs`."""
    n, m = len(ours), len(theirs)
    edges = np.union1d(np.arange(1, n + 1) / n, np.arange(1, m + 1) / m)
    widths = np.diff(np.concatenate([[0.0], edges]))
    middle = edges - widths / 2
    first = ours[np.minimum((middle * n).astype(int), n - 1)]
    second = theirs[np.minimum((middle * m).astype(int), m - 1)]
    squares = widths * (first - second) ** 2
    total = float(squares.sum())
    if total == 0:
        return 0.5  # the two samples are the same: neither is larger
    return float(squares[first < second].sum()) / total


def resample_sets(values: np.ndarray, seed: int) -> np.ndarray:
    """Return means over resampled test sets of values [sets,B]: [B].

    Test sets (generators) are drawn with replacement, as runs are in `resampled_mean`: deviations
    from the mean of all sets are stretched by sqrt(G/(G - 1)), since the plain bootstrap of G sets
    has a variance too small by (G - 1)/G. The mean then speaks of generators like these, not of
    these alone. With one set the result holds that set only.
    """
    values = np.asarray(values, float)
    sets, resamples = values.shape
    centre = values.mean(axis=0)
    if sets == 1:
        return np.asarray(centre)
    drawn = np.random.default_rng([seed, sets]).integers(sets, size=(resamples, sets))
    mean = np.take_along_axis(values, drawn.T, axis=0).mean(axis=0)
    result: np.ndarray = centre + math.sqrt(sets / (sets - 1)) * (mean - centre)
    return result


def compute_simultaneous_intervals(
    values: np.ndarray, resampled: np.ndarray, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return lower and upper ends [rows] that hold all true values at once with `confidence`.

    values [rows] and their resampled values [rows,B], row by row on the same resamples. By the
    largest studentised deviation over all rows in each resample (bootstrap max-t): a table of many
    rows then has the stated chance of one wrong interval, not each of its rows. Source: Westfall
    and Young, Resampling-Based Multiple Testing, 1993, section 2.3. A row without spread is NaN.
    """
    values, resampled = np.asarray(values, float), np.asarray(resampled, float)
    error = resampled.std(axis=1, ddof=1)
    error = np.where(error > 0, error, math.nan)
    deviations = np.abs(resampled - resampled.mean(axis=1, keepdims=True)) / error[:, None]
    known = ~np.isnan(error)
    if not known.any():
        return np.full_like(values, math.nan), np.full_like(values, math.nan)
    reach = float(np.quantile(deviations[known].max(axis=0), confidence)) * error
    low: np.ndarray = values - reach
    high: np.ndarray = values + reach
    return low, high
