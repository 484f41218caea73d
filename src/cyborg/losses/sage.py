"""SAGE: an image is like itself without unmarked places, and unlike itself without marked ones.

    L = CE(z, y) + triplet · mean relu( |a - p|² - |a - n|² + margin )
                 + alignment · mean JS(softmax(z / temperature), softmax(z_p / temperature))
    x_p = N(S) · x + (1 - N(S)) · G(x),   x_n = (1 - N(S)) · x + N(S) · G(x)

a, p, and n are the embeddings (pooled features, of length one) of the image x, of the positive x_p,
and of the negative x_n. G is a Gaussian blur, and JS is the Jensen-Shannon divergence. Each step
takes three forward passes, and batch norm sees all three.

Source: Crum, Sweet, Czajka, SAGE: Saliency-Guided Contrastive Embeddings, 2025, arXiv 2511.12744.
Only the abstract and summaries could be read. They name a triplet loss on embeddings of
saliency-preserving and saliency-degrading augmentations, and a check of the logits by the
Jensen-Shannon divergence with a temperature.

Inferred: the values of all options, the augmentation (blur), squared distances of unit vectors,
and that the positive alone is compared in logits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cyborg.common.schema import Parameters
from cyborg.losses._base import (
    Loss,
    LossOutput,
    cross_entropy,
    mean_present,
    prepare_human_maps,
    resize_maps,
)
from cyborg.models.cam import class_activation_map, full_precision, normalise_maps


class Options(Parameters):
    """Options of `sage`. All values are inferred."""

    triplet: float = Field(1.0, ge=0, description="weight of the triplet loss", examples=[3.0])
    margin: float = Field(0.5, ge=0, le=4, description="margin of the triplet loss", examples=[1.5])
    alignment: float = Field(
        1.0, ge=0, description="weight of the divergence of the logits", examples=[3.0]
    )
    temperature: float = Field(
        2.0, gt=0, description="temperature of the softmax compared", examples=[1.0]
    )
    blur: float = Field(
        0.05,
        gt=0,
        le=0.5,
        description="standard deviation of the blur, share of the side",
        examples=[0.2],
    )


def sage_loss(
    logits: Tensor,
    labels: Tensor,
    features: Tensor,
    weight: Tensor,
    saliency: Tensor,
    *,
    triplet: float = 1.0,
    margin: float = 0.5,
    alignment: float = 1.0,
    temperature: float = 2.0,
    blur: float = 0.05,
    present: Tensor | None = None,
    images: Tensor,
    network: Callable[[Tensor], Any],
) -> LossOutput:
    """Return cross-entropy, triplet loss of embeddings, and divergence of logits, weighted.

    logits [B,K] and features [B,C,H,W] of images [B,3,S,S], labels [B], saliency [B,S,S] (other
    sizes are resized), present [B]. network returns logits and features of changed images, and is
    called twice. A constant map prefers no place and adds nothing. `.saliency` is the weighted sum
    of both terms.
    """
    saliency = resize_maps(saliency, (images.shape[-2], images.shape[-1]), present)
    human, present = prepare_human_maps(saliency, images, present)
    human = normalise_maps(human)[:, None]
    varies = present & (human.amax((1, 2, 3)) > 0)
    sharp = images.detach().to(human.dtype)
    dull = blur_gaussian(sharp, blur * max(images.shape[-2:]))
    kept = network((human * sharp + (1 - human) * dull).to(images.dtype))
    lost = network(((1 - human) * sharp + human * dull).to(images.dtype))

    anchor, positive, negative = (embed_features(f) for f in (features, kept[1], lost[1]))
    near = (anchor - positive).square().sum(1)
    far = (anchor - negative).square().sum(1)
    contrast = mean_present((near - far + margin).relu(), varies)
    divergence = mean_present(jensen_shannon(logits, kept[0], temperature), varies)
    guidance = triplet * contrast + alignment * divergence
    classification = cross_entropy(logits, labels)
    cam = class_activation_map(features, weight, labels)
    return LossOutput(classification + guidance, classification, guidance, cam)


def embed_features(features: Tensor) -> Tensor:
    """Return pooled features of length one [B,C] from features [B,C,H,W]."""
    return functional.normalize(features.to(full_precision(features)).mean((2, 3)), dim=1)


def jensen_shannon(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Return the Jensen-Shannon divergence [B] in 0..ln 2 of two sets of logits [B,K]."""
    p, q = (
        (logits.to(full_precision(logits)) / temperature).log_softmax(1)
        for logits in (first, second)
    )
    middle = torch.logaddexp(p, q) - math.log(2)
    return ((p.exp() * (p - middle)).sum(1) + (q.exp() * (q - middle)).sum(1)) / 2


def blur_gaussian(images: Tensor, deviation: float) -> Tensor:
    """Return images [B,C,H,W] blurred by a Gaussian of `deviation` pixels, their edges repeated."""
    radius = max(math.ceil(3 * deviation), 1)
    offsets = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    row = torch.exp(-0.5 * (offsets / deviation) ** 2)
    row = (row / row.sum()).expand(images.shape[1], 1, 1, -1)
    channels = images.shape[1]
    padded = functional.pad(images, (radius,) * 4, mode="replicate")
    across = functional.conv2d(padded, row, groups=channels)
    return functional.conv2d(across, row.transpose(2, 3), groups=channels)


LOSS = Loss(sage_loss, Options, extras=frozenset({"images", "network"}), map_size="images")
