"""Displaced maps: each image keeps its own regions, in a wrong place.

Each map is shifted down and across, around the edges, by at least a quarter of the side. Area,
shape, and number of regions stay as people drew them, and only the place is wrong. If a network
gains as much from these maps, the gain does not come from the places that people marked.
"""

from __future__ import annotations

import numpy as np

from cyborg.training.controls._base import Control


def displace_maps(maps: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return each map of uint8 [M,h,w] shifted by at least a quarter of its sides.

    Pixels that leave on one side come in on the other, so that the values stay the same. The shift
    along an axis is uniform between a quarter and three quarters of it, which is at least a quarter
    in either direction. labels [M] are not used.
    """
    result = np.empty_like(maps)
    for i, one in enumerate(maps):
        shift = [_draw_shift(side, rng) for side in one.shape]
        result[i] = np.roll(one, shift, axis=(0, 1))
    return result


def _draw_shift(side: int, rng: np.random.Generator) -> int:
    nearest = -(-side // 4)  # a quarter, rounded up
    return int(rng.integers(nearest, side - nearest + 1)) if side > 1 else 0


CONTROL = Control(displace_maps)
