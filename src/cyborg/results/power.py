"""State what a comparison could have seen: equivalence within a margin, power, seeds needed.

A difference of AUC between two methods varies for two reasons: other test images, and other
training runs. With n runs, paired by seed, its variance is

    variance = images + runs / n

where `images` is the variance over the sampling of test images, with the runs held fixed, and
`runs` is the variance of the difference from run to run, with the images held fixed. The first is
known from the bootstrap, the second is estimated from n values, so the sum has the effective
degrees of freedom of Welch and Satterthwaite. In simulations intervals built this way hold the true
value in 92 to 95 % of cases with 3 to 8 runs (docs/metrics.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, norm, t

POWER = 0.8
# Beyond so many runs the question is answered by "more than this".
MOST_RUNS = 10_000
# Points at which the distribution of the estimated error is evaluated.
QUANTILES = (np.arange(2000) + 0.5) / 2000


@dataclass(frozen=True)
class Spread:
    """The variance of a paired difference, by its two sources.

    images: variance of the mean difference over the sampling of test images.
    runs: variance of the difference from run to run (sample variance, n - 1).
    count: number of runs n.
    """

    images: float
    runs: float
    count: int

    @classmethod
    def measure(cls, observed: np.ndarray, resampled: np.ndarray) -> Spread:
        """Return the spread of observed differences [runs] and of resampled ones [runs,B].

        Column b of `resampled` holds every run's difference on the b-th resample of the images.

        >>> Spread.measure(np.array([0.1, 0.3]), np.array([[0.0, 0.2], [0.2, 0.4]]))
        Spread(images=0.02, runs=0.02, count=2)
        """
        observed, resampled = np.asarray(observed, float), np.asarray(resampled, float)
        count = len(observed)
        runs = float(observed.var(ddof=1)) if count > 1 else math.nan
        return cls(round(float(resampled.mean(axis=0).var(ddof=1)), 15), round(runs, 15), count)

    def predict(self, count: int, image_factor: float = 1.0) -> Spread:
        """Return the spread with another number of runs and `image_factor` times the images."""
        return Spread(self.images / image_factor, self.runs, count)

    @property
    def error(self) -> float:
        """The standard error of the mean difference."""
        return math.sqrt(self.images + self.runs / self.count)

    @property
    def freedom(self) -> float:
        """The effective degrees of freedom of Welch and Satterthwaite (infinite if runs agree)."""
        share = self.runs / self.count
        if math.isnan(share):
            return math.nan
        if share == 0 or self.count < 2:
            return math.inf
        return (self.images + share) ** 2 * (self.count - 1) / share**2


def compute_mean_interval(
    difference: float, spread: Spread, confidence: float
) -> tuple[float, float]:
    """Return the two-sided t interval of a mean difference, or NaN with a single run."""
    if math.isnan(spread.freedom):
        return math.nan, math.nan
    reach = float(t.ppf((1 + confidence) / 2, spread.freedom)) * spread.error
    return difference - reach, difference + reach


def compute_equivalence_p(difference: float, spread: Spread, margin: float) -> float:
    """Return the p-value of two one-sided tests that |true difference| is below `margin`.

    A small value says that the two methods are equivalent within the margin. Equivalence at level
    a means the same as an interval of confidence 1 - 2a inside (-margin, margin). Source:
    Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15(6), 1987. NaN with one run.

    >>> round(compute_equivalence_p(0.0, Spread(images=0.0001, runs=0.0, count=5), 0.02), 4)
    0.0228
    """
    if math.isnan(spread.freedom) or spread.error == 0:
        return math.nan
    below = t.sf((difference + margin) / spread.error, spread.freedom)
    above = t.cdf((difference - margin) / spread.error, spread.freedom)
    return float(max(below, above))


def compute_power(difference: float, spread: Spread, confidence: float) -> float:
    """Return the chance that the two-sided interval excludes zero if `difference` is true.

    The distribution is non-central t. It is integrated over the estimated error, since scipy's own
    function has no value for some large differences with few runs. NaN with a single run.

    >>> round(compute_power(0.0, Spread(images=0.0001, runs=0.0001, count=4), 0.95), 3)
    0.05
    """
    if math.isnan(spread.freedom):
        return math.nan
    if spread.error == 0:
        return float(difference != 0)
    shift = difference / spread.error
    critical = float(t.ppf((1 + confidence) / 2, spread.freedom))
    estimated = np.ones(1)  # the estimated error as a multiple of the true one
    if math.isfinite(spread.freedom):
        estimated = np.sqrt(chi2.ppf(QUANTILES, spread.freedom) / spread.freedom)
    seen = norm.sf(critical * estimated - shift) + norm.cdf(-critical * estimated - shift)
    return float(np.mean(seen))


def find_smallest_difference(spread: Spread, confidence: float, power: float = POWER) -> float:
    """Return the smallest true difference that would be told from zero with `power`.

    It is what an experiment of this size could have seen. Without it "no gain" says nothing. NaN
    with a single run, since nothing is then known of how runs differ.

    >>> round(find_smallest_difference(Spread(images=0.0001, runs=0.0, count=5), 0.95), 3)
    0.028
    """
    if math.isnan(spread.freedom):
        return math.nan
    if spread.error == 0:
        return 0.0
    # With two runs a t interval is very wide: look far enough.
    highest = 10 * spread.error * float(t.ppf((1 + confidence) / 2, spread.freedom))

    def missing(difference: float) -> float:
        return compute_power(difference, spread, confidence) - power

    return float(brentq(missing, 0.0, highest, xtol=1e-9))


def count_runs_needed(
    difference: float,
    spread: Spread,
    confidence: float,
    power: float = POWER,
    image_factor: float = 1.0,
) -> int | None:
    """Return the fewest runs (at least 2) that tell `difference` from zero with `power`.

    image_factor: how many times as many test images there would be. None if no number of runs is
    enough, since the sampling of images alone hides the difference.
    """
    if math.isnan(spread.runs):
        return None
    low, high = 1, 2
    while compute_power(difference, spread.predict(high, image_factor), confidence) < power:
        low, high = high, 2 * high
        if high > MOST_RUNS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = (
            compute_power(difference, spread.predict(middle, image_factor), confidence) >= power
        )
        low, high = (low, middle) if enough else (middle, high)
    return high
