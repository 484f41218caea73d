"""Maps shuffled between images: right maps of wrong images.

A gain that these maps give too comes from what all maps have in common (the centre, the face),
not from where people looked in this image.
"""

from __future__ import annotations

import numpy as np

from cyborg.training.controls._base import Control


def shuffled_maps(maps: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give every image the map of another one, each map used once.

    maps uint8 [M,h,w], labels [M] (maps go from class to class too). No image keeps its own; a
    single map has nowhere to go and stays.
    """
    # A random cycle: everyone hands on to the next in a random order, so nobody keeps their own.
    order = rng.permutation(len(maps))
    result = np.empty_like(maps)
    result[order] = maps[np.roll(order, 1)]
    return result


CONTROL = Control(shuffled_maps)
