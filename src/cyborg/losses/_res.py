"""What RES-G and RES-L share: the robust part of the loss, and labels made from human maps.

Source: Gao et al., RES: A Robust Framework for Guiding Visual Explanation, KDD 2022,
arXiv 2206.13413; code YuyangGao/RES, RES.py. What that code does per sample and per pixel in loops
is one tensor expression here, with the same result (tests hold it against the loops).
"""

from __future__ import annotations

import torch
from torch import Tensor

from cyborg.models.cam import unit_range


def labels_of(human: Tensor, threshold: float, negative: str) -> Tensor:
    """Pixel labels [B,H,W] out of human maps: 1 to be attended, -1 not to be, 0 unknown.

    A map that is constant says nothing about places: all its pixels are unknown. negative: what
    the unmarked pixels are, `unknown` (0) or `avoid` (-1).
    """
    unit = unit_range(human)
    marked = unit >= threshold if threshold > 0 else unit > 0
    says = unit.amax((1, 2), keepdim=True) > 0
    positive = (marked & says).to(human.dtype)
    if negative == "unknown":
        return positive
    return positive - (~marked & says).to(human.dtype)


def robust_distance(model: Tensor, truth: Tensor, eta: float) -> Tensor:
    """relu( mean over labelled pixels of |tanh(5 (M - a)) - F| - eta ), a scalar.

    model [B,H,W] in 0..1, truth [B,H,W] of labels; a is the threshold of the batch.
    """
    soft = torch.tanh(5 * (model - threshold(model.detach(), truth)))
    labelled = (truth != 0).to(model.dtype)
    distance = ((soft - truth).abs() * labelled).sum() / labelled.sum().clamp(min=1)
    return torch.relu(distance - eta)


def threshold(model: Tensor, truth: Tensor) -> Tensor:
    """The value a for which most constraints hold: M < a where F = -1, M >= a where F = 1.

    Both kinds count alike, however many pixels each has. Candidates are the values that occur (a
    little more than them where F = -1), the first of equals; zero where nothing is labelled.
    """
    values, truth = model.flatten(), truth.flatten()
    infinity = torch.full_like(values, torch.inf)
    below, above = truth < 0, truth > 0
    candidates = torch.cat([values + 1e-4, values])
    valid = torch.cat([below, above])
    # Counting by binary search in sorted values: infinity stands for pixels of the other kind.
    sorted_below = torch.where(below, values, infinity).sort().values
    sorted_above = torch.where(above, values, -infinity).sort().values
    kept_below = torch.searchsorted(sorted_below, candidates)
    kept_above = len(values) - torch.searchsorted(sorted_above, candidates)
    score = kept_below / below.sum().clamp(min=1) + kept_above / above.sum().clamp(min=1)
    best = torch.where(valid, score, -torch.ones_like(score)).argmax()
    return torch.where(valid.any(), candidates[best], torch.zeros_like(candidates[best]))
