"""CYBORG: cross-entropy plus the distance of the class activation map from human saliency.

    L = alpha · CE(z, y) + (1 - alpha) · mean over samples, pixels of (N(CAM) - N(S))²

where N is the min-max normalisation of each map. Source: Boyd et al., CYBORG: Blending Human
Saliency Into the Loss Improves Deep Learning, WACV 2023, arXiv 2112.00686; code CVRL/CYBORG.
Defaults are the published values. Differs from it in two points: a constant map scales to zeros
where the original gives NaN, and a sample without a map is left out where the original fails.

`alpha: dynamic` balances the two terms in each batch, alpha = CE / (CE + saliency + 1e-8), through
which the gradient flows as published; `dynamic_detached` holds it constant instead. Source: VISER,
arXiv 2603.17859; code CVRL/VISER.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from torch import Tensor

from cyborg.common.schema import Parameters
from cyborg.losses._base import Loss, LossOutput, cross_entropy, human_maps, mean_present
from cyborg.models.cam import class_activation_map, classes_of, unit_range

Alpha = Annotated[float, Field(ge=0, le=1)] | Literal["dynamic", "dynamic_detached"]
DYNAMIC = ("dynamic", "dynamic_detached")


class Options(Parameters):
    """Options of `cyborg`."""

    alpha: Alpha = Field(
        0.5,
        description="weight of cross-entropy, 0..1 (1 is cross-entropy alone), or dynamic (VISER), "
        "or dynamic_detached (the same without gradient through it)",
    )
    target: Literal["predicted", "true"] = Field(
        "predicted", description="class whose map is compared: predicted (published) or true"
    )
    reduction: Literal["present", "batch"] = Field(
        "present",
        description="saliency term divided by the samples that have a map, or by all of the batch",
    )

    @field_validator("alpha", mode="before")
    @classmethod
    def _alpha(cls, value: Any) -> Any:
        # One message for one mistake: pydantic would report each alternative by itself.
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value not in DYNAMIC and not (number and 0 <= value <= 1):
            raise ValueError(f"alpha is a number from 0 to 1 or one of {', '.join(DYNAMIC)}")
        return value


def cyborg_loss(
    logits: Tensor,
    labels: Tensor,
    features: Tensor,
    weight: Tensor,
    saliency: Tensor,
    *,
    alpha: float | str = 0.5,
    target: str = "predicted",
    present: Tensor | None = None,
    reduction: str = "present",
) -> LossOutput:
    """alpha · cross-entropy + (1 - alpha) · mean squared difference of the two normalised maps.

    logits [B,K], labels [B], features [B,C,H,W], weight [K,C], saliency [B,H,W] of any scale;
    present [B] marks samples that have a human map (None: all do). float64 stays float64, half
    precisions are computed in float32. `.cam` [B,H,W] is the raw map of the target class.
    """
    cam = class_activation_map(features, weight, classes_of(target, logits, labels))
    human, present = human_maps(saliency, cam, present)
    distance = (unit_range(cam) - unit_range(human)).square().mean((1, 2))
    agreement = mean_present(distance, present, reduction)
    classification = cross_entropy(logits, labels)
    share = blend(alpha, classification, agreement)
    return LossOutput(
        share * classification + (1 - share) * agreement, classification, agreement, cam
    )


def blend(alpha: float | str, classification: Tensor, agreement: Tensor) -> float | Tensor:
    """The weight of the classification term: a number as it is, or made from the two terms."""
    if not isinstance(alpha, str):
        return alpha
    share = classification / (classification + agreement + 1e-8)
    return share.detach() if alpha == "dynamic_detached" else share


LOSS = Loss(cyborg_loss, Options)
