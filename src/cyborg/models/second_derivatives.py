"""Make second derivatives of a network fast, for losses that use the input gradient.

Torch computes the second derivative of a convolution with groups by one small convolution per
group. A depthwise convolution takes hundreds of them. Batch normalisation with fixed statistics
takes a dozen passes over the features. Here both are written with operations whose own derivative
is fast. Values are the same up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Pair = tuple[int, int]


class TwiceDifferentiable(TorchFunctionMode):
    """A context in which layers are computed so that second derivatives are fast."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Replace convolutions with groups and fixed batch normalisation, and nothing else."""
        replacement = REPLACEMENTS.get(func, func)
        return replacement(*args, **(kwargs or {}))


def conv2d(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair | str = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Tensor:
    """Return the same as torch.nn.functional.conv2d."""
    if groups == 1 or isinstance(padding, str):
        return functional.conv2d(images, weight, bias, stride, padding, dilation, groups)
    kind = images.device.type
    if torch.is_autocast_enabled(kind):  # autocast does not look into a function of our own
        images, weight = (t.to(torch.get_autocast_dtype(kind)) for t in (images, weight))
    out: Tensor = GroupedConvolution.apply(
        images, weight, _make_pair(stride), _make_pair(padding), _make_pair(dilation)
    )
    return out if bias is None else out + bias.to(out.dtype)[:, None, None]


class GroupedConvolution(torch.autograd.Function):
    """A convolution with groups, whose gradient by the input is a transposed convolution."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair
    ) -> Tensor:
        """Return features [B,D,·,·] of images [B,C,H,W] and weight [D,C/groups,h,w]."""
        ctx.save_for_backward(images, weight)
        ctx.layer = stride, padding, dilation, images.shape[1] // weight.shape[1]
        return functional.conv2d(images, weight, None, *ctx.layer)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients by images and weight. Both can be differentiated again."""
        (gradient,) = gradients
        images, weight = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.layer
        by_images = by_weight = None
        if ctx.needs_input_grad[0]:
            # Rows and columns at the end that no stride reaches.
            rest = [
                images.shape[n + 2]
                - (gradient.shape[n + 2] - 1) * stride[n]
                + 2 * padding[n]
                - dilation[n] * (weight.shape[n + 2] - 1)
                - 1
                for n in (0, 1)
            ]
            by_images = functional.conv_transpose2d(
                gradient, weight, None, stride, padding, rest, groups, dilation
            )
        if ctx.needs_input_grad[1]:
            wanted = [False, True, False]
            by_weight = torch.ops.aten.convolution_backward(
                gradient, images, weight, None, stride, padding, dilation, False, [0, 0], groups,
                wanted,
            )[1]  # fmt: skip
        return by_images, by_weight, None, None, None


def batch_norm(
    features: Tensor,
    mean: Tensor | None,
    variance: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Return the same as torch.nn.functional.batch_norm.

    With fixed statistics it is one multiplication and one addition.
    """
    if training or mean is None or variance is None or features.ndim != 4:
        return functional.batch_norm(
            features, mean, variance, weight, bias, training, momentum, eps
        )
    factor = (variance + eps).rsqrt()
    if weight is not None:
        factor = factor * weight
    summand = -mean * factor
    if bias is not None:
        summand = summand + bias
    factor, summand = factor[:, None, None], summand[:, None, None]
    return torch.addcmul(summand, features, factor).to(features.dtype)


def _make_pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


REPLACEMENTS: dict[Callable[..., Any], Callable[..., Any]] = {
    functional.conv2d: conv2d,
    functional.batch_norm: batch_norm,
}
