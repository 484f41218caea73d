"""Random blobs: smooth regions anywhere, of the area that was marked in the same image.

Blurred noise is cut off so that every map keeps its histogram, and with it its area. Of the human
map only the amount that people drew is left. If a network gains as much from these maps, the gain
comes from any smooth map of that size, and not from the content of the human ones.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from cyborg.training.controls._base import Control

# Standard deviation of the blur, share of the shorter side.
SMOOTHNESS = 1 / 12


def draw_blobs(maps: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return blurred noise with as many pixels above zero as each map of uint8 [M,h,w].

    The blobs hold the values of the map, the highest where the noise is highest. Every map keeps
    its histogram exactly. labels [M] are not used.
    """
    result = np.zeros_like(maps)
    for i, one in enumerate(maps):
        noise = rng.standard_normal(one.shape)
        smooth = gaussian_filter(noise, SMOOTHNESS * min(one.shape), mode="wrap").ravel()
        # Stable sorting, so that ties (a constant field of one pixel) fall the same way everywhere.
        result[i].ravel()[np.argsort(smooth, kind="stable")] = np.sort(one, axis=None)
    return result


CONTROL = Control(draw_blobs)
