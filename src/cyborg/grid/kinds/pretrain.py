"""A pretraining cell: a network learns human maps before a training cell starts from it."""

from __future__ import annotations

from pathlib import Path

from cyborg.common.families import CONTROLS
from cyborg.common.progress import ReportProgress
from cyborg.config.pretraining import PretrainSpec
from cyborg.grid.kinds._base import CellKind
from cyborg.models import architectures


def list_modules(spec: PretrainSpec) -> list[str]:
    """Return the pretraining, and the control that it finds by name."""
    modules = ["cyborg.training.pretrain"]
    if spec.control != "none":
        modules.append(CONTROLS.module_name(spec.control))
    return modules + architectures.list_modules(spec.architecture)


def run(spec: PretrainSpec, out: Path, root: Path, work: Path, report: ReportProgress) -> None:
    """Train the autoencoder with cyborg.training.pretrain.pretrain_cell."""
    from cyborg.training.pretrain import pretrain_cell

    pretrain_cell(spec, out, root, work=work, report=report)


# Its cells are parents of training cells and lie in the same grid.
CELL_KIND = CellKind(PretrainSpec, grid="train", list_modules=list_modules, run=run)
