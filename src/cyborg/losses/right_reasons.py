"""Right for the right reasons: no input gradient where people did not look.

    L = mean of [ CE(z, y) + strength / 2 · sum over pixels (A · d sum_k ln p_k / dx)² ]
    A = 1 - N(S)

Source: Ross, Hughes, Doshi-Velez, Right for the Right Reasons, IJCAI 2017, arXiv 1703.03717; code
dtak/rrr, tensorflow_perceptron.py, whose sums over the batch are means here (the same minimum) and
whose penalty of the weights is `weight_decay` of `training`. There A is binary and given; here it
is what the human map leaves out. A sample without a map has A = 0 and counts in the mean, as there.
`per_pixel` divides by the sum of A, so that `strength` means the same for images of any size.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from cyborg.common.schema import Parameters
from cyborg.losses._base import (
    Loss,
    LossOutput,
    cross_entropy,
    human_maps,
    mean_present,
    resize_maps,
)
from cyborg.models.cam import class_activation_map, full_precision, unit_range


class Options(Parameters):
    """Options of `right_reasons`."""

    strength: float = Field(1000.0, ge=0, description="weight of the squared input gradients")
    per_pixel: bool = Field(
        False, description="divide the squared gradients by the area where none should be"
    )


def right_reasons_loss(
    logits: Tensor,
    labels: Tensor,
    features: Tensor,
    weight: Tensor,
    saliency: Tensor,
    *,
    strength: float = 1000.0,
    per_pixel: bool = False,
    present: Tensor | None = None,
    images: Tensor,
) -> LossOutput:
    """Cross-entropy and squared input gradients outside the human maps.

    logits [B,K] of images [B,3,S,S], labels [B], saliency [B,S,S] (other sizes are resized),
    present [B]. `.saliency` is half the squared gradients, before `strength`.
    """
    saliency = resize_maps(saliency, (images.shape[-2], images.shape[-1]), present)
    human, present = human_maps(saliency, images, present)
    logarithms = logits.to(full_precision(logits)).log_softmax(1)
    (gradient,) = torch.autograd.grad(logarithms.sum(), images, create_graph=True)
    elsewhere = (1 - unit_range(human))[:, None]
    wrong = (elsewhere * gradient.to(human.dtype)).square().sum((1, 2, 3)) / 2
    if per_pixel:
        wrong = wrong / (elsewhere.sum((1, 2, 3)) * images.shape[1]).clamp(min=1)
    penalty = mean_present(wrong, present, "batch")
    classification = cross_entropy(logits, labels)
    cam = class_activation_map(features, weight, labels)
    return LossOutput(classification + strength * penalty, classification, penalty, cam)


LOSS = Loss(right_reasons_loss, Options, extras=frozenset({"images"}), map_size="images")
