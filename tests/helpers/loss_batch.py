"""Make batches to try losses on: of a tiny smooth network, or of a real one with small images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cyborg.common.families import LOSSES
from cyborg.losses._base import LossOutput
from networks import make


class TinyNetwork(nn.Module):
    """A network of images [B,3,12,8] with a 3×2 map of five channels, twice differentiable."""

    image_size, map_size = (12, 8), (3, 2)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.convolution = nn.Conv2d(3, 5, 4, 4)
        self.head = nn.Linear(5, 2)

    def forward_normalised(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = torch.nn.functional.softplus(self.convolution(images))
        return self.head(features.mean((2, 3))), features, self.head.weight


class Batch:
    """Four images, maps, and labels, and all that a loss may need besides."""

    def __init__(self, net: Any, images: Tensor, maps: Tensor, labels: Tensor):
        self.net, self.images, self.maps, self.labels = net, images, maps, labels
        self.present: Tensor | None = None
        self.weights = torch.linspace(0.5, 2.0, len(labels))

    @classmethod
    def make_tiny(cls, count: int = 4) -> Batch:
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(count, 3, 12, 8, generator=generator)
        maps = torch.rand(count, 12, 8, generator=generator)
        return cls(TinyNetwork(), images, maps, torch.arange(count) % 2)

    def loss(self, name: str, **options: Any) -> LossOutput:
        loss = LOSSES.find(name)
        images = self.images.clone().requires_grad_()
        logits, features, weight = self.net.forward_normalised(images)
        maps = self.maps
        if loss.map_size == "features":
            maps = torch.nn.functional.interpolate(maps[:, None], size=features.shape[2:])[:, 0]
        size = self.images.shape[-2]
        offered = {
            "images": images,
            "network": self.net.forward_normalised,
            "sample_weight": self.weights,
        }
        extras: dict[str, Any] = {extra: offered[extra] for extra in loss.extras}
        if loss.create_module is not None:
            height, width = features.shape[2:]
            extras["learned"] = loss.create_module(size, (height, width), 0)
        return loss.function(
            logits,
            self.labels,
            features,
            weight,
            maps,
            present=self.present,
            **extras,
            **options,
        )

    def gradients(self, value: Tensor) -> list[Tensor]:
        parameters = [p for p in self.net.parameters() if p.requires_grad]
        if not value.requires_grad:
            return [torch.zeros_like(p) for p in parameters]
        found = torch.autograd.grad(value, parameters, allow_unused=True)
        return [
            torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)
        ]


def make_network_batch(
    architecture: str, size: int, features: str = "final", **further: Any
) -> Batch:
    """Make a batch of a real network, its batch norm in evaluation mode: samples stay apart."""
    row = {"image_size": size, "features": features, "freeze_batch_norm": True, **further}
    net = make(architecture, **row)
    net.train()
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(4, 3, size, size, generator=generator)
    maps = torch.zeros(4, size, size)
    maps[:, : size // 2, size // 4 :] = torch.rand(
        4, size // 2, size - size // 4, generator=generator
    )
    batch = Batch(net, net.normalise_images(images), maps, torch.arange(4) % 2)
    batch.present = torch.tensor([True, True, False, True])
    return batch
