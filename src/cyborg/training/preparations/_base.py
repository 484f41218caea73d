"""What a preparation is handed and hands on: the training part, and the cell it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from cyborg.common.schema import Parameters
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


Options = TypeVar("Options", bound=Parameters)


@dataclass(frozen=True)
class Preparation(Generic[Options]):
    """A member of the family of preparations: the constant `PREPARATION` at the end of its module.

    options: its options in params.yaml; an option named `variant` is another row of `variants`.
    prepare: returns the Material that is trained on.
    needs_maps: whether the variant must name human maps.
    gives_maps: whether it makes maps of its own.
    parent: for a preparation that starts from the result of another cell: returns the
    specification of that cell, made from that of the own cell (`own`, without its parents).
    parent_code: modules that the parent's code starts from, if the parent is no other variant.
    """

    options: type[Options]
    prepare: Callable[[Material, Options, Context], Material]
    needs_maps: bool = False
    gives_maps: bool = False
    parent: Callable[[Options, Spec, Variants], Spec] | None = None
    parent_code: tuple[str, ...] = ()
