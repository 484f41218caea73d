"""Compute the shared parts of RES-G and RES-L: pixel labels, and the robust distance.

Source: Gao et al., RES: A Robust Framework for Guiding Visual Explanation, KDD 2022,
arXiv 2206.13413, with the code YuyangGao/RES, RES.py. That code loops over samples and pixels. Here
each loop is one tensor expression with the same result, and tests compare both.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from cyborg.common.schema import Parameters
from cyborg.models.cam import normalise_maps


class RobustOptions(Parameters):
    """Options of both losses."""

    strength: float = Field(1.0, ge=0, description="weight of the explanation loss", examples=[3.0])
    eta: float = Field(
        0.0,
        ge=0,
        description="distance that is forgiven (0.1 in the sample script)",
        examples=[0.2],
    )
    threshold: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of a map's highest value from which a pixel is marked",
        examples=[0.9],
    )
    negative: Literal["unknown", "avoid"] = Field(
        "avoid",
        description="label of unmarked pixels: unknown, or not to be looked at",
        examples=["unknown"],
    )


def label_pixels(human: Tensor, threshold: float, negative: str) -> Tensor:
    """Return labels of pixels [B,H,W] from human maps: 1 look here, -1 do not, 0 unknown.

    threshold is the share of a map's highest value from which a pixel is marked. Unmarked pixels
    are -1 if negative is `avoid`, and 0 if it is `unknown`. All pixels of a constant map are
    unknown, because it prefers no place.
    """
    unit = normalise_maps(human)
    marked = unit >= threshold if threshold > 0 else unit > 0
    varies = unit.amax((1, 2), keepdim=True) > 0
    positive = (marked & varies).to(human.dtype)
    if negative == "unknown":
        return positive
    return positive - (~marked & varies).to(human.dtype)


def robust_distance(model: Tensor, truth: Tensor, eta: float) -> Tensor:
    """Return relu( mean over labelled pixels of |tanh(5 (M - a)) - F| - eta ), a scalar.

    model [B,H,W] is M in 0..1, truth [B,H,W] holds the labels F, and a is the threshold of the
    batch that `find_threshold` returns.
    """
    soft = torch.tanh(5 * (model - find_threshold(model.detach(), truth)))
    labelled = (truth != 0).to(model.dtype)
    distance = ((soft - truth).abs() * labelled).sum() / labelled.sum().clamp(min=1)
    return torch.relu(distance - eta)


def find_threshold(model: Tensor, truth: Tensor) -> Tensor:
    """Return the value a for which most labels hold: M < a if F = -1, and M >= a if F = 1.

    Both kinds of labels weigh the same, however many pixels each has. Candidates are the values
    that occur (a little more than them if F = -1). The first of equals wins. The result is zero if
    no pixel is labelled.
    """
    values, truth = model.flatten(), truth.flatten()
    infinity = torch.full_like(values, torch.inf)
    below, above = truth < 0, truth > 0
    candidates = torch.cat([values + 1e-4, values])
    valid = torch.cat([below, above])
    # Count by binary search in sorted values. Infinity stands for pixels of the other kind.
    sorted_below = torch.where(below, values, infinity).sort().values
    sorted_above = torch.where(above, values, -infinity).sort().values
    kept_below = torch.searchsorted(sorted_below, candidates)
    kept_above = len(values) - torch.searchsorted(sorted_above, candidates)
    score = kept_below / below.sum().clamp(min=1) + kept_above / above.sum().clamp(min=1)
    best = torch.where(valid, score, -torch.ones_like(score)).argmax()
    return torch.where(valid.any(), candidates[best], torch.zeros_like(candidates[best]))
