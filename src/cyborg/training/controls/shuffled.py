"""Maps shuffled between images: right maps of wrong images.

A random cycle gives every image the map of another one, so no image keeps its own. Each map is used
once, and maps go from class to class too. If a network gains as much from these maps, the gain
comes from their common features (the centre, the face) and not from where people looked in each
image.
"""

from __future__ import annotations

import numpy as np

from cyborg.training.controls._base import Control


def shuffle_maps(maps: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the maps uint8 [M,h,w] in another order, in which none is at its old place.

    A single map has nowhere to go and stays. labels [M] are not used.
    """
    # A random cycle: each image hands its map to the next one, so none keeps its own.
    order = rng.permutation(len(maps))
    result = np.empty_like(maps)
    result[order] = maps[np.roll(order, 1)]
    return result


CONTROL = Control(shuffle_maps)
