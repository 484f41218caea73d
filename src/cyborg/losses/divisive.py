"""Divisive decisions: maps of the true and of the false class differ in places people marked.

    L = alpha · CE(z, y) + (1 - alpha) · mean over samples of d

    difference   d = mean (N(T - F) - N(S))²
    opposed      d = ½ mean (N(T) - N(S))² + ½ mean (N(F) - (1 - N(S)))²
    divergence   d = sum N(S) · (1 - |N(T) - N(F)|) / sum N(S)

T is the map of the true class and F that of the false class. `form` chooses the distance d. With
`difference`, the difference of both maps resembles the human map. With `opposed`, the false map
resembles the negative of the human map. With `divergence`, the maps differ in the marked places.

Source: Piland, Sweet, Czajka, Divisive Decisions, 2025, arXiv 2507.17000. Only the abstract and the
captions of the figures could be read. They name three losses that use both maps, which should
diverge in the features that people mark, and a difference of two maps that are not normalised.

Inferred: these formulas and `alpha: 0.5`. With more than two classes, the false class is the one
of the highest other logit.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from cyborg.common.schema import Parameters
from cyborg.losses._base import Loss, LossOutput, cross_entropy, mean_present, prepare_human_maps
from cyborg.models.cam import class_activation_map, normalise_maps


class Options(Parameters):
    """Options of `divisive`."""

    alpha: float = Field(
        0.5, ge=0, le=1, description="weight of cross-entropy (inferred)", examples=[0.9]
    )
    form: Literal["difference", "opposed", "divergence"] = Field(
        "difference",
        description="distance of the two class maps from the human map (inferred)",
        examples=["opposed", "divergence"],
    )


def divisive_loss(
    logits: Tensor,
    labels: Tensor,
    features: Tensor,
    weight: Tensor,
    saliency: Tensor,
    *,
    alpha: float = 0.5,
    form: str = "difference",
    present: Tensor | None = None,
) -> LossOutput:
    """Return alpha · cross-entropy + (1 - alpha) · distance of two class maps from human maps.

    logits [B,K], labels [B], features [B,C,H,W], weight [K,C], saliency [B,H,W], present [B].
    `.cam` is the map of the true class less that of the false class.
    """
    true = class_activation_map(features, weight, labels)
    false = class_activation_map(features, weight, select_false_classes(logits, labels))
    human, present = prepare_human_maps(saliency, true, present)
    human = normalise_maps(human)
    if form == "difference":
        distance = (normalise_maps(true - false) - human).square().mean((1, 2))
    elif form == "opposed":
        own = (normalise_maps(true) - human).square().mean((1, 2))
        other = (normalise_maps(false) - (1 - human)).square().mean((1, 2))
        distance = (own + other) / 2
    else:
        similarity = 1 - (normalise_maps(true) - normalise_maps(false)).abs()
        area = human.sum((1, 2))
        distance = (human * similarity).sum((1, 2)) / torch.where(area > 0, area, 1.0)
    agreement = mean_present(distance, present)
    classification = cross_entropy(logits, labels)
    total = alpha * classification + (1 - alpha) * agreement
    return LossOutput(total, classification, agreement, true - false)


def select_false_classes(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the class [B] other than the true one that has the highest logit."""
    own = torch.nn.functional.one_hot(labels, logits.shape[1]).bool()
    return logits.detach().masked_fill(own, -torch.inf).argmax(1)


LOSS = Loss(divisive_loss, Options)
