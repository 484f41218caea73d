"""A training cell: one network trained with one loss from one seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def run(
    spec: dict[str, Any], out: Path, root: Path, work: Path, progress: Callable[[dict], None]
) -> None:
    """Train the cell of `spec`; see cyborg.train.train_cell."""
    from cyborg.train import train_cell

    train_cell(spec, out, root, work=work, progress=progress)
