"""What every loss shares: the form of its result, the scaling of maps, the mean over samples.

Every loss module has `<name>_loss(logits, labels, features, weight, saliency, *, present=None,
...)`, and `Options`, whose fields are its keyword options. What it needs besides stands in its
constant `NEEDS` and is handed in by the training loop under the same name:

`images`         the network's normalised input [B,3,S,S], made to require its gradient before
                 the forward pass from which logits and features come
`network`        function of such images that gives (logits [B,K], features [B,C,H,W])
`sample_weight`  [B], one positive number per sample, NaN where none is known
`learned`        the module that `learn(image_size, map_size, seed)` of the loss made when training
                 began; its parameters are trained with those of the network

`MAPS = "images"` says that the loss wants the human maps at the size of the input rather than of
the features; it resizes what it is given.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from cyborg.errors import UserError
from cyborg.models.cam import class_activation_map, full_precision


class LossOutput(NamedTuple):
    """A loss and its parts: scalars, and the class activation map [B,H,W] where one was made.

    The map is the raw one: neither rectified nor normalised.
    """

    total: Tensor
    classification: Tensor
    saliency: Tensor
    cam: Tensor | None = None


def unit_range(maps: Tensor, epsilon: float = 0.0) -> Tensor:
    """Min-max normalise each map of [B,H,W] to 0..1; a constant map becomes zeros.

    Constant means up to rounding: the equal pixels of a map that was summed in another order
    differ in the last digit, and that noise must not be blown up to 0..1. The divisor is replaced,
    not the quotient: choosing the result with `where` would give a right value and a NaN gradient.
    epsilon: added to the divisor, for losses whose published code does so.
    """
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    spread = high - low
    precision = torch.finfo(maps.dtype)
    floor = torch.maximum(low.abs(), high.abs()).detach() * (8 * precision.eps)
    varies = spread.detach() > floor.clamp(min=precision.tiny)
    centred = torch.where(varies, maps - low, torch.zeros_like(maps))
    return centred / torch.where(varies, spread + epsilon, torch.ones_like(spread))


def grad_cam(features: Tensor, weight: Tensor, classes: Tensor) -> Tensor:
    """Grad-CAM [B,H,W] without its final ReLU, its channel weights held constant.

    Behind global average pooling and one linear layer, the mean gradient of a logit with respect
    to a channel is that channel's class weight divided by the number of positions: no backward
    pass is needed. The published codes of GradIA and RES let no gradient through these weights.
    """
    positions = features.shape[-2] * features.shape[-1]
    return class_activation_map(features, weight.detach(), classes) / positions


def cross_entropy(
    logits: Tensor, labels: Tensor, smoothing: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """Cross-entropy of logits [B,K] and labels [B], never in half precision."""
    return functional.cross_entropy(
        logits.to(full_precision(logits)), labels, label_smoothing=smoothing, reduction=reduction
    )


def classes_of(target: str, logits: Tensor, labels: Tensor) -> Tensor:
    """The class [B] whose map is meant: `predicted` or `true`."""
    return {"predicted": logits.detach().argmax(1), "true": labels}[target]


def human_maps(saliency: Tensor, like: Tensor, present: Tensor | None) -> tuple[Tensor, Tensor]:
    """Human maps ready for arithmetic, and which samples have one.

    saliency [B,H,W] of any dtype and scale (uint8 too), `like` a tensor [B,...,H,W] of the size
    and dtype wanted, present [B] or None (all). What stands in a missing map, NaN included, is
    replaced by zero before any arithmetic: masking afterwards would leave NaN in the gradient.
    Raises UserError where the maps have another size.
    """
    if saliency.shape != (like.shape[0], *like.shape[-2:]):
        raise UserError(
            f"human maps are {_size(saliency)}, the network's map is {_size(like)}",
            hint="resize the maps to `map_size` of the network",
        )
    if present is None:
        present = torch.ones(len(like), dtype=torch.bool, device=like.device)
    present = present.to(like.device, torch.bool)
    human = saliency.to(like.device, full_precision(like))
    return torch.where(present[:, None, None], human, torch.zeros_like(human)), present


def resize_maps(saliency: Tensor, size: tuple[int, int], present: Tensor | None) -> Tensor:
    """Human maps [B,h,w] at another size [B,*size], bilinear; missing ones become zeros first."""
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
    """Mean of values [B] over the samples that have a map; zero where none has.

    With reduction `batch` the sum is divided by the size of the batch instead.
    """
    kept = torch.where(present, values, torch.zeros_like(values))
    count = present.sum().clamp(min=1) if reduction == "present" else len(values)
    return kept.sum() / count


def _size(tensor: Tensor) -> str:
    return "×".join(str(side) for side in (tensor.shape[0], *tensor.shape[-2:]))
