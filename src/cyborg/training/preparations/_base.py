"""Define the family of preparations: changes of data or network before the training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch

from cyborg.common.schema import Parameters
from cyborg.config.cells import CellSpec
from cyborg.config.training import TrainSpec
from cyborg.models.network import Network
from cyborg.models.trained import load_trained

# Return the specification of another variant's training: same architecture, same seed.
PlanVariant = Callable[[str], TrainSpec]


@dataclass(frozen=True)
class TrainingData:
    """The training images in memory, with the maps that guide the cell.

    images: uint8 [N,S,S,3]. labels: class numbers int64 [N]. sources: rows of the catalogue [N].
    weights: of the samples, float64 [N], NaN if unknown.
    maps: uint8 [M,S,S]. They belong to the images `owners` int64 [M], which rise.
    """

    images: np.ndarray
    labels: np.ndarray
    sources: np.ndarray
    weights: np.ndarray
    maps: np.ndarray
    owners: np.ndarray


@dataclass(frozen=True)
class Context:
    """The cell that is being prepared.

    network, spec: its network before training, and its specification.
    parent: folder with the results of the cell that the preparation starts from, None if it starts
    from none.
    """

    network: Network
    spec: TrainSpec
    parent: Path | None
    device: torch.device

    def load_parent(self) -> Network:
        """Return the trained network of the parent."""
        assert self.parent is not None  # the preparation's `plan_parent` gives one
        spec = self.spec
        classes = len(spec.classes)
        return load_trained(self.parent, spec.architecture, classes=classes, seed=spec.seed)


Options = TypeVar("Options", bound=Parameters)


@dataclass(frozen=True)
class Preparation(Generic[Options]):
    """A member of the family of preparations: the constant `PREPARATION` at the end of its module.

    options: its options in params.yaml. An option named `variant` is another row of `variants`.
    prepare: `prepare(data, options, context)` returns the TrainingData that is trained on.
    needs_maps: whether the variant must name human maps.
    gives_maps: whether it makes maps of its own.
    plan_parent: for a preparation that starts from the result of another cell.
    `plan_parent(options, alone, plan_variant)` returns the specification of that cell, whose code
    may be left empty. `alone` is the specification of the own cell without any preparation.
    """

    options: type[Options]
    prepare: Callable[[TrainingData, Options, Context], TrainingData]
    needs_maps: bool = False
    gives_maps: bool = False
    plan_parent: Callable[[Options, TrainSpec, PlanVariant], CellSpec] | None = None
