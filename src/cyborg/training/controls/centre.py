"""The centre prior: the same map for every image, brightest in the middle.

Each map becomes one Gaussian, whose standard deviation is a quarter of the side. People look at the
centre of pictures anyway, and photographers put faces there. If a network gains as much from this
map, it needs no annotation at all.
"""

from __future__ import annotations

import numpy as np

from cyborg.training.controls._base import Control

# Standard deviation of the Gaussian, share of each side.
WIDTH = 1 / 4


def draw_centre_prior(maps: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return one Gaussian around the centre, up to 255, for all maps uint8 [M,h,w].

    labels [M] and rng are not used.
    """
    height, width = maps.shape[1:]
    rows, columns = _evaluate_bell(height)[:, None], _evaluate_bell(width)[None, :]
    prior = rows * columns
    prior = np.rint(255 * prior / prior.max()).astype(np.uint8)
    return np.broadcast_to(prior, maps.shape).copy()


def _evaluate_bell(side: int) -> np.ndarray:
    position = (np.arange(side) + 0.5) / side - 0.5
    result: np.ndarray = np.exp(-0.5 * (position / WIDTH) ** 2)
    return result


CONTROL = Control(draw_centre_prior)
