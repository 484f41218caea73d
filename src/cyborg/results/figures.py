"""Draw the figures of the report as PNG: AUC with intervals, ROC curves, learning curves.

The same numbers give the same bytes, because the files hold no dates and no version of the drawing
library.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypedDict

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cyborg.results.analysis import RATES, interpolate_rocs
from cyborg.results.cells import Combination, Results, ScoredSet
from cyborg.results.tables import format_mean_sd

# Okabe and Ito's palette, which colour-blind readers can tell apart. The baseline is grey.
GREY = "#5b5b5b"
PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d1f"]
# Dots per inch of all figures but the gallery.
DPI = 160
# Settings of matplotlib.
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


class LineStyle(TypedDict):
    """How a variant is drawn, as keywords of `Axes.plot`."""

    color: str
    linestyle: str


# Style of each variant.
Styles = dict[str, LineStyle]


@contextmanager
def open_figure(width: float, height: float, layout: Any = "constrained") -> Iterator[Figure]:
    """Yield a figure of this size (inches) in the style of the report, not in the user's own."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(width, height), layout=layout)
        FigureCanvasAgg(figure)
        yield figure


@contextmanager
def open_panels(
    rows: int, columns: int, width: float, height: float, **options: Any
) -> Iterator[Any]:
    """Yield figure and axes [rows,columns]. A panel is `width` x `height` inches."""
    with open_figure(columns * width, rows * height) as figure:
        yield figure, figure.subplots(rows, columns, squeeze=False, **options)


def render_png(figure: Figure, dpi: int = DPI) -> bytes:
    """Return the figure as PNG without metadata that changes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None}, bbox_inches="tight")
    return buffer.getvalue()


def choose_styles(results: Results, baseline: str) -> Styles:
    """Return colour and line of each variant, the same in all figures. Controls are dashed."""
    found: Styles = {}
    for variant, spec in results.trained.items():
        used = len(found) - (baseline in found)
        colour = GREY if variant == baseline else PALETTE[used % len(PALETTE)]
        dashes = "--" if spec.control != "none" else "-"
        found[variant] = {"color": colour, "linestyle": dashes if used < len(PALETTE) else ":"}
    return found


def draw_aucs(
    auc: pd.DataFrame, runs: dict[tuple[Combination, str], np.ndarray], styles: Styles
) -> bytes:
    """Draw the AUC per test set: mean and interval per variant, each run as a small dot.

    auc: the rows of auc.csv. runs: AUCs of the runs, by combination and test set.
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
    with open_panels(rows, columns, width, 3.0, sharey=True) as (figure, axes):
        for axis in axes.flat[len(architectures) :]:
            axis.set_visible(False)
        for axis, architecture in zip(axes.flat, architectures, strict=False):
            for v, variant in enumerate(variants):
                part = auc[(auc["architecture"] == architecture) & (auc["variant"] == variant)]
                part = part.set_index("test_set").loc[sets]
                x = np.arange(len(sets)) + (v - (len(variants) - 1) / 2) * step
                mean, colour = part["auc_mean"].to_numpy(), styles[variant]["color"]
                spread = np.abs(part[["ci_low", "ci_high"]].to_numpy().T - mean)
                hollow = styles[variant]["linestyle"] != "-"
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
            axis.set_xticks(range(len(sets)), sets, **_slant_labels(sets, width))
            axis.set_xlim(-0.5, len(sets) - 0.5)
            axis.grid(axis="x", visible=False)
            axis.set_title(architecture, loc="left")
        for axis in axes[:, 0]:
            axis.set_ylabel("AUC")
        _draw_legend(figure, axes[0, 0])
        return render_png(figure)


def _slant_labels(labels: list[str], width: float) -> dict[str, Any]:
    """Return keywords that slant the labels if they would overlap."""
    tight = max(map(len, labels)) * 0.085 * len(labels) > width - 0.8
    return {"rotation": 25, "ha": "right"} if tight else {}


def _draw_legend(figure: Figure, axis: Axes) -> None:
    """Draw one legend above all panels, from the lines of `axis`."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(4, len(labels)))


def draw_rocs(scored: ScoredSet, results: Results, auc: pd.DataFrame, styles: Styles) -> bytes:
    """Draw the ROC curves of one test set, a panel per architecture.

    A curve is the mean over runs, and a band reaches from the lowest run to the highest. With many
    variants there are no bands, and one legend stands above all panels.
    """
    architectures = list(dict.fromkeys(architecture for architecture, _ in results.seeds))
    columns = 2 if len(architectures) in (2, 4) else min(3, len(architectures))
    few = len(results.trained) <= 4
    rows = -(-len(architectures) // columns)
    own = {
        (row["architecture"], row["variant"]): format_mean_sd(row["auc_mean"], row["auc_sd"])
        for _, row in auc[auc["test_set"] == scored.name].iterrows()
    }
    with open_panels(rows, columns, 3.5, 3.5, sharex=True, sharey=True) as (figure, axes):
        for axis in axes.flat[len(architectures) :]:
            axis.set_visible(False)
        for axis, architecture in zip(axes.flat, architectures, strict=False):
            axis.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8, linestyle=":")
            for variant in (v for a, v in results.seeds if a == architecture):
                curves = interpolate_rocs(scored, (architecture, variant))
                x = np.concatenate([[0.0], RATES])
                low, mean, high = (
                    np.concatenate([[0.0], y])
                    for y in (curves.min(axis=0), curves.mean(axis=0), curves.max(axis=0))
                )
                label = f"{variant}  {own[architecture, variant]}" if few else variant
                axis.plot(x, mean, linewidth=1.5, label=label, **styles[variant])
                if few and len(curves) > 1:
                    axis.fill_between(
                        x, low, high, color=styles[variant]["color"], alpha=0.12, linewidth=0
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
            _draw_legend(figure, axes[0, 0])
        return render_png(figure)


# Columns of history.csv that are drawn, with the titles of their panels.
CURVES = {
    "classification": "classification loss (training)",
    "saliency": "saliency term (training)",
    "validation_auc": "validation AUC",
}


def draw_learning_curves(history: pd.DataFrame, styles: Styles) -> bytes:
    """Draw the learning curves, a row per architecture.

    A thick line is the mean over runs, thin ones are single runs, dots are the chosen epochs. A
    curve without a value, such as validation AUC without a validation part, has no panel.
    """
    architectures = list(dict.fromkeys(history["architecture"]))
    rows = len(architectures)
    curves = {column: title for column, title in CURVES.items() if history[column].notna().any()}
    with open_panels(rows, len(curves), 3.2, 2.3, sharex="row") as (figure, axes):
        for index, (row, architecture) in enumerate(zip(axes, architectures, strict=True)):
            part = history[history["architecture"] == architecture]
            for axis, (column, title) in zip(row, curves.items(), strict=True):
                for variant, runs in part.groupby("variant", sort=False):
                    if column == "saliency" and not runs[column].fillna(0).any():
                        continue  # a loss without such a term
                    _draw_curve(axis, runs, column, styles[str(variant)], str(variant))
                axis.set_title("" if index else title, loc="left")
            row[0].set_ylabel(architecture, fontweight="bold")
        for axis in axes[-1]:
            axis.set_xlabel("epoch")
        _draw_legend(figure, axes[0, 0])
        return render_png(figure)


def _draw_curve(axis: Axes, runs: pd.DataFrame, column: str, style: LineStyle, label: str) -> None:
    """Draw one column of the histories of one variant's runs."""
    for _, run in runs.groupby("seed"):
        axis.plot(run["epoch"], run[column], linewidth=0.6, alpha=0.4, **style)
        chosen = run[run["selected"].astype(str).isin(["True", "1"])]
        axis.plot(
            chosen["epoch"], chosen[column], "o", color=style["color"], markersize=3, alpha=0.7
        )
    mean = runs.groupby("epoch")[column].mean()
    axis.plot(mean.index, mean, linewidth=1.6, label=label, **style)
    axis.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))
