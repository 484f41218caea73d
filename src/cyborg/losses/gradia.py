"""GradIA: the mean absolute difference of Grad-CAM and the human map.

    L = CE(z, y) + strength · mean |M - N(S)|,   M = (G - min G) / (max G - min G + 1e-6)

G is Grad-CAM of the true class without ReLU. Behind global average pooling its channel weights are
W[y] / (HW), so that no backward pass per sample is needed. No gradient flows through them, and the
mean is over samples that have a map, both as released. With `features: published` the same weights
are used, although more than pooling lies between the tap and the logits.

Source: Gao et al., Aligning Eyes between Humans and Deep Neural Network through Interactive
Attention Alignment, CSCW 2022, arXiv 2202.02838, with the code YuyangGao/GRADIA, GRADIA.py. The
paper has a second phase, which picks samples by hand-made judgements of reasonability. It is not
part of this loss: the samples that have maps are those picked.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from cyborg.common.schema import Parameters
from cyborg.losses._base import (
    Loss,
    LossOutput,
    cross_entropy,
    grad_cam,
    mean_present,
    prepare_human_maps,
)
from cyborg.models.cam import normalise_maps


class Options(Parameters):
    """Options of `gradia`."""

    strength: float = Field(
        1.0, ge=0, description="weight of the difference of the two maps", examples=[3.0]
    )


def gradia_loss(
    logits: Tensor,
    labels: Tensor,
    features: Tensor,
    weight: Tensor,
    saliency: Tensor,
    *,
    strength: float = 1.0,
    present: Tensor | None = None,
) -> LossOutput:
    """Return cross-entropy + strength · mean absolute difference of Grad-CAM and human map.

    logits [B,K], labels [B], features [B,C,H,W], weight [K,C], saliency [B,H,W], present [B].
    `.saliency` is the difference before `strength`.
    """
    cam = grad_cam(features, weight, labels)
    human, present = prepare_human_maps(saliency, cam, present)
    difference = (normalise_maps(cam, epsilon=1e-6) - normalise_maps(human)).abs().mean((1, 2))
    agreement = mean_present(difference, present)
    classification = cross_entropy(logits, labels)
    return LossOutput(classification + strength * agreement, classification, agreement, cam)


LOSS = Loss(gradia_loss, Options)
