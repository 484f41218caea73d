"""Cross-entropy alone: the baseline, without human guidance.

    L = CE(z, y)

Source: the control of Boyd et al., CYBORG: Blending Human Saliency Into the Loss Improves Deep
Learning, WACV 2023, arXiv 2112.00686.
"""

from __future__ import annotations

from torch import Tensor

from cyborg.common.schema import Parameters
from cyborg.losses._base import Loss, LossOutput, cross_entropy


class Options(Parameters):
    """Cross-entropy has no options."""


def cross_entropy_loss(
    logits: Tensor,
    labels: Tensor,
    features: Tensor,
    weight: Tensor,
    saliency: Tensor,
    *,
    present: Tensor | None = None,
) -> LossOutput:
    """Return the mean cross-entropy of logits [B,K] and labels [B]. It does not use the maps."""
    classification = cross_entropy(logits, labels)
    return LossOutput(classification, classification, classification.new_zeros(()))


LOSS = Loss(cross_entropy_loss, Options)
