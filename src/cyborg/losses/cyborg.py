"""CYBORG: cross-entropy plus the distance of the class activation map from human saliency.

    L = alpha · CE(z, y) + (1 - alpha) · mean (N(CAM_k) - N(S))²

The gradient flows through F, W, and both ends of the min-max normalisation N. The class k is the
predicted one (as in CVRL/CYBORG and VISER) or the true one (as in CVRL/GrainsOfSaliency, MENTOR,
and others).

Source: Boyd et al., CYBORG: Blending Human Saliency Into the Loss Improves Deep Learning, WACV
2023, arXiv 2112.00686, with the code CVRL/CYBORG. Defaults are the published values. The loss
equals the published one to 1e-12 in value and gradient, but for two points. A constant map becomes
zeros, and the original gives NaN. A sample without a map is left out, and the original fails.

`alpha: dynamic` balances the two terms of each batch: alpha = CE / (CE + saliency + 1e-8). The
gradient flows through it, as published. Source: VISER, arXiv 2603.17859, with the code CVRL/VISER.
`alpha: dynamic_detached` is the same number without gradient. That variant, and
`reduction: batch`, are of this project.

`compared: difference` is of this project too. The published loss compares the map of one class.
The decision depends on the difference of the logits, so evidence outside the marked regions can
stay in the maps of the other classes, out of the loss's sight. With `difference`, CAM_k is the map
of the logit of class k minus the mean logit of the others: for two classes, of the decision.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator
from torch import Tensor

from cyborg.common.schema import Parameters
from cyborg.losses._base import Loss, LossOutput, cross_entropy, mean_present, prepare_human_maps
from cyborg.models.cam import (
    class_activation_map,
    full_precision,
    normalise_maps,
    select_classes,
)

Alpha = Annotated[float, Field(ge=0, le=1)] | Literal["dynamic", "dynamic_detached"]
DYNAMIC = ("dynamic", "dynamic_detached")


class Options(Parameters):
    """Options of `cyborg`."""

    alpha: Alpha = Field(
        0.5,
        description="weight of cross-entropy, 0..1 (1 is cross-entropy alone), or dynamic (VISER), "
        "or dynamic_detached (the same without gradient through it)",
        examples=[0.9, "dynamic", "dynamic_detached"],
    )
    target: Literal["predicted", "true"] = Field(
        "predicted",
        description="class whose map is compared: predicted (published) or true",
        examples=["true"],
    )
    compared: Literal["class", "difference"] = Field(
        "class",
        description="what is compared: the map of the class (published), or of its logit minus the "
        "mean logit of the other classes",
        examples=["difference"],
    )
    reduction: Literal["present", "batch"] = Field(
        "present",
        description="saliency term divided by the samples that have a map, or by all of the batch",
        examples=["batch"],
    )

    @field_validator("alpha", mode="before")
    @classmethod
    def _check_alpha(cls, value: object) -> object:
        # One message for one mistake: pydantic would report each alternative by itself.
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value not in DYNAMIC and not (number and 0 <= value <= 1):  # type: ignore[operator]
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
    compared: str = "class",
) -> LossOutput:
    """Return alpha · cross-entropy + (1 - alpha) · mean squared difference of normalised maps.

    logits [B,K], labels [B], features [B,C,H,W] before global average pooling, weight [K,C] of the
    linear layer, and saliency [B,H,W] of any scale at the size of the features. present [B] marks
    the samples that have a human map (None: all have one). float64 stays float64, and half
    precisions are computed in float32. `.cam` [B,H,W] is the raw map that is compared.
    Raises UserError if the human maps have another size than the features.

    >>> import torch
    >>> features = torch.tensor([[[[0.0, 1.0, 2.0]]]])  # one channel of 1×3 pixels
    >>> weight = torch.tensor([[0.0], [1.0]])
    >>> logits = features.mean((2, 3)) @ weight.T
    >>> human = torch.tensor([[[0.0, 1.0, 1.0]]])
    >>> cyborg_loss(logits, torch.tensor([1]), features, weight, human).saliency
    tensor(0.0833)
    """
    if compared == "difference":
        weight = contrast_weights(weight)
    cam = class_activation_map(features, weight, select_classes(target, logits, labels))
    human, present = prepare_human_maps(saliency, cam, present)
    distance = (normalise_maps(cam) - normalise_maps(human)).square().mean((1, 2))
    agreement = mean_present(distance, present, reduction)
    classification = cross_entropy(logits, labels)
    share = resolve_alpha(alpha, classification, agreement)
    return LossOutput(
        share * classification + (1 - share) * agreement, classification, agreement, cam
    )


def contrast_weights(weight: Tensor) -> Tensor:
    """Return class weights [K,C], each minus the mean of the weights of the other classes.

    >>> import torch
    >>> contrast_weights(torch.tensor([[1.0], [4.0]]))
    tensor([[-3.],
            [ 3.]])
    """
    classes, weight = len(weight), weight.to(full_precision(weight))
    return (classes * weight - weight.sum(0)) / (classes - 1)


def resolve_alpha(alpha: float | str, classification: Tensor, agreement: Tensor) -> float | Tensor:
    """Return the weight of the classification term: alpha itself, or made from the two terms."""
    if not isinstance(alpha, str):
        return alpha
    share = classification / (classification + agreement + 1e-8)
    return share.detach() if alpha == "dynamic_detached" else share


LOSS = Loss(cyborg_loss, Options)
