"""CAM entropy: a low entropy of the class activation map, alone or beside human saliency.

    L = alpha · CE(z, y) + beta · mean (N(CAM) - N(S))² + gamma · mean H(q) / ln(HW)
    q = (N(CAM) + e) / sum (N(CAM) + e),   H(q) = - sum q ln q,   e = 1e-6

q is the map as a distribution over places. The entropy needs no human map, so every sample has it.
`beta: 0` is entropy alone. `beta` above zero blends it with human saliency.

Source: Piland, Czajka, Sweet, Improving Model's Focus Improves Performance of Deep Learning-Based
Synthetic Face Detectors, 2023, arXiv 2303.00818. Only the abstract of the paper could be read. It
says that the entropy of the map is minimised, to several degrees, and that the best blend has all
three terms.

Inferred: all three weights, the true class, and two normalisations. The map is normalised by
min-max and then to a sum of one. The small e is added because the entropy has no derivative at
zero. The entropy is divided by its largest value, so that gamma means the same for maps of any
size.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field
from torch import Tensor

from cyborg.common.schema import Parameters
from cyborg.losses._base import Loss, LossOutput, cross_entropy, mean_present, prepare_human_maps
from cyborg.models.cam import class_activation_map, normalise_maps, select_classes

# Added to maps before they sum to one: the entropy has no derivative at zero.
FLOOR = 1e-6


class Options(Parameters):
    """Options of `cam_entropy`."""

    alpha: float = Field(0.5, ge=0, description="weight of cross-entropy", examples=[0.9])
    beta: float = Field(
        0.0,
        ge=0,
        description="weight of the distance from human maps, 0 for entropy alone",
        examples=[0.7],
    )
    gamma: float = Field(
        0.5, ge=0, description="weight of the entropy of the map (inferred)", examples=[0.1]
    )
    target: Literal["predicted", "true"] = Field(
        "true", description="class whose map is used: predicted or true", examples=["predicted"]
    )


def cam_entropy_loss(
    logits: Tensor,
    labels: Tensor,
    features: Tensor,
    weight: Tensor,
    saliency: Tensor,
    *,
    alpha: float = 0.5,
    beta: float = 0.0,
    gamma: float = 0.5,
    target: str = "true",
    present: Tensor | None = None,
) -> LossOutput:
    """Return cross-entropy, distance from the human maps, and entropy of every map, weighted.

    logits [B,K], labels [B], features [B,C,H,W], weight [K,C], saliency [B,H,W], present [B].
    `.saliency` is beta · distance + gamma · entropy. The distance is over the samples that have a
    human map.
    """
    cam = class_activation_map(features, weight, select_classes(target, logits, labels))
    focus = normalise_maps(cam)
    human, present = prepare_human_maps(saliency, cam, present)
    distance = mean_present((focus - normalise_maps(human)).square().mean((1, 2)), present)
    guidance = beta * distance + gamma * spatial_entropy(focus).mean()
    classification = cross_entropy(logits, labels)
    return LossOutput(alpha * classification + guidance, classification, guidance, cam)


def spatial_entropy(maps: Tensor) -> Tensor:
    """Return the entropy [B] in 0..1 of non-negative maps [B,H,W] as distributions over places.

    One is the entropy of a constant map.
    """
    shares = maps + FLOOR
    shares = shares / shares.sum((1, 2), keepdim=True)
    return -(shares * shares.log()).sum((1, 2)) / math.log(max(maps[0].numel(), 2))


# The entropy of a map needs no human map: a sample without one has it too.
LOSS = Loss(cam_entropy_loss, Options, guiding_options={"beta": 0.5, "gamma": 0.0})
