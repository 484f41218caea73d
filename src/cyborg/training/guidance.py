"""Read the human maps that guide a cell, changed as its control says."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cyborg.common.families import CONTROLS
from cyborg.common.seeds import create_numpy_generator
from cyborg.config.cells import GuidedSpec
from cyborg.pack.dataset import ManifestRows, read_maps


def read_guiding_maps(
    spec: GuidedSpec, rows: ManifestRows, root: Path, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the maps uint8 [M,size,size] of images that have one, and their places [M] in `rows`.

    The places rise. M is 0 if the cell has no map set. A control replaces the maps before
    anything is trained on them.
    """
    if spec.saliency is None:
        return np.zeros((0, size, size), np.uint8), np.zeros(0, np.int64)
    human, owners = read_maps(root, spec.saliency, size, rows.names)
    if spec.control != "none":
        control = CONTROLS.find(spec.control)
        human = control.change(
            human, rows.labels[owners], create_numpy_generator(spec.seed, "control")
        )
    return human, owners
