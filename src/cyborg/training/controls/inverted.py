"""Inverted maps: what people left alone is marked, and the other way round.

A gain that these maps give too is not a gain from where people looked.
"""

from __future__ import annotations

import numpy as np

from cyborg.training.controls._base import Control


def inverted_maps(maps: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """255 less the map. maps uint8 [M,h,w], labels [M]; nothing is random."""
    return np.uint8(255) - maps


CONTROL = Control(inverted_maps)
