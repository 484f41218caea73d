"""Recorded gaze: fixations from raw samples, their filtering and denoising, and their density."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from cyborg.common.errors import UserError
from cyborg.config.saliency import Gaze
from cyborg.saliency.annotation import Annotation

# A recording that pauses longer than this, in seconds, ends a fixation (blink, lost gaze).
GAP = 0.075
# Width of an image, in degrees of visual angle, where it is not given (longer side).
WIDTH_IN_DEGREES = 30.0
# Up to this many fixations a product of matrices is faster than a filter.
MANY = 2000


def scale(gaze: Gaze, size: tuple[int, int]) -> float:
    """Pixels per unit of `gaze.unit` on an image of `size` (width, height)."""
    if gaze.unit == "pixels":
        return 1.0
    return gaze.pixels_per_degree or max(size) / WIDTH_IN_DEGREES


def fixations(annotation: Annotation, size: tuple[int, int], gaze: Gaze, place: str) -> np.ndarray:
    """The fixations of one viewer that count, float64 [n,3]: x, y (pixels), duration (seconds).

    Order of the steps: lost samples (NaN) are left out; the first `drop_first` are dropped and
    `only_first` kept; short ones are left out; those off the image (0 <= x < width) are left out.
    Raises UserError, naming `place`, where durations are needed and not known.
    """
    found = annotation.fixations
    if found is None:
        if annotation.samples is None:
            return np.zeros((0, 3))
        detect = by_velocity if gaze.detection == "ivt" else by_dispersion
        limit = gaze.velocity if gaze.detection == "ivt" else gaze.dispersion
        found = detect(annotation.samples, limit * scale(gaze, size), gaze.shortest, place)
    found = np.asarray(found, dtype=np.float64).reshape(-1, 3)
    found = found[np.isfinite(found[:, :2]).all(axis=1)]
    found = found[gaze.drop_first :][: gaze.only_first]
    if (gaze.minimum > 0 or gaze.weight == "duration") and np.isnan(found[:, 2]).any():
        raise UserError(
            "has fixations without a duration",
            where=place,
            hint="set `gaze.minimum: 0` and `gaze.weight: count`, or bring durations",
        )
    if gaze.minimum > 0:
        found = found[found[:, 2] >= gaze.minimum]
    x, y = found[:, 0], found[:, 1]
    return found[(x >= 0) & (x < size[0]) & (y >= 0) & (y < size[1])]


def by_velocity(
    samples: np.ndarray, limit: float, shortest: float, place: str = "samples"
) -> np.ndarray:
    """I-VT (Salvucci and Goldberg, 2000): runs of samples that move slower than `limit`.

    samples: float64 [n,3]: x, y in pixels, time in seconds. limit: pixels per second. The result
    is float64 [m,3]: mean x, mean y, duration from the first to the last sample of the run.
    """
    found = []
    for run in _recorded(samples, place):
        if len(run) < 2:
            continue
        step = np.diff(run, axis=0)
        speed = np.hypot(step[:, 0], step[:, 1]) / step[:, 2]
        # A sample has the speed at which it was reached; the first has that of the second.
        still = np.concatenate((speed[:1], speed)) < limit
        borders = np.flatnonzero(np.diff(np.concatenate(([False], still, [False]))))
        for start, stop in zip(borders[0::2], borders[1::2], strict=True):
            found += _fixation(run[start:stop], shortest)
    return np.array(found, dtype=np.float64).reshape(-1, 3)


def by_dispersion(
    samples: np.ndarray, limit: float, shortest: float, place: str = "samples"
) -> np.ndarray:
    """I-DT (Salvucci and Goldberg, 2000): windows whose width plus height is within `limit`.

    A window starts at `shortest` seconds, grows while it stays within the limit (pixels), and is
    then one fixation; arguments and result as in `by_velocity`.
    """
    found = []
    for run in _recorded(samples, place):
        start = 0
        while start < len(run):
            stop = int(np.searchsorted(run[:, 2], run[start, 2] + shortest))
            if stop >= len(run):
                break
            low, high = run[start : stop + 1, :2].min(axis=0), run[start : stop + 1, :2].max(axis=0)
            if (high - low).sum() > limit:
                start += 1
                continue
            stop += 1
            while stop < len(run):
                low, high = np.minimum(low, run[stop, :2]), np.maximum(high, run[stop, :2])
                if (high - low).sum() > limit:
                    break
                stop += 1
            found += _fixation(run[start:stop], shortest)
            start = stop
    return np.array(found, dtype=np.float64).reshape(-1, 3)


def _recorded(samples: np.ndarray, place: str) -> list[np.ndarray]:
    """Runs of samples without loss; raises UserError where time does not increase."""
    samples = np.asarray(samples, dtype=np.float64).reshape(-1, 3)
    samples = samples[np.isfinite(samples[:, 2])]
    if (np.diff(samples[:, 2]) <= 0).any():
        raise UserError(
            "has raw gaze whose time does not increase",
            where=place,
            hint="one recording per image and viewer, sorted by time",
        )
    samples = samples[np.isfinite(samples).all(axis=1)]
    return np.split(samples, np.flatnonzero(np.diff(samples[:, 2]) > GAP) + 1)


def _fixation(run: np.ndarray, shortest: float) -> list[tuple[float, float, float]]:
    duration = run[-1, 2] - run[0, 2]
    # The last bits of time stamps must not decide.
    if len(run) < 2 or duration < shortest - 1e-9:
        return []
    x, y = run[:, :2].mean(axis=0)
    return [(float(x), float(y), float(duration))]


def denoise(viewers: list[np.ndarray], smallest: int) -> list[np.ndarray]:
    """Leave out fixations that belong to no cluster of those of all viewers (HDBSCAN).

    viewers: float64 [n,3] each. Fewer fixations than one cluster needs are all kept, for nothing
    can be said of them. Used by VISER (CVRL) before maps are made of eye tracking.
    """
    points = np.concatenate([viewer[:, :2] for viewer in viewers]) if viewers else np.zeros((0, 2))
    if len(points) <= smallest:
        return viewers
    from sklearn.cluster import HDBSCAN  # takes a second to import; few need it

    kept = HDBSCAN(min_cluster_size=smallest, copy=True).fit(points).labels_ >= 0
    ends = np.cumsum([len(viewer) for viewer in viewers])[:-1]
    return [v[k] for v, k in zip(viewers, np.split(kept, ends), strict=True)]


def density(points: np.ndarray, weight: str, sigma: float, size: tuple[int, int]) -> np.ndarray:
    """Sum of Gaussians, one per fixation, float64 [H,W]; sigma in pixels; up to a factor.

    A fixation is put at the centre of the pixel it falls into; the Gaussian ends at four sigma to
    each side.
    """
    width, height = size
    amount = points[:, 2] if weight == "duration" else np.ones(len(points))
    columns, rows = points[:, 0].astype(np.int64), points[:, 1].astype(np.int64)
    if len(points) <= MANY:
        # Each Gaussian is a product of one along x and one along y: one product of matrices.
        along = _bells(columns, width, sigma)
        result: np.ndarray = (_bells(rows, height, sigma) * amount[:, None]).T @ along
        return result
    grid = np.zeros((height, width))
    np.add.at(grid, (rows, columns), amount)
    result = gaussian_filter(grid, sigma, mode="constant", radius=round(4 * sigma))
    return result


def _bells(centres: np.ndarray, length: int, sigma: float) -> np.ndarray:
    """One Gaussian per centre, float64 [n, length], zero beyond four sigma."""
    distance = np.arange(length)[None, :] - centres[:, None]
    return np.where(
        np.abs(distance) <= round(4 * sigma), np.exp(-0.5 * (distance / sigma) ** 2), 0.0
    )
