"""Make small networks for tests, with random weights and images as small as possible."""

from __future__ import annotations

from typing import Any

import torch

from cyborg.config.networks import NetworkOptions, NetworkSpec
from cyborg.models.architectures import resolve_network
from cyborg.models.network import Network, build_network

# Sides at which a map of at least 2×2 is left, small for speed.
SMALL = {"small_cnn": 40, "inception_v3": 107, "inception_v4": 107, "xception": 64}


def describe(name: str, **changes: Any) -> NetworkSpec:
    """A network without weights; `changes` are keys of a row of `architectures`."""
    return resolve_network(name, NetworkOptions(**{"weights": "none", **changes}))


def make(name: str, classes: int = 2, seed: int = 0, **changes: Any) -> Network:
    """Build a small network."""
    row = describe(name, **{"image_size": SMALL.get(name, 64), **changes})
    return build_network(row, classes, seed)


def pictures(side: int, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, side, side), generator=generator, dtype=torch.uint8)
