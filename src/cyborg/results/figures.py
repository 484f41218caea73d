"""Figures of the report as PNG: AUC with intervals, ROC curves, learning curves.

The same numbers give the same bytes: no dates, no version of the drawing library in the file.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cyborg.results.analysis import RATES, roc_curves
from cyborg.results.cells import Results, Scored
from cyborg.results.tables import mean_sd

# Okabe and Ito's palette, which colour-blind readers can tell apart; the baseline is grey.
GREY = "#5b5b5b"
PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d1f"]
DPI = 160
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.dpi": 100,
}


@contextmanager
def styled(width: float, height: float, layout: Any = "constrained") -> Iterator[Figure]:
    """A figure of this size (inches) in the style of the report, whatever the user's own is."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(width, height), layout=layout)
        FigureCanvasAgg(figure)
        yield figure


@contextmanager
def drawing(rows: int, columns: int, width: float, height: float, **options: Any) -> Iterator[Any]:
    """Figure and axes [rows,columns]; `width` and `height` are those of one panel, in inches."""
    with styled(columns * width, rows * height) as figure:
        yield figure, figure.subplots(rows, columns, squeeze=False, **options)


def png(figure: Figure, dpi: int = DPI) -> bytes:
    """The figure as PNG without metadata that changes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None}, bbox_inches="tight")
    return buffer.getvalue()


def styles(results: Results, baseline: str) -> dict[str, dict[str, Any]]:
    """Colour and line of each variant, the same in all figures; controls are dashed."""
    found: dict[str, dict[str, Any]] = {}
    for variant, spec in results.trained.items():
        used = len(found) - (baseline in found)
        colour = GREY if variant == baseline else PALETTE[used % len(PALETTE)]
        dashes = "--" if spec.control != "none" else "-"
        found[variant] = {"color": colour, "linestyle": dashes if used < len(PALETTE) else ":"}
    return found


def auc_figure(auc: pd.DataFrame, runs: dict[Any, np.ndarray], look: dict[str, Any]) -> bytes:
    """AUC per test set: mean and interval per variant, each run as a small dot.

    `runs` maps ((architecture, variant), test set) to the AUCs of the runs.
    """
    architectures, sets = (
        list(dict.fromkeys(auc["architecture"])),
        list(dict.fromkeys(auc["test_set"])),
    )
    variants = list(dict.fromkeys(auc["variant"]))
    columns = 1 if len(sets) * len(variants) > 18 else min(2, len(architectures))
    rows = -(-len(architectures) // columns)
    step = 0.8 / len(variants)
    width = max(3.6, 0.9 + len(sets) * max(0.8, 0.17 * len(variants)))
    with drawing(rows, columns, width, 3.0, sharey=True) as (figure, axes):
        for axis in axes.flat[len(architectures) :]:
            axis.set_visible(False)
        for axis, architecture in zip(axes.flat, architectures, strict=False):
            for v, variant in enumerate(variants):
                part = auc[(auc["architecture"] == architecture) & (auc["variant"] == variant)]
                part = part.set_index("test_set").loc[sets]
                x = np.arange(len(sets)) + (v - (len(variants) - 1) / 2) * step
                mean, colour = part["auc_mean"].to_numpy(), look[variant]["color"]
                spread = np.abs(part[["ci_low", "ci_high"]].to_numpy().T - mean)
                hollow = look[variant]["linestyle"] != "-"
                axis.errorbar(
                    x, mean, spread, fmt="o", color=colour, markersize=5.5, elinewidth=1.4,
                    markerfacecolor="white" if hollow else colour, label=variant, zorder=3,
                )  # fmt: skip
                for position, name in zip(x, sets, strict=True):
                    dots = runs[(architecture, variant), name]
                    axis.plot(
                        np.full(len(dots), position + 0.3 * step), dots, ".", color=colour,
                        markersize=3, alpha=0.6,
                    )  # fmt: skip
            axis.axhline(0.5, color="#999999", linewidth=0.8, linestyle=":")
            axis.set_xticks(range(len(sets)), sets, **_slant(sets, width))
            axis.set_xlim(-0.5, len(sets) - 0.5)
            axis.grid(axis="x", visible=False)
            axis.set_title(architecture, loc="left")
        for axis in axes[:, 0]:
            axis.set_ylabel("AUC")
        _legend(figure, axes[0, 0])
        return png(figure)


def _slant(labels: list[str], width: float) -> dict[str, Any]:
    tight = max(map(len, labels)) * 0.085 * len(labels) > width - 0.8
    return {"rotation": 25, "ha": "right"} if tight else {}


def _legend(figure: Figure, axis: Any) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(4, len(labels)))


def roc_figure(scored: Scored, results: Results, auc: pd.DataFrame, look: dict[str, Any]) -> bytes:
    """ROC of one test set, a panel per architecture: mean over runs, band from least to most.

    With many variants the bands are left out and the legend stands above, once.
    """
    architectures = list(dict.fromkeys(pair[0] for pair in results.seeds))
    columns = 2 if len(architectures) in (2, 4) else min(3, len(architectures))
    few = len(results.trained) <= 4
    rows = -(-len(architectures) // columns)
    own = {
        (row["architecture"], row["variant"]): mean_sd(row["auc_mean"], row["auc_sd"])
        for _, row in auc[auc["test_set"] == scored.name].iterrows()
    }
    with drawing(rows, columns, 3.5, 3.5, sharex=True, sharey=True) as (figure, axes):
        for axis in axes.flat[len(architectures) :]:
            axis.set_visible(False)
        for axis, architecture in zip(axes.flat, architectures, strict=False):
            axis.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8, linestyle=":")
            for variant in (v for a, v in results.seeds if a == architecture):
                curves = roc_curves(scored, (architecture, variant))
                x = np.concatenate([[0.0], RATES])
                low, mean, high = (
                    np.concatenate([[0.0], y])
                    for y in (curves.min(axis=0), curves.mean(axis=0), curves.max(axis=0))
                )
                label = f"{variant}  {own[architecture, variant]}" if few else variant
                axis.plot(x, mean, linewidth=1.5, label=label, **look[variant])
                if few and len(curves) > 1:
                    axis.fill_between(
                        x, low, high, color=look[variant]["color"], alpha=0.12, linewidth=0
                    )
            axis.set_title(architecture, loc="left")
            axis.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
            if few:
                axis.legend(loc="lower right", fontsize=7.5, handlelength=1.6)
        for axis in axes[-1]:
            axis.set_xlabel("false-positive rate")
        for axis in axes[:, 0]:
            axis.set_ylabel("true-positive rate")
        if not few:
            _legend(figure, axes[0, 0])
        return png(figure)


CURVES = {
    "classification": "classification loss (training)",
    "saliency": "saliency term (training)",
    "validation_auc": "validation AUC",
}


def learning_figure(history: pd.DataFrame, look: dict[str, Any]) -> bytes:
    """Learning curves, a row per architecture: mean over runs, each run thin, chosen epochs."""
    architectures = list(dict.fromkeys(history["architecture"]))
    rows = len(architectures)
    with drawing(rows, len(CURVES), 3.2, 2.3, sharex="row") as (figure, axes):
        for index, (row, architecture) in enumerate(zip(axes, architectures, strict=True)):
            part = history[history["architecture"] == architecture]
            for axis, (column, title) in zip(row, CURVES.items(), strict=True):
                for variant, runs in part.groupby("variant", sort=False):
                    if column == "saliency" and not runs[column].fillna(0).any():
                        continue  # a loss without such a term
                    _curve(axis, runs, column, look[str(variant)], str(variant))
                axis.set_title("" if index else title, loc="left")
            row[0].set_ylabel(architecture, fontweight="bold")
        for axis in axes[-1]:
            axis.set_xlabel("epoch")
        _legend(figure, axes[0, 0])
        return png(figure)


def _curve(axis: Any, runs: pd.DataFrame, column: str, look: dict[str, Any], label: str) -> None:
    for _, run in runs.groupby("seed"):
        axis.plot(run["epoch"], run[column], linewidth=0.6, alpha=0.4, **look)
        chosen = run[run["selected"].astype(str).isin(["True", "1"])]
        axis.plot(
            chosen["epoch"], chosen[column], "o", color=look["color"], markersize=3, alpha=0.7
        )
    mean = runs.groupby("epoch")[column].mean()
    axis.plot(mean.index, mean, linewidth=1.6, label=label, **look)
    axis.xaxis.get_major_locator().set_params(integer=True)
