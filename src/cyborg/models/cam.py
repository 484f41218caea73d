"""Class activation maps, differentiable and without hooks.

Source: Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016.
"""

from __future__ import annotations

import torch
from torch import Tensor


def full_precision(*tensors: Tensor) -> torch.dtype:
    """The dtype to compute in: that of the tensors, but no half precision (then float32)."""
    dtype = torch.float32
    for tensor in tensors:
        if tensor.is_floating_point():
            dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def class_activation_map(features: Tensor, weight: Tensor, classes: Tensor) -> Tensor:
    """The map whose spatial mean is a class's logit less its bias.

    features [B,C,H,W] before global average pooling, weight [K,C] of the linear layer after it,
    classes [B] integers 0..K-1; gives [B,H,W], unbounded (no rectification, no normalisation).
    float64 stays float64; half precisions are computed in float32, also under autocast.
    """
    dtype = full_precision(features, weight)
    with torch.autocast(features.device.type, enabled=False):
        chosen = weight.to(dtype)[classes]
        return torch.einsum("bchw,bc->bhw", features.to(dtype), chosen)


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


def classes_of(target: str, logits: Tensor, labels: Tensor) -> Tensor:
    """The class [B] whose map is meant: `predicted` or `true`."""
    return {"predicted": logits.detach().argmax(1), "true": labels}[target]
