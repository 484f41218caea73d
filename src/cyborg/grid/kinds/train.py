"""A training cell: a network, a loss and a seed."""

from __future__ import annotations

from pathlib import Path

from cyborg.common.families import CONTROLS, LOSSES, PREPARATIONS
from cyborg.common.progress import ReportProgress
from cyborg.config.training import TrainSpec
from cyborg.grid.kinds._base import CellKind
from cyborg.models import architectures


def list_modules(spec: TrainSpec) -> list[str]:
    """Return the training, and the members of the families that it finds by name."""
    modules = ["cyborg.training.train", LOSSES.module_name(spec.loss.name)]
    if spec.control != "none":
        modules.append(CONTROLS.module_name(spec.control))
    modules += [PREPARATIONS.module_name(step.name) for step in spec.prepare]
    return modules + architectures.list_modules(spec.architecture)


def run(spec: TrainSpec, out: Path, root: Path, work: Path, report: ReportProgress) -> None:
    """Train the cell with cyborg.training.train.train_cell."""
    from cyborg.training.train import train_cell

    train_cell(spec, out, root, work=work, report=report)


CELL_KIND = CellKind(TrainSpec, grid="train", list_modules=list_modules, run=run)
