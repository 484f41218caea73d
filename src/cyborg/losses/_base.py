"""What every loss shares: the form of its result and the scaling of maps."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class LossOutput(NamedTuple):
    """A loss and its parts: scalars, and the class activation map [B,H,W] where one was made."""

    total: Tensor
    classification: Tensor
    saliency: Tensor
    cam: Tensor | None = None


def unit_range(maps: Tensor) -> Tensor:
    """Min-max normalise each map of [B,H,W] to 0..1; a constant map becomes zeros.

    The divisor is replaced, not the quotient: choosing the result with `where` would give a right
    value and a NaN gradient.
    """
    low = maps.amin((-2, -1), keepdim=True)
    spread = maps.amax((-2, -1), keepdim=True) - low
    return (maps - low) / torch.where(spread > 0, spread, torch.ones_like(spread))
