"""An evaluation cell: the scores and maps of one trained cell on every test set."""

from __future__ import annotations

from pathlib import Path

from cyborg.common.progress import ReportProgress
from cyborg.config.evaluation import EvaluateSpec
from cyborg.grid.kinds._base import CellKind
from cyborg.models import architectures


def list_modules(spec: EvaluateSpec) -> list[str]:
    """Return the evaluation, and the network that it finds by name."""
    return ["cyborg.evaluation.evaluate", *architectures.list_modules(spec.architecture)]


def run(spec: EvaluateSpec, out: Path, root: Path, work: Path, report: ReportProgress) -> None:
    """Score the trained cell with cyborg.evaluation.evaluate.evaluate_cell."""
    from cyborg.evaluation.evaluate import evaluate_cell

    evaluate_cell(spec, out, root, report=report)


CELL_KIND = CellKind(EvaluateSpec, grid="evaluate", list_modules=list_modules, run=run)
