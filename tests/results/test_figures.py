"""Figures show curves that exist and nothing else."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cyborg.results.figures import draw_learning_curves


def make_history(validation: float) -> pd.DataFrame:
    """Three epochs of two runs of one variant."""
    return pd.DataFrame(
        {
            "architecture": "net",
            "variant": "cyborg",
            "seed": [1, 1, 1, 2, 2, 2],
            "epoch": [1, 2, 3, 1, 2, 3],
            "selected": [0, 0, 1, 0, 0, 1],
            "classification": np.linspace(0.7, 0.2, 6),
            "saliency": np.linspace(0.2, 0.1, 6),
            "validation_auc": validation,
        }
    )


@pytest.mark.parametrize("missing", [False, True])
def test_validation_without_values_has_no_panel(missing: bool) -> None:
    style = {"cyborg": {"color": "#0072b2", "linestyle": "-"}}
    widths = []
    for validation in (0.8, np.nan if missing else 0.7):
        png = draw_learning_curves(make_history(validation), style)  # type: ignore[arg-type]
        with Image.open(io.BytesIO(png)) as image:
            widths.append(image.width)
    assert (widths[1] < widths[0]) == missing
