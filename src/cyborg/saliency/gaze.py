"""Turn recorded gaze into fixations, and fixations into a density."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from cyborg.common.errors import UserError
from cyborg.config.saliency import GazeRecipe
from cyborg.saliency.annotation import Annotation

# A recording that pauses longer than this, in seconds, ends a fixation (blink, lost gaze).
LONGEST_PAUSE = 0.075
# Width of an image (its longer side), in degrees of visual angle, if the recipe does not say.
WIDTH_IN_DEGREES = 30.0
# Up to this many fixations a product of matrices is faster than a filter.
FEW_FIXATIONS = 2000


def convert_unit_to_pixels(recipe: GazeRecipe, size: tuple[int, int]) -> float:
    """Return the pixels per unit of `recipe.unit` on an image of `size` (width, height).

    >>> convert_unit_to_pixels(GazeRecipe(), (600, 900))
    30.0
    """
    if recipe.unit == "pixels":
        return 1.0
    return recipe.pixels_per_degree or max(size) / WIDTH_IN_DEGREES


def select_fixations(
    annotation: Annotation, size: tuple[int, int], recipe: GazeRecipe, place: str
) -> np.ndarray:
    """Return the fixations of one viewer that count, float64 [n,3].

    The columns are x, y (pixels) and duration (seconds). The steps, in order: lost samples (NaN)
    are left out. The first `drop_first` fixations are dropped and `only_first` are kept. Short
    ones are left out. Those off the image (0 <= x < width) are left out.

    Raises UserError, naming `place`, if durations are needed and not known.
    """
    found = annotation.fixations
    if found is None:
        if annotation.samples is None:
            return np.zeros((0, 3))
        scale = convert_unit_to_pixels(recipe, size)
        if recipe.detection == "ivt":
            limit = recipe.velocity * scale
            found = find_fixations_by_velocity(annotation.samples, limit, recipe.shortest, place)
        else:
            limit = recipe.dispersion * scale
            found = find_fixations_by_dispersion(annotation.samples, limit, recipe.shortest, place)
    found = np.asarray(found, dtype=np.float64).reshape(-1, 3)
    found = found[np.isfinite(found[:, :2]).all(axis=1)]
    found = found[recipe.drop_first :][: recipe.only_first]
    if (recipe.minimum > 0 or recipe.weight == "duration") and np.isnan(found[:, 2]).any():
        raise UserError(
            "has fixations without a duration",
            location=place,
            hint="set `gaze.minimum: 0` and `gaze.weight: count`, or provide durations",
        )
    if recipe.minimum > 0:
        found = found[found[:, 2] >= recipe.minimum]
    x, y = found[:, 0], found[:, 1]
    return found[(x >= 0) & (x < size[0]) & (y >= 0) & (y < size[1])]


def find_fixations_by_velocity(
    samples: np.ndarray, limit: float, shortest: float, place: str = "samples"
) -> np.ndarray:
    """Find runs of samples that move slower than `limit` (I-VT: Salvucci and Goldberg, 2000).

    samples: float64 [n,3]: x, y in pixels, time in seconds. limit: pixels per second. shortest:
    shortest fixation, seconds. Returns float64 [m,3]: mean x, mean y, and the duration from the
    first to the last sample of the run. Raises UserError, naming `place`, if time does not
    increase.
    """
    found = []
    for run in _split_recording(samples, place):
        if len(run) < 2:
            continue
        step = np.diff(run, axis=0)
        speed = np.hypot(step[:, 0], step[:, 1]) / step[:, 2]
        # A sample has the speed at which it was reached. The first has that of the second.
        still = np.concatenate((speed[:1], speed)) < limit
        borders = np.flatnonzero(np.diff(np.concatenate(([False], still, [False]))))
        for start, stop in zip(borders[0::2], borders[1::2], strict=True):
            found += _average_samples(run[start:stop], shortest)
    return np.array(found, dtype=np.float64).reshape(-1, 3)


def find_fixations_by_dispersion(
    samples: np.ndarray, limit: float, shortest: float, place: str = "samples"
) -> np.ndarray:
    """Find windows whose width plus height is within `limit` (I-DT: Salvucci and Goldberg, 2000).

    A window starts at `shortest` seconds, grows while it stays within the limit (pixels), and is
    then one fixation. Arguments, result and errors are as in `find_fixations_by_velocity`.
    """
    found = []
    for run in _split_recording(samples, place):
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
            found += _average_samples(run[start:stop], shortest)
            start = stop
    return np.array(found, dtype=np.float64).reshape(-1, 3)


def _split_recording(samples: np.ndarray, place: str) -> list[np.ndarray]:
    """Split samples into runs without loss. Raises UserError if time does not increase."""
    samples = np.asarray(samples, dtype=np.float64).reshape(-1, 3)
    samples = samples[np.isfinite(samples[:, 2])]
    if (np.diff(samples[:, 2]) <= 0).any():
        raise UserError(
            "has raw gaze whose time does not increase",
            location=place,
            hint="give one recording per image and viewer, sorted by time",
        )
    samples = samples[np.isfinite(samples).all(axis=1)]
    return np.split(samples, np.flatnonzero(np.diff(samples[:, 2]) > LONGEST_PAUSE) + 1)


def _average_samples(run: np.ndarray, shortest: float) -> list[tuple[float, float, float]]:
    """Return the fixation that a run of samples is, or nothing if the run is too short."""
    duration = run[-1, 2] - run[0, 2]
    # The last bits of time stamps must not decide.
    if len(run) < 2 or duration < shortest - 1e-9:
        return []
    x, y = run[:, :2].mean(axis=0)
    return [(float(x), float(y), float(duration))]


def remove_stray_fixations(viewers: list[np.ndarray], smallest: int) -> list[np.ndarray]:
    """Leave out the fixations that belong to no cluster of those of all viewers (HDBSCAN).

    viewers: float64 [n,3] each. smallest: fixations that a cluster needs. With fewer fixations
    than that all are kept, because nothing can be said of them. VISER (CVRL) does this before
    maps are made of eye tracking.
    """
    points = np.concatenate([viewer[:, :2] for viewer in viewers]) if viewers else np.zeros((0, 2))
    if len(points) <= smallest:
        return viewers
    from sklearn.cluster import HDBSCAN  # takes a second to import, and few need it

    kept = HDBSCAN(min_cluster_size=smallest, copy=True).fit(points).labels_ >= 0
    ends = np.cumsum([len(viewer) for viewer in viewers])[:-1]
    return [v[k] for v, k in zip(viewers, np.split(kept, ends), strict=True)]


def sum_gaussians(points: np.ndarray, sigma: float, size: tuple[int, int]) -> np.ndarray:
    """Return the sum of one Gaussian per fixation, float64 [H,W], up to a factor.

    points: float64 [n,3]: x, y in pixels, and the height of the Gaussian. sigma: pixels. A
    fixation is put at the centre of the pixel it falls into. The Gaussian ends at four sigma to
    each side.
    """
    width, height = size
    amount = points[:, 2]
    columns, rows = points[:, 0].astype(np.int64), points[:, 1].astype(np.int64)
    if len(points) <= FEW_FIXATIONS:
        # Each Gaussian is a product of one along x and one along y: one product of matrices.
        along = _sample_gaussians(columns, width, sigma)
        result: np.ndarray = (_sample_gaussians(rows, height, sigma) * amount[:, None]).T @ along
        return result
    grid = np.zeros((height, width))
    np.add.at(grid, (rows, columns), amount)
    result = gaussian_filter(grid, sigma, mode="constant", radius=round(4 * sigma))
    return result


def _sample_gaussians(centres: np.ndarray, length: int, sigma: float) -> np.ndarray:
    """Return one Gaussian per centre, float64 [n, length], zero beyond four sigma."""
    distance = np.arange(length)[None, :] - centres[:, None]
    return np.where(
        np.abs(distance) <= round(4 * sigma), np.exp(-0.5 * (distance / sigma) ** 2), 0.0
    )
