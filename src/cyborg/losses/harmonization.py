"""Harmonization: input gradients that resemble human maps at several scales.

    L  = CE(z, y; smoothing) + strength · mean over l < levels of mean (P_l(m) - P_l(h))²
    g  = mean over channels of d z_y / d x;   m = Z(g),   h = Z(S) · max m / max Z(S)
    Z(X) = relu((X - mean X) / (std X + 1e-5));   P_0 = X, P_(l+1) = P_l filtered 5×5, stride 2

Source: Fel et al., Harmonizing the object recognition strategies of deep neural networks with
humans, NeurIPS 2022, arXiv 2211.04533; code serre-lab/Harmonization, training/loss.py and
training/pyramid.py (TensorFlow), which this equals: no gradient through max m, zero padding as in
TensorFlow (one less on the left at even sizes), a sample without a map counts in the mean, the
pyramid's last level is not compared. The weight penalty of the source (1e-5) is `weight_decay` of
`training`. A gradient map that is constant has no derivative of its deviation; it is taken as zero.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cyborg.common.schema import Parameters
from cyborg.losses._base import Loss, LossOutput, cross_entropy, human_maps, resize_maps
from cyborg.models.cam import class_activation_map, full_precision

BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)


class Options(Parameters):
    """Options of `harmonization`."""

    strength: float = Field(1.0, ge=0, description="weight of the distance of the two pyramids")
    levels: int = Field(5, ge=1, le=10, description="levels of the pyramids that are compared")
    smoothing: float = Field(0.1, ge=0, lt=1, description="label smoothing of cross-entropy")


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
    """Cross-entropy and distance of input gradients from human maps.

    logits [B,K] of images [B,3,S,S], labels [B], saliency [B,S,S] (other sizes are resized),
    present [B]. The gradient of the result needs second derivatives of the network.
    """
    saliency = resize_maps(saliency, (images.shape[-2], images.shape[-1]), present)
    human, present = human_maps(saliency, images, present)
    score = logits.to(full_precision(logits)).gather(1, labels[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, images, create_graph=True)
    with torch.autocast(images.device.type, enabled=False):
        model = standardise(gradient.to(human.dtype).mean(1))
        human = standardise(human)
        highest = model.detach().amax((1, 2), keepdim=True) + 1e-6
        human = human / (human.amax((1, 2), keepdim=True) + 1e-6) * highest
        # Filtering is linear: the distance of two pyramids is the pyramid of the difference.
        difference = torch.where(present[:, None, None], model - human, 0.0)
        distance = torch.stack([level.square().mean() for level in pyramid(difference, levels)])
    agreement = distance.mean()
    classification = cross_entropy(logits, labels, smoothing)
    cam = class_activation_map(features, weight, labels)
    return LossOutput(classification + strength * agreement, classification, agreement, cam)


def standardise(maps: Tensor) -> Tensor:
    """Mean zero and deviation one for each map of [B,H,W], then what is above zero."""
    centred = maps - maps.mean((1, 2), keepdim=True)
    variance = centred.square().mean((1, 2), keepdim=True)
    varies = variance.detach() > 0
    deviation = torch.where(varies, variance, torch.ones_like(variance)).sqrt() * varies
    return (centred / (deviation + 1e-5)).relu()


def pyramid(maps: Tensor, levels: int) -> list[Tensor]:
    """The maps [B,H,W] themselves and levels - 1 times filtered and halved."""
    row = torch.tensor(BINOMIAL, dtype=maps.dtype, device=maps.device) / sum(BINOMIAL)
    kernel = (row[:, None] * row[None, :])[None, None]
    current = maps[:, None]
    result = [current]
    for _ in range(levels - 1):
        height, width = (_padding(side) for side in current.shape[-2:])
        current = functional.conv2d(functional.pad(current, (*width, *height)), kernel, stride=2)
        result.append(current)
    return [level[:, 0] for level in result]


def _padding(side: int) -> tuple[int, int]:
    """TensorFlow's SAME for a kernel of five and a stride of two."""
    total = max((-(-side // 2) - 1) * 2 + 5 - side, 0)
    return total // 2, total - total // 2


LOSS = Loss(harmonization_loss, Options, extras=frozenset({"images"}), map_size="images")
