"""Specifications of cells that wait, and of cells that pretrain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cyborg.common.files import write_json
from cyborg.config.networks import NetworkSpec
from cyborg.config.pretraining import Pretraining, PretrainSpec
from cyborg.grid.cell_paths import cell_path
from cyborg.grid.kinds.wait import WaitSpec
from cyborg.training.preparations.mentor import plan_autoencoder
from tiny_project import SIZE, train_spec


def wait_spec(seed: int = 0, seconds: float = 0) -> WaitSpec:
    return WaitSpec(
        architecture=NetworkSpec(name="none", network="none", weights="none", image_size=32),
        variant="waiting",
        classes=("bona_fide", "synthetic"),
        seed=seed,
        seconds=seconds,
        inputs="",
        code="",
        parents=(),
    )


def pretrain_spec(**autoencoder: Any) -> PretrainSpec:
    """The autoencoder of the cell that `train_spec` gives; `autoencoder` are options of it."""
    values = {"image_size": SIZE, "epochs": 3, "learning_rate": 1e-3} | autoencoder
    options = Pretraining.model_validate(values)
    alone = train_spec()
    return plan_autoencoder(options, alone, lambda name: alone.replace_fields(variant=name))


def write_waiting(root: Path, seeds: int = 1, seconds: float = 0) -> list[Path]:
    """Write specifications of cells that wait to plan/wait."""
    paths = []
    for seed in range(seeds):
        spec = wait_spec(seed, seconds)
        paths.append(root / "plan" / f"{cell_path(spec)}.json")
        write_json(paths[-1], spec.to_json())
    return paths
