"""Inverted maps: the places that people left alone are marked, and the others are not.

Each map becomes 255 less the map. If a network gains as much from these maps, the gain does not
come from where people looked: any division of the image into two parts would do.
"""

from __future__ import annotations

import numpy as np

from cyborg.training.controls._base import Control


def invert_maps(maps: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return 255 less the maps uint8 [M,h,w]. labels [M] and rng are not used."""
    return np.uint8(255) - maps


CONTROL = Control(invert_maps)
