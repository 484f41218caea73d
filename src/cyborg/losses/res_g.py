"""RES-G: a robust explanation loss, with human maps widened by a fixed Gaussian.

    L = CE(z, y) + strength · [ relu( mean |tanh(5 (M - a)) - F| - eta ) + mean |M - T(F₊)| ]

M is Grad-CAM of the true class without ReLU, min-max normalised with 1e-6 in the divisor. F labels
each pixel 1, -1, or 0 (unknown), and F₊ is 1 for pixels labelled 1. The first mean is over
labelled pixels. The number a is the threshold of the batch for which most labels hold. T is a 3×3
Gaussian, scaled to a highest value of one.

Source: Gao et al., RES: A Robust Framework for Guiding Visual Explanation, KDD 2022,
arXiv 2206.13413, with the code YuyangGao/RES, RES.py (`Gaussian`).

Differs from the source: F comes from two annotations there, one of places to look at and one of
places not to. Here unmarked pixels stand in for the second (`negative: avoid`). With the first
alone, a is the lowest value of any marked pixel, and the first term asks all others to rise above
it. `threshold` makes a map binary. Both options are of this project. The search for a takes a time
quadratic in the pixels there. Here it is a sort with the same result.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from cyborg.losses._base import (
    Loss,
    LossOutput,
    cross_entropy,
    grad_cam,
    mean_present,
    prepare_human_maps,
)
from cyborg.losses._res import RobustOptions, label_pixels, robust_distance
from cyborg.models.cam import normalise_maps


class Options(RobustOptions):
    """Options of `res_g`."""


def res_g_loss(
    logits: Tensor,
    labels: Tensor,
    features: Tensor,
    weight: Tensor,
    saliency: Tensor,
    *,
    strength: float = 1.0,
    eta: float = 0.0,
    threshold: float = 0.5,
    negative: str = "avoid",
    present: Tensor | None = None,
) -> LossOutput:
    """Return cross-entropy + strength · robust distance of Grad-CAM from human maps.

    logits [B,K], labels [B], features [B,C,H,W], weight [K,C], saliency [B,H,W], present [B].
    `.saliency` is the distance before `strength`.
    """
    cam = grad_cam(features, weight, labels)
    human, present = prepare_human_maps(saliency, cam, present)
    truth = label_pixels(human, threshold, negative)
    model = normalise_maps(cam, epsilon=1e-6)
    widened = widen_marks(truth.clamp(min=0))
    soft = mean_present((model - widened).abs().mean((1, 2)), present)
    agreement = robust_distance(model, truth, eta) + soft
    classification = cross_entropy(logits, labels)
    return LossOutput(classification + strength * agreement, classification, agreement, cam)


def widen_marks(marked: Tensor) -> Tensor:
    """Return marked pixels [B,H,W] filtered by OpenCV's 3×3 Gaussian, their top scaled to one.

    At the edge the neighbour inside is reflected. A side of one pixel repeats itself.
    """
    row = torch.tensor([0.25, 0.5, 0.25], dtype=marked.dtype, device=marked.device)
    kernel = (row[:, None] * row[None, :])[None, None]
    mode = "reflect" if min(marked.shape[-2:]) > 1 else "replicate"
    padded = functional.pad(marked[:, None], (1, 1, 1, 1), mode=mode)
    smooth = functional.conv2d(padded, kernel)[:, 0]
    return smooth / (smooth.amax((1, 2), keepdim=True) + 1e-6)


LOSS = Loss(res_g_loss, Options)
