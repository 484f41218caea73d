"""GradIA: the mean absolute difference of Grad-CAM and human map.

    L = CE(z, y) + strength · mean |M - N(S)|,   M = (G - min G) / (max G - min G + 1e-6)

where G is Grad-CAM of the true class without ReLU. Source: Gao et al., Aligning Eyes between Humans
and Deep Neural Network through Interactive Attention Alignment, CSCW 2022, arXiv 2202.02838; code
YuyangGao/GRADIA, GRADIA.py: no gradient flows through the channel weights, and the mean is over
samples with a map. The paper's second phase, which picks samples by hand-made judgements of
reasonability, is not part of the loss: the samples with maps are those picked.
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
    human_maps,
    mean_present,
)
from cyborg.models.cam import unit_range


class Options(Parameters):
    """Options of `gradia`."""

    strength: float = Field(1.0, ge=0, description="weight of the difference of the two maps")


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
    """Cross-entropy and mean absolute difference of the maps.

    logits [B,K], labels [B], features [B,C,H,W], weight [K,C], saliency [B,H,W], present [B].
    """
    cam = grad_cam(features, weight, labels)
    human, present = human_maps(saliency, cam, present)
    difference = (unit_range(cam, epsilon=1e-6) - unit_range(human)).abs().mean((1, 2))
    agreement = mean_present(difference, present)
    classification = cross_entropy(logits, labels)
    return LossOutput(classification + strength * agreement, classification, agreement, cam)


LOSS = Loss(gradia_loss, Options)
