"""A training cell: a network with a loss from a seed, or a network as a saliency autoencoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cyborg.grid.kinds._base import CellKind, Progress


def run(spec: dict[str, Any], out: Path, root: Path, work: Path, progress: Progress) -> None:
    """Train the cell of `spec`; see train_cell and pretrain_cell."""
    if "autoencoder" in spec:
        from cyborg.training.pretrain import pretrain_cell

        pretrain_cell(spec, out, root, work=work, progress=progress)
        return
    from cyborg.training.train import train_cell

    train_cell(spec, out, root, work=work, progress=progress)


CELL_KIND = CellKind(run)
