"""Displaced maps: each image keeps its own regions, in a wrong place.

Area, shape and number of regions stay those that people drew; only the place is wrong.
"""

from __future__ import annotations

import numpy as np

from cyborg.training.controls._base import Control


def displaced_maps(maps: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shift each map by at least a quarter of the side down and across, around the edges.

    maps uint8 [M,h,w], labels [M]. What leaves on one side comes in on the other, so that the
    values stay the same; the shift along an axis is uniform between a quarter and three quarters
    of it, hence a quarter of the side at least in either direction.
    """
    result = np.empty_like(maps)
    for i, one in enumerate(maps):
        shift = [_shift(side, rng) for side in one.shape]
        result[i] = np.roll(one, shift, axis=(0, 1))
    return result


def _shift(side: int, rng: np.random.Generator) -> int:
    nearest = -(-side // 4)  # rounded up
    return int(rng.integers(nearest, side - nearest + 1)) if side > 1 else 0


CONTROL = Control(displaced_maps)
