"""Perceptual weights: samples count by how people fared with them.

    L = alpha · mean w_b CE_b + (1 - alpha) · mean v_b mean (N(CAM_b) - N(S_b))²

where w, v are the weights of the samples, or one, as `on` says. Source: psychophysically guided
training, Grieggs et al., arXiv 1904.03734, and its use for presentation attack detection, code
CVRL/Psychophysically-Guided-Training-Fingerprint-PAD: a weight made of annotation time or of the
quality of the sample, on cross-entropy, on CYBORG or on both, high or low values first.

The weight multiplies the loss of each sample before the mean. Released codes add it to all logits
of a sample alike, which softmax does not see, or to the loss, which no parameter sees: neither
changes a gradient (dulayjm/PyTorch-Psychophysics-Learning, dulayjm/cyborgXreactiontime).
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from cyborg.common.schema import Parameters
from cyborg.losses._base import Loss, LossOutput, cross_entropy, human_maps, mean_present
from cyborg.models.cam import class_activation_map, classes_of, unit_range


class Options(Parameters):
    """Options of `perceptual_weight`."""

    alpha: float = Field(
        1.0, ge=0, le=1, description="weight of cross-entropy against human maps; 1 is without maps"
    )
    target: Literal["predicted", "true"] = Field(
        "predicted", description="class whose map is compared: predicted or true"
    )
    on: Literal["classification", "saliency", "both"] = Field(
        "classification", description="the term whose samples are weighted"
    )
    priority: Literal["high", "low"] = Field(
        "high", description="samples that count more: those of high weight, or of low (1 / weight)"
    )
    reference: float = Field(
        1.0, gt=0, description="sample weight that counts as one, such as the mean of the data"
    )


def perceptual_weight_loss(
    logits: Tensor,
    labels: Tensor,
    features: Tensor,
    weight: Tensor,
    saliency: Tensor,
    *,
    alpha: float = 1.0,
    target: str = "predicted",
    on: str = "classification",
    priority: str = "high",
    reference: float = 1.0,
    present: Tensor | None = None,
    sample_weight: Tensor,
) -> LossOutput:
    """Cross-entropy and distance from human maps, each sample times its weight.

    logits [B,K], labels [B], features [B,C,H,W], weight [K,C], saliency [B,H,W], present [B],
    sample_weight [B] positive; NaN counts as one.
    """
    cam = class_activation_map(features, weight, classes_of(target, logits, labels))
    human, present = human_maps(saliency, cam, present)
    weights = sample_weights(sample_weight.to(cam), priority, reference)
    distance = (unit_range(cam) - unit_range(human)).square().mean((1, 2))
    separate = cross_entropy(logits, labels, reduction="none")
    if on in ("saliency", "both"):
        distance = weights * distance
    if on in ("classification", "both"):
        separate = weights * separate
    classification, agreement = separate.mean(), mean_present(distance, present)
    return LossOutput(
        alpha * classification + (1 - alpha) * agreement, classification, agreement, cam
    )


def sample_weights(given: Tensor, priority: str, reference: float) -> Tensor:
    """Factors [B] of the samples: one where no weight is known."""
    known = given.isfinite()
    # A weight of zero cannot be inverted: below a thousandth of the reference all are alike.
    relative = (torch.where(known, given, reference) / reference).clamp(min=1e-3)
    factor = relative if priority == "high" else 1 / relative
    return torch.where(known, factor, torch.ones_like(factor))


LOSS = Loss(perceptual_weight_loss, Options, extras=frozenset({"sample_weight"}))
