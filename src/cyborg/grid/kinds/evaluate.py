"""An evaluation cell: the scores and maps of one trained cell on every test set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cyborg.grid.kinds._base import CellKind, Progress


def run(spec: dict[str, Any], out: Path, root: Path, work: Path, progress: Progress) -> None:
    """Score the trained cell that `spec` names; see cyborg.evaluation.evaluate.evaluate_cell."""
    from cyborg.evaluation.evaluate import evaluate_cell

    evaluate_cell(spec, out, root, progress=progress)


CELL_KIND = CellKind(run)
