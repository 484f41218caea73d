"""CAM entropy: a low entropy of the class activation map, alone or beside human saliency.

    L = alpha · CE(z, y) + beta · mean (N(CAM) - N(S))² + gamma · mean H(q) / ln(HW)
    q = (N(CAM) + e) / sum (N(CAM) + e),   H(q) = - sum q ln q

Source: Piland, Czajka, Sweet, Improving Model's Focus Improves Performance of Deep Learning-Based
Synthetic Face Detectors, arXiv 2303.00818. Of the paper only the abstract could be read: that the
entropy of the map is minimised, to several degrees, and that the best blend has all three terms.
Inferred: the weights, the normalisation of the map (min-max, then sum to one, with e = 1e-6 since
the entropy has no derivative at zero) and of the entropy (by its largest value, so that gamma means
the same for maps of any size).
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field
from torch import Tensor

from cyborg.common.schema import Parameters
from cyborg.losses._base import Loss, LossOutput, cross_entropy, human_maps, mean_present
from cyborg.models.cam import class_activation_map, classes_of, unit_range

FLOOR = 1e-6


class Options(Parameters):
    """Options of `cam_entropy`."""

    alpha: float = Field(0.5, ge=0, description="weight of cross-entropy")
    beta: float = Field(
        0.0, ge=0, description="weight of the distance from human maps; 0 is entropy alone"
    )
    gamma: float = Field(0.5, ge=0, description="weight of the entropy of the map (inferred)")
    target: Literal["predicted", "true"] = Field(
        "true", description="class whose map is meant: predicted or true"
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
    """Cross-entropy, distance from human maps where there are some, entropy of every map.

    logits [B,K], labels [B], features [B,C,H,W], weight [K,C], saliency [B,H,W], present [B].
    `.saliency` is beta · distance + gamma · entropy.
    """
    cam = class_activation_map(features, weight, classes_of(target, logits, labels))
    focus = unit_range(cam)
    human, present = human_maps(saliency, cam, present)
    distance = mean_present((focus - unit_range(human)).square().mean((1, 2)), present)
    guidance = beta * distance + gamma * entropy(focus).mean()
    classification = cross_entropy(logits, labels)
    return LossOutput(alpha * classification + guidance, classification, guidance, cam)


def entropy(maps: Tensor) -> Tensor:
    """Entropy [B] of non-negative maps [B,H,W] as distributions over places, 0..1.

    One is the entropy of a constant map.
    """
    shares = maps + FLOOR
    shares = shares / shares.sum((1, 2), keepdim=True)
    return -(shares * shares.log()).sum((1, 2)) / math.log(max(maps[0].numel(), 2))


LOSS = Loss(cam_entropy_loss, Options)
