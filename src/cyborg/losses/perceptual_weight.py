"""Perceptual weights: each sample counts by how people fared with it.

    L = alpha · mean w_b CE_b + (1 - alpha) · mean v_b mean (N(CAM_b) - N(S_b))²

w and v are the weights of the samples, or one, as `on` says.

Weights come with the data. The column `weights` of the catalogue names a CSV file of them (see
docs/formats.md#sources), and the manifest holds them as `sample_weight`. Only their ratio to
`reference` matters, so they may have any unit. A sample without a weight counts like one of weight
`reference`: give a value that is usual in your data. A cell is refused if none of its training
images has a weight. Phantoms have annotation times of about 8 s (`reference: 8`), with a known
meaning (see docs/phantom.md).

Source: psychophysically guided training, Grieggs et al., arXiv 1904.03734, and its use for
presentation attack detection, with the code CVRL/Psychophysically-Guided-Training-Fingerprint-PAD.
There a weight made of annotation time or of the quality of the sample acts on cross-entropy, on
CYBORG, or on both, with high or low values first.

Differs from the source: here the weight multiplies the loss of each sample before the mean.
Released codes add it to all logits of a sample, which softmax does not see, or to the loss, which
no parameter sees. Neither changes a gradient (dulayjm/PyTorch-Psychophysics-Learning,
dulayjm/cyborgXreactiontime), and a test shows the difference. Inferred: `priority: low` is
1 / weight. `reference` is of this project.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from cyborg.common.schema import Parameters
from cyborg.losses._base import Loss, LossOutput, cross_entropy, mean_present, prepare_human_maps
from cyborg.models.cam import class_activation_map, normalise_maps, select_classes


class Options(Parameters):
    """Options of `perceptual_weight`."""

    alpha: float = Field(
        1.0,
        ge=0,
        le=1,
        description="weight of cross-entropy against human maps, 1 for none of them",
        examples=[0.3],
    )
    target: Literal["predicted", "true"] = Field(
        "predicted", description="class whose map is compared: predicted or true", examples=["true"]
    )
    on: Literal["classification", "saliency", "both"] = Field(
        "classification",
        description="the term whose samples are weighted",
        examples=["both", "saliency"],
    )
    priority: Literal["high", "low"] = Field(
        "high",
        description="samples that count more: those of high weight, or of low (1 / weight)",
        examples=["low"],
    )
    reference: float = Field(
        1.0,
        gt=0,
        description="sample weight that counts as one, such as the mean of the data",
        examples=[2.0],
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
    """Return cross-entropy and distance from human maps, each sample times its weight.

    logits [B,K], labels [B], features [B,C,H,W], weight [K,C], saliency [B,H,W], present [B],
    sample_weight [B] positive (NaN counts as one).
    """
    cam = class_activation_map(features, weight, select_classes(target, logits, labels))
    human, present = prepare_human_maps(saliency, cam, present)
    weights = scale_sample_weights(sample_weight.to(cam), priority, reference)
    distance = (normalise_maps(cam) - normalise_maps(human)).square().mean((1, 2))
    separate = cross_entropy(logits, labels, reduction="none")
    if on in ("saliency", "both"):
        distance = weights * distance
    if on in ("classification", "both"):
        separate = weights * separate
    classification, agreement = separate.mean(), mean_present(distance, present)
    return LossOutput(
        alpha * classification + (1 - alpha) * agreement, classification, agreement, cam
    )


def scale_sample_weights(given: Tensor, priority: str, reference: float) -> Tensor:
    """Return the factors [B] of the samples, one for a sample whose weight is not known."""
    known = given.isfinite()
    # A weight of zero cannot be inverted. Below a thousandth of the reference all are equal.
    relative = (torch.where(known, given, reference) / reference).clamp(min=1e-3)
    factor = relative if priority == "high" else 1 / relative
    return torch.where(known, factor, torch.ones_like(factor))


LOSS = Loss(
    perceptual_weight_loss,
    Options,
    extras=frozenset({"sample_weight"}),
    guiding_options={"alpha": 0.5},
)
