"""What a preparation is handed and hands on: the training part, and the cell it belongs to.

A module of this package has

`Options`      its options in params.yaml; an option named `variant` is another row of `variants`
`prepare(material, options, context)`   gives the Material that is trained on
`NEEDS_MAPS`   True where the variant must name human maps
`GIVES_MAPS`   True where it makes maps of its own
`parent(options, own, variants)`        where it starts from the result of another cell: the
               specification of that cell, made from that of its own (`own`, without parents)
`PARENT_CODE`  modules that the parent's code starts from, where the parent is no other variant
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cyborg.models.network import Network

Spec = dict[str, Any]
Variants = Callable[[str], Spec]
"""Gives the specification of another variant's training: same architecture, same seed."""


@dataclass(frozen=True)
class Material:
    """The training part in memory.

    images uint8 [N,S,S,3]; labels int64 [N]; sources (names) [N]; weights of the samples float64
    [N], NaN where unknown; maps uint8 [M,S,S], which belong to the images `owners` [M], rising.
    """

    images: np.ndarray
    labels: np.ndarray
    sources: np.ndarray
    weights: np.ndarray
    maps: np.ndarray
    owners: np.ndarray


@dataclass(frozen=True)
class Context:
    """Where a preparation happens: the cell's network, its specification, its parent's folder."""

    network: Network
    spec: Spec
    parent: Path | None
    device: torch.device
