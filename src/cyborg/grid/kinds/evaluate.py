"""An evaluation cell: the scores and maps of one trained cell on every test set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def run(
    spec: dict[str, Any], out: Path, root: Path, work: Path, progress: Callable[[dict], None]
) -> None:
    """Score the trained cell that `spec` names; see cyborg.evaluate.evaluate_cell."""
    from cyborg.evaluate import evaluate_cell

    evaluate_cell(spec, out, root, progress=progress)
