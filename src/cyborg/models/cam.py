"""Compute class activation maps, differentiable and without hooks.

Source: Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016.
"""

from __future__ import annotations

import torch
from torch import Tensor


def full_precision(*tensors: Tensor) -> torch.dtype:
    """Return the dtype to compute in: that of the tensors, but float32 for half precisions.

    >>> full_precision(torch.zeros(1, dtype=torch.float16))
    torch.float32
    >>> full_precision(torch.zeros(1), torch.zeros(1, dtype=torch.float64))
    torch.float64
    """
    dtype = torch.float32
    for tensor in tensors:
        if tensor.is_floating_point():
            dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def class_activation_map(features: Tensor, weight: Tensor, classes: Tensor) -> Tensor:
    """Return the map [B,H,W] whose spatial mean is a class's logit less its bias.

    features [B,C,H,W] are those before global average pooling, weight [K,C] is that of the linear
    layer after it, and classes [B] are integers 0..K-1. The map is neither rectified nor
    normalised. float64 stays float64. Half precisions are computed in float32, also under autocast.

    >>> features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # two channels of 1×2 pixels
    >>> weight = torch.tensor([[1.0, 10.0], [-1.0, 2.0]])
    >>> class_activation_map(features, weight, torch.tensor([1]))
    tensor([[[5., 6.]]])
    """
    dtype = full_precision(features, weight)
    with torch.autocast(features.device.type, enabled=False):
        chosen = weight.to(dtype)[classes]
        return torch.einsum("bchw,bc->bhw", features.to(dtype), chosen)


def normalise_maps(maps: Tensor, epsilon: float = 0.0) -> Tensor:
    """Return each map of [B,H,W] scaled by its minimum and maximum to 0..1, or zeros if constant.

    epsilon is added to the divisor, for losses whose published code does so.

    A map is constant if it is so up to rounding. The equal pixels of a map that was summed in
    another order differ in the last digit, and that noise must not grow to 0..1. The divisor is
    replaced and not the quotient: `where` on the result would give a right value and a NaN
    gradient.

    >>> normalise_maps(torch.tensor([[[1.0, 2.0, 5.0]]]))
    tensor([[[0.0000, 0.2500, 1.0000]]])
    """
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    spread = high - low
    precision = torch.finfo(maps.dtype)
    floor = torch.maximum(low.abs(), high.abs()).detach() * (8 * precision.eps)
    varies = spread.detach() > floor.clamp(min=precision.tiny)
    centred = torch.where(varies, maps - low, torch.zeros_like(maps))
    return centred / torch.where(varies, spread + epsilon, torch.ones_like(spread))


def select_classes(target: str, logits: Tensor, labels: Tensor) -> Tensor:
    """Return the classes [B] whose maps are compared: `predicted` or `true`, as target says."""
    return {"predicted": logits.detach().argmax(1), "true": labels}[target]
