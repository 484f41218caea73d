"""Right for the right reasons: no input gradient in places people did not mark.

    L = mean of [ CE(z, y) + strength / 2 · sum over pixels (A · d sum_k ln p_k / d x)² ]
    A = 1 - N(S)

A sample without a map has A = 0 and counts in the mean, as in the released code. The published
strength is for images of at most 28 pixels. Larger images want less, or `per_pixel`, which divides
by the sum of A so that `strength` means the same for images of any size. The loss needs second
derivatives of the network.

Source: Ross, Hughes, Doshi-Velez, Right for the Right Reasons, IJCAI 2017, arXiv 1703.03717, with
the code dtak/rrr, tensorflow_perceptron.py.

Differs from the source: its sums over the batch are means here, which have the same minimum. Its
penalty of the weights is `training.weight_decay`. There A is a binary mask that is given. Here it
is the part of the image that the human map leaves out (this project).
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
    mean_present,
    prepare_human_maps,
    resize_maps,
)
from cyborg.models.cam import class_activation_map, full_precision, normalise_maps


class Options(Parameters):
    """Options of `right_reasons`."""

    strength: float = Field(
        1000.0, ge=0, description="weight of the squared input gradients", examples=[3.0]
    )
    per_pixel: bool = Field(
        False,
        description="divide the squared gradients by the area that should have none",
        examples=[True],
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
    """Return cross-entropy + strength · half the squared input gradients outside the human maps.

    logits [B,K] of images [B,3,S,S], labels [B], saliency [B,S,S] (other sizes are resized),
    present [B]. `.saliency` is half the squared gradients before `strength`.
    """
    saliency = resize_maps(saliency, (images.shape[-2], images.shape[-1]), present)
    human, present = prepare_human_maps(saliency, images, present)
    logarithms = logits.to(full_precision(logits)).log_softmax(1)
    (gradient,) = torch.autograd.grad(logarithms.sum(), images, create_graph=True)
    unmarked = (1 - normalise_maps(human))[:, None]
    wrong = (unmarked * gradient.to(human.dtype)).square().sum((1, 2, 3)) / 2
    if per_pixel:
        wrong = wrong / (unmarked.sum((1, 2, 3)) * images.shape[1]).clamp(min=1)
    penalty = mean_present(wrong, present, "batch")
    classification = cross_entropy(logits, labels)
    cam = class_activation_map(features, weight, labels)
    return LossOutput(classification + strength * penalty, classification, penalty, cam)


LOSS = Loss(right_reasons_loss, Options, extras=frozenset({"images"}), map_size="images")
