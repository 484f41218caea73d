"""Define the record of a loss, and the terms that several losses share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from cyborg.common.errors import UserError
from cyborg.common.schema import Parameters
from cyborg.models.cam import class_activation_map, full_precision


class LossOutput(NamedTuple):
    """A loss and its terms.

    total: the scalar to minimise.
    classification: the scalar term of the labels, before its weight.
    saliency: the scalar term of the human maps. Each loss states whether it is weighted.
    cam: the class activation map [B,H,W], or None if the loss makes none. It is raw: neither
    rectified nor normalised.
    """

    total: Tensor
    classification: Tensor
    saliency: Tensor
    cam: Tensor | None = None


Extra = Literal["images", "network", "sample_weight"]


@dataclass(frozen=True)
class Loss:
    """A member of the family of losses: the constant `LOSS` at the end of its module.

    function: `f(logits, labels, features, weight, saliency, *, present=None, **options, **extras)`
    that returns a LossOutput. logits [B,K], labels [B], features [B,C,H,W], weight [K,C],
    saliency [B,H,W] of any scale, present bool [B] (None: every sample has a map).
    options: its options in params.yaml. Each field is a keyword of the function, and states one
    or more other valid values as `Field(examples=[…])`. A test checks that each of them changes
    the loss.
    extras: further arguments of the function, given under the same names.
        `images`: the network's normalised input [B,3,S,S], which requires its gradient.
        `network`: a function of such images that returns logits and features.
        `sample_weight`: one positive number per sample [B], NaN if none is known.
    map_size: the size of the human maps that the function is given, which is that of the
    `features` or that of the input `images`.
    create_module: for a loss that learns something itself, a function of image size, map size, and
    seed that returns a module. It is trained with the network and given as `learned`.
    guiding_options: options under which the whole saliency term comes from human maps. Tests use
    them. Leave them out if the defaults do that.
    """

    function: Callable[..., LossOutput]
    options: type[Parameters]
    extras: frozenset[Extra] = frozenset()
    map_size: Literal["features", "images"] = "features"
    create_module: Callable[[int, tuple[int, int], int], nn.Module] | None = None
    guiding_options: Mapping[str, object] = field(default_factory=dict)


def grad_cam(features: Tensor, weight: Tensor, classes: Tensor) -> Tensor:
    """Return Grad-CAM [B,H,W] without its final ReLU, its channel weights held constant.

    Behind global average pooling and one linear layer, the mean gradient of a logit with respect
    to a channel is that channel's class weight divided by the number of positions. No backward
    pass is needed. The published codes of GradIA and RES let no gradient through these weights.
    """
    positions = features.shape[-2] * features.shape[-1]
    return class_activation_map(features, weight.detach(), classes) / positions


def cross_entropy(
    logits: Tensor, labels: Tensor, smoothing: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """Return the cross-entropy of logits [B,K] and labels [B], never in half precision."""
    return functional.cross_entropy(
        logits.to(full_precision(logits)), labels, label_smoothing=smoothing, reduction=reduction
    )


def prepare_human_maps(
    saliency: Tensor, like: Tensor, present: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return human maps that are ready for arithmetic, and which samples have one.

    saliency [B,H,W] has any dtype and scale (uint8 too). `like` is a tensor [B,...,H,W] of the
    wanted size and dtype. present is [B] or None (all).

    A missing map, NaN included, is replaced by zeros before any arithmetic. A mask applied
    afterwards would leave NaN in the gradient. Raises UserError if the maps have another size.
    """
    if saliency.shape != (like.shape[0], *like.shape[-2:]):
        raise UserError(
            f"human maps are {_format_size(saliency)}, the network's map is {_format_size(like)}",
            hint="resize the maps to `map_size` of the network",
        )
    if present is None:
        present = torch.ones(len(like), dtype=torch.bool, device=like.device)
    present = present.to(like.device, torch.bool)
    human = saliency.to(like.device, full_precision(like))
    return torch.where(present[:, None, None], human, torch.zeros_like(human)), present


def resize_maps(saliency: Tensor, size: tuple[int, int], present: Tensor | None = None) -> Tensor:
    """Return human maps [B,h,w] at another size [B,*size], as float of the same scale.

    Resizing is bilinear with antialiasing, as in the published code. Missing maps (`present`
    bool [B] is false) become zeros first.

    >>> resize_maps(torch.ones(2, 224, 224), (7, 7)).shape
    torch.Size([2, 7, 7])
    """
    maps = saliency if saliency.is_floating_point() else saliency.float()
    maps = maps.to(full_precision(maps))
    if present is not None:
        maps = torch.where(present.to(maps.device, torch.bool)[:, None, None], maps, 0.0)
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return functional.interpolate(
        maps[:, None], size=tuple(size), mode="bilinear", antialias=True, align_corners=False
    )[:, 0]


def mean_present(values: Tensor, present: Tensor, reduction: str = "present") -> Tensor:
    """Return the mean of values [B] over the samples that have a map, or zero if none has.

    With reduction `batch` the sum is divided by the size of the batch instead.
    """
    kept = torch.where(present, values, torch.zeros_like(values))
    count = present.sum().clamp(min=1) if reduction == "present" else len(values)
    return kept.sum() / count


def _format_size(tensor: Tensor) -> str:
    return "×".join(str(side) for side in (tensor.shape[0], *tensor.shape[-2:]))
