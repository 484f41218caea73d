"""The files that every trained cell leaves: network, history, result, environment."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.torch import save_file

from cyborg.common.files import replacing_file, write_json, write_text
from cyborg.models.trained import MODEL
from cyborg.training.checkpoint import Progress


def write_outcome(
    out: Path,
    run: Progress,
    selection: str,
    counts: dict[str, int],
    environment: dict[str, Any],
) -> None:
    """Write what docs/formats.md#cells says into the folder `out`.

    selection: what the epoch was selected by; counts: of images and maps, for result.json, where
    a measure that is not finite is null.
    """
    with replacing_file(out / MODEL) as temporary:
        save_file(run.best, temporary, metadata={"format": "pt"})
    history = pd.DataFrame(run.history)
    history["selected"] = (history["epoch"] == run.selected).astype(int)
    write_text(out / "history.csv", history.to_csv(index=False, lineterminator="\n"))
    measures = run.measures or {}
    result = {
        "epoch": run.selected,
        "epochs": run.epoch,
        "selection": selection,
        "validation": {k: v if math.isfinite(v) else None for k, v in measures.items()},
        **counts,
    }
    write_json(out / "result.json", result)
    write_json(out / "environment.json", environment)
