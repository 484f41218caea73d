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
