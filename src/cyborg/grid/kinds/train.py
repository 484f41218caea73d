"""A training cell: a network with a loss from a seed, or a network as a saliency autoencoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def run(
    spec: dict[str, Any], out: Path, root: Path, work: Path, progress: Callable[[dict], None]
) -> None:
    """Train the cell of `spec`; see cyborg.train.train_cell and cyborg.pretrain.pretrain_cell."""
    if "autoencoder" in spec:
        from cyborg.pretrain import pretrain_cell

        pretrain_cell(spec, out, root, work=work, progress=progress)
        return
    from cyborg.train import train_cell

    train_cell(spec, out, root, work=work, progress=progress)
