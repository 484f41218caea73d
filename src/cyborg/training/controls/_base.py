"""Define the record of a control: a rule that replaces human maps with wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Control:
    """A member of the family of controls: the constant `CONTROL` at the end of its module.

    change: `change(maps, labels, rng)` returns wrong maps, of the shape and type of `maps`. maps
    uint8 [M,h,w] are the human maps of the training images that have one, labels int64 [M] their
    class numbers, and rng is the only source of randomness.
    """

    change: Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
