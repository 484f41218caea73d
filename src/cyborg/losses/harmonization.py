"""Harmonization: input gradients that resemble human maps at several scales.

    L  = CE(z, y; smoothing) + strength · mean over l < levels of mean (P_l(m) - P_l(h))²
    g  = mean over channels of d z_y / d x
    m  = Z(g),   h = Z(S) · (max m + 1e-6) / (max Z(S) + 1e-6)
    Z(X) = relu((X - mean X) / (std X + 1e-5))
    P_0(X) = X,   P_(l+1)(X) = P_l(X) filtered by a 5×5 binomial kernel with stride 2

It needs second derivatives of the network, so a step takes about three times as long as a plain
one.

Source: Fel et al., Harmonizing the object recognition strategies of deep neural networks with
humans, NeurIPS 2022, arXiv 2211.04533, with the code serre-lab/Harmonization, training/loss.py and
training/pyramid.py (TensorFlow). This loss follows it in all details. No gradient flows through
max m. Padding is that of TensorFlow (one less on the left at even sizes). The mean is over the
whole batch, with samples without a map counted. Five levels are compared, and the last level of
the published pyramid is not.

Differs from the source: its penalty of the weights (1e-5) is `training.weight_decay` here. The
deviation of a constant gradient map has no derivative and is taken as zero.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cyborg.common.schema import Parameters
from cyborg.losses._base import Loss, LossOutput, cross_entropy, prepare_human_maps, resize_maps
from cyborg.models.cam import class_activation_map, full_precision

# Weights of one side of the filter between two levels, before they sum to one.
BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)


class Options(Parameters):
    """Options of `harmonization`."""

    strength: float = Field(
        1.0, ge=0, description="weight of the distance of the two pyramids", examples=[3.0]
    )
    levels: int = Field(
        5, ge=1, le=10, description="levels of the pyramids that are compared", examples=[2]
    )
    smoothing: float = Field(
        0.1, ge=0, lt=1, description="label smoothing of cross-entropy", examples=[0.0]
    )


def harmonization_loss(
    logits: Tensor,
    labels: Tensor,
    features: Tensor,
    weight: Tensor,
    saliency: Tensor,
    *,
    strength: float = 1.0,
    levels: int = 5,
    smoothing: float = 0.1,
    present: Tensor | None = None,
    images: Tensor,
) -> LossOutput:
    """Return cross-entropy + strength · distance of input gradients from human maps.

    logits [B,K] of images [B,3,S,S], labels [B], saliency [B,S,S] (other sizes are resized),
    present [B]. The gradient of the result needs second derivatives of the network.
    `.saliency` is the distance before `strength`.
    """
    saliency = resize_maps(saliency, (images.shape[-2], images.shape[-1]), present)
    human, present = prepare_human_maps(saliency, images, present)
    score = logits.to(full_precision(logits)).gather(1, labels[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, images, create_graph=True)
    with torch.autocast(images.device.type, enabled=False):
        model = standardise_maps(gradient.to(human.dtype).mean(1))
        human = standardise_maps(human)
        highest = model.detach().amax((1, 2), keepdim=True) + 1e-6
        human = human / (human.amax((1, 2), keepdim=True) + 1e-6) * highest
        # Filtering is linear: the distance of two pyramids is the pyramid of the difference.
        difference = torch.where(present[:, None, None], model - human, 0.0)
        distance = torch.stack(
            [level.square().mean() for level in build_pyramid(difference, levels)]
        )
    agreement = distance.mean()
    classification = cross_entropy(logits, labels, smoothing)
    cam = class_activation_map(features, weight, labels)
    return LossOutput(classification + strength * agreement, classification, agreement, cam)


def standardise_maps(maps: Tensor) -> Tensor:
    """Return relu(Z) of each map of [B,H,W], Z having mean zero and deviation one."""
    centred = maps - maps.mean((1, 2), keepdim=True)
    variance = centred.square().mean((1, 2), keepdim=True)
    varies = variance.detach() > 0
    deviation = torch.where(varies, variance, torch.ones_like(variance)).sqrt() * varies
    return (centred / (deviation + 1e-5)).relu()


def build_pyramid(maps: Tensor, levels: int) -> list[Tensor]:
    """Return the maps [B,H,W], and then the same filtered and halved `levels - 1` times."""
    row = torch.tensor(BINOMIAL, dtype=maps.dtype, device=maps.device) / sum(BINOMIAL)
    kernel = (row[:, None] * row[None, :])[None, None]
    current = maps[:, None]
    result = [current]
    for _ in range(levels - 1):
        height, width = (_pad_like_tensorflow(side) for side in current.shape[-2:])
        current = functional.conv2d(functional.pad(current, (*width, *height)), kernel, stride=2)
        result.append(current)
    return [level[:, 0] for level in result]


def _pad_like_tensorflow(side: int) -> tuple[int, int]:
    """Return the padding (before, after) of TensorFlow's SAME, for kernel 5 and stride 2."""
    total = max((-(-side // 2) - 1) * 2 + 5 - side, 0)
    return total // 2, total - total // 2


LOSS = Loss(harmonization_loss, Options, extras=frozenset({"images"}), map_size="images")
