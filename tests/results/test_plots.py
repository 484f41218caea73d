"""Test the plots of `dvc plots`: they draw one curve per variant, network and test set."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cyborg.results import analysis, cells, tables
from fake_results import SETS, build_experiment, write_grid
from paths import REPOSITORY

# Encodings of Vega-Lite by which the points of a line are separated into lines.
SEPARATING = ("row", "column", "facet", "color", "strokeDash", "detail", "stroke", "shape")
ARCHITECTURES, VARIANTS = 2, 3


@pytest.fixture(scope="module")
def plots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The Vega-Lite specification of each plot of dvc.yaml, rendered by DVC from a fake grid."""
    root = tmp_path_factory.mktemp("plots")
    params = build_experiment(seeds=2, bootstrap=100)
    write_grid(root, params, images=8, gallery=False)
    results = cells.read_results(params, root)
    draws = analysis.resample_test_sets(results, params.report)
    auc = analysis.tabulate_aucs(results, params.report, draws)
    (root / "results/roc.csv").write_text(tables.format_csv(analysis.tabulate_rocs(results)))
    (root / "results/auc_bars.csv").write_text(tables.format_csv(tables.name_bars(auc)))
    shutil.copyfile(REPOSITORY / "dvc.yaml", root / "dvc.yaml")
    shutil.copytree(REPOSITORY / "workflow/plots", root / "workflow/plots")
    shown = ""
    for command in (["init", "--no-scm", "-q"], ["plots", "show", "--json"]):
        shown = subprocess.run(
            ["dvc", *command], cwd=root, check=True, capture_output=True, text=True
        ).stdout
    return {name: found[0]["content"] for name, found in json.loads(shown)["data"].items()}


def draw_lines(plot: dict[str, Any]) -> dict[tuple[str, ...], np.ndarray]:
    """The lines [n,2] that Vega-Lite draws: points of equal separating fields, in drawing order."""
    encoding = plot["encoding"]
    table = pd.DataFrame(plot["data"]["values"])
    x, y = encoding["x"]["field"], encoding["y"]["field"]
    table = table.astype({x: float, y: float})
    fields = [encoding[name]["field"] for name in SEPARATING if name in encoding]
    order = [part["field"] for part in encoding.get("order", [{"field": x}])]
    return {
        key: points.sort_values(order, kind="stable")[[x, y]].to_numpy()
        for key, points in table.groupby(fields)
    }


def test_roc_has_one_rising_curve_per_variant_network_and_test_set(
    plots: dict[str, dict[str, Any]],
) -> None:
    lines = draw_lines(plots["ROC"])
    assert plots["ROC"]["encoding"]["color"]["field"] == "variant"
    assert len(lines) == ARCHITECTURES * VARIANTS * len(SETS)
    for line in lines.values():
        assert (np.diff(line, axis=0) >= 0).all()
        assert line[0].tolist() == [0, 0]
        assert line[-1].tolist() == [1, 1]


def test_auc_has_one_bar_per_variant_network_and_test_set(
    plots: dict[str, dict[str, Any]],
) -> None:
    names = [row["cell"] for row in plots["AUC"]["data"]["values"]]
    assert len(set(names)) == len(names) == ARCHITECTURES * VARIANTS * len(SETS)
