"""The human maps that guide a cell, changed as its control says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cyborg.common.families import CONTROLS
from cyborg.common.seeds import create_numpy_generator
from cyborg.pack.dataset import ManifestRows, read_maps


def guiding_maps(
    spec: dict[str, Any], rows: ManifestRows, root: Path, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Maps uint8 [M,size,size] of images that have one and their places [M] in `rows`, rising.

    spec: of a cell; its `saliency` names the map set (null: M is 0), its `control` what is done
    to the maps before anything is trained on them.
    """
    if spec["saliency"] is None:
        return np.zeros((0, size, size), np.uint8), np.zeros(0, np.int64)
    human, owners = read_maps(root, spec["saliency"], size, rows.names)
    if spec["control"] != "none":
        control = CONTROLS.find(spec["control"])
        human = control.change(
            human, rows.labels[owners], create_numpy_generator(spec["seed"], "control")
        )
    return human, owners
