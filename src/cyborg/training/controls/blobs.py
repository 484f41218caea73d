"""Random blobs: smooth regions anywhere, of the area that was marked in the same image.

What people drew is gone, but for how much they drew.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from cyborg.training.controls._base import Control

SMOOTHNESS = 1 / 12  # standard deviation of the blur, share of the shorter side


def blobs_maps(maps: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blurred noise, cut off where it leaves as many pixels as the map has above zero.

    maps uint8 [M,h,w], labels [M]. Inside the blobs stand the map's own values, the highest where
    the noise is highest: every map keeps its histogram exactly.
    """
    result = np.zeros_like(maps)
    for i, one in enumerate(maps):
        noise = rng.standard_normal(one.shape)
        smooth = gaussian_filter(noise, SMOOTHNESS * min(one.shape), mode="wrap").ravel()
        # Stable sorting, so that ties (a constant field of one pixel) fall alike everywhere.
        result[i].ravel()[np.argsort(smooth, kind="stable")] = np.sort(one, axis=None)
    return result


CONTROL = Control(blobs_maps)
