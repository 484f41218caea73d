"""Write the files that every trained cell leaves: network, history, result, environment."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
from safetensors.torch import save_file

from cyborg.common.files import replacing_file, write_json, write_text
from cyborg.config.cells import CellSpec
from cyborg.models.trained import MODEL, write_description
from cyborg.training.checkpoint import TrainingState
from cyborg.training.machine import Environment


def write_outcome(
    out: Path,
    spec: CellSpec,
    state: TrainingState,
    selection: str,
    counts: dict[str, int],
    environment: Environment,
) -> None:
    """Write the files that docs/formats.md#cells describes into the folder `out`.

    selection: the measure that the epoch was selected by. counts: numbers of images and maps, for
    result.json. A measure that is not finite is null there.
    """
    with replacing_file(out / MODEL) as temporary:
        save_file(state.best, temporary, metadata={"format": "pt"})
    write_description(out, spec.architecture, spec.classes)
    history = pd.DataFrame(state.history)
    history["selected"] = (history["epoch"] == state.selected).astype(int)
    write_text(out / "history.csv", history.to_csv(index=False, lineterminator="\n"))
    measures = state.measures or {}
    result = {
        "epoch": state.selected,
        "epochs": state.epoch,
        "selection": selection,
        "validation": {k: v if math.isfinite(v) else None for k, v in measures.items()},
        **counts,
    }
    write_json(out / "result.json", result)
    write_json(out / "environment.json", environment)
