"""The centre prior: the same map for every image, brightest in the middle.

People look at the centre of pictures anyway, and photographers put faces there. A gain that this
map gives too needs no annotation at all.
"""

from __future__ import annotations

import numpy as np

from cyborg.training.controls._base import Control

WIDTH = 1 / 4  # standard deviation of the Gaussian, share of each side


def centre_maps(maps: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A Gaussian around the centre, up to 255. maps uint8 [M,h,w], labels [M]; not random."""
    height, width = maps.shape[1:]
    rows, columns = _bell(height)[:, None], _bell(width)[None, :]
    prior = rows * columns
    prior = np.rint(255 * prior / prior.max()).astype(np.uint8)
    return np.broadcast_to(prior, maps.shape).copy()


def _bell(side: int) -> np.ndarray:
    position = (np.arange(side) + 0.5) / side - 0.5
    result: np.ndarray = np.exp(-0.5 * (position / WIDTH) ** 2)
    return result


CONTROL = Control(centre_maps)
