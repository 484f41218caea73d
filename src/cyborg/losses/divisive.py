"""Divisive decisions: maps of the true and of the false class part where people looked.

    L = alpha · CE(z, y) + (1 - alpha) · mean over samples of d

with one of three distances, T and F being the maps of the true and of the false class:

    difference   mean (N(T - F) - N(S))²                the difference resembles the human map
    opposed      ½ mean (N(T) - N(S))² + ½ mean (N(F) - (1 - N(S)))²     the false map its negative
    divergence   sum N(S) · (1 - |N(T) - N(F)|) / sum N(S)     the maps differ where people looked

Source: Piland, Sweet, Czajka, Divisive Decisions, arXiv 2507.17000. Of the paper the abstract and
figure captions could be read: three losses that use both maps, which should diverge in the features
that people mark, and a difference of the two maps, neither normalised. Inferred: these formulas and
alpha. With more than two classes the false class is the one of the highest other logit.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from cyborg.common.schema import Parameters
from cyborg.losses._base import Loss, LossOutput, cross_entropy, human_maps, mean_present
from cyborg.models.cam import class_activation_map, unit_range


class Options(Parameters):
    """Options of `divisive`."""

    alpha: float = Field(0.5, ge=0, le=1, description="weight of cross-entropy (inferred)")
    form: Literal["difference", "opposed", "divergence"] = Field(
        "difference", description="distance of the two class maps from the human map (inferred)"
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
    """Cross-entropy and distance of two class maps from human maps.

    logits [B,K], labels [B], features [B,C,H,W], weight [K,C], saliency [B,H,W], present [B].
    `.cam` is the map of the true class less that of the false one.
    """
    true = class_activation_map(features, weight, labels)
    false = class_activation_map(features, weight, false_classes(logits, labels))
    human, present = human_maps(saliency, true, present)
    human = unit_range(human)
    if form == "difference":
        distance = (unit_range(true - false) - human).square().mean((1, 2))
    elif form == "opposed":
        own = (unit_range(true) - human).square().mean((1, 2))
        other = (unit_range(false) - (1 - human)).square().mean((1, 2))
        distance = (own + other) / 2
    else:
        alike = 1 - (unit_range(true) - unit_range(false)).abs()
        area = human.sum((1, 2))
        distance = (human * alike).sum((1, 2)) / torch.where(area > 0, area, 1.0)
    agreement = mean_present(distance, present)
    classification = cross_entropy(logits, labels)
    total = alpha * classification + (1 - alpha) * agreement
    return LossOutput(total, classification, agreement, true - false)


def false_classes(logits: Tensor, labels: Tensor) -> Tensor:
    """The class [B] other than the true one that has the highest logit."""
    own = torch.nn.functional.one_hot(labels, logits.shape[1]).bool()
    return logits.detach().masked_fill(own, -torch.inf).argmax(1)


LOSS = Loss(divisive_loss, Options)
