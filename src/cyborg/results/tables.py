"""Tables as people read them: CSV, Markdown, LaTeX, and metrics.json for `dvc metrics`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from cyborg.common.errors import UserError

SEEN = {"no": "", "partly": "*", "yes": "†"}
LEGEND = {"*": "some of its generators are in training", "†": "its generators are in training"}


def csv(table: pd.DataFrame) -> str:
    """CSV with six significant digits; what is not known is empty."""
    text: str = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return text


def number(value: float, digits: int = 3, sign: bool = False) -> str:
    """A number of a table: `0.652`, `+0.012`, `-0.003`, or `–` where it is not known."""
    if value is None or math.isnan(value):
        return "–"
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    return text.replace("-", "−")


def mean_sd(mean: float, sd: float, sign: bool = False) -> str:
    """`0.652 ± 0.011`; without a spread (one run) the mean alone."""
    return number(mean, sign=sign) + ("" if math.isnan(sd) else f" ± {number(sd)}")


def bounds(low: float, high: float, sign: bool = False) -> str:
    """`[0.61, 0.69]`, or `–` where there is none."""
    if math.isnan(low) or math.isnan(high):
        return "–"
    return f"[{number(low, sign=sign)}, {number(high, sign=sign)}]"


def wide(table: pd.DataFrame, baselines: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the main table: a row per architecture and variant, a column per set.

    `baselines` (from results/check.json) adds one row for each trivial classifier.
    """
    sets = list(dict.fromkeys(table["test_set"]))
    rows = []
    for (architecture, variant), part in table.groupby(["architecture", "variant"], sort=False):
        by_set = part.set_index("test_set")
        cells = [
            mean_sd(by_set.loc[name, "auc_mean"], by_set.loc[name, "auc_sd"])
            + SEEN[str(by_set.loc[name, "seen"])]
            for name in sets
        ]
        rows.append([str(architecture), str(variant), str(part["runs"].iloc[0]), *cells])
    kinds = dict.fromkeys(kind for name in sets for kind in baselines.get(name, {}))
    for kind in kinds:
        cells = [number(baselines.get(name, {}).get(kind, math.nan)) for name in sets]
        rows.append(["trivial", str(kind).replace("_", " "), "1", *cells])
    return ["architecture", "variant", "runs", *sets], rows


def long(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the table of intervals: a row per test set, architecture and variant."""
    rows = [
        [
            str(row["test_set"]), str(row["architecture"]), str(row["variant"]), str(row["runs"]),
            mean_sd(row["auc_mean"], row["auc_sd"]), bounds(row["ci_low"], row["ci_high"]),
            f"{row['negatives']} + {row['positives']}", str(row["seen"]),
        ]
        for name in dict.fromkeys(table["test_set"])
        for _, row in table[table["test_set"] == name].iterrows()
    ]  # fmt: skip
    heads = [
        "test set", "architecture", "variant", "runs", "AUC", "interval", "images", "seen",
    ]  # fmt: skip
    return heads, rows


def legend(table: pd.DataFrame) -> str:
    """What the marks in the main table mean; empty where there are none."""
    marks = [SEEN[kind] for kind in ("partly", "yes") if (table["seen"] == kind).any()]
    return "; ".join(f"{mark} {LEGEND[mark]}" for mark in marks)


def grid(heads: list[str], rows: list[list[str]], text_columns: int) -> str:
    """A Markdown table that is also aligned in a terminal; the first columns are text."""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]

    def line(cells: list[str]) -> str:
        padded = [
            cell.ljust(width) if i < text_columns else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * width if i < text_columns else "-" * (width - 1) + ":"
        for i, width in enumerate(widths)
    ]
    return "\n".join([line(heads), f"| {' | '.join(rule)} |", *map(line, rows)])


def markdown(
    table: pd.DataFrame, title: str, confidence: float, baselines: dict[str, Any], positive: str
) -> str:
    """results/auc.md: the main table, and the table of intervals below it."""
    notes = [
        f"Area under the ROC curve of P({positive}) per test set: mean ± standard deviation over "
        "independent runs (seeds)."
    ]
    if marks := legend(table):
        notes.append(f"Marked: {marks}; the others are unseen.")
    if any(baselines.get(name) for name in table["test_set"]):
        notes.append("Rows `trivial`: what a small classifier reaches on these sets from "
                     "thumbnails or file headers alone (results/check.json).")  # fmt: skip
    return "\n".join(
        [
            f"# {title}",
            "",
            " ".join(notes),
            "",
            grid(*wide(table, baselines), 2),
            "",
            f"Intervals: {confidence:.0%}, nested bootstrap over runs and images; "
            "images: negatives + positives (docs/metrics.md).",
            "",
            grid(*long(table), 3),
            "",
        ]
    )


def latex(table: pd.DataFrame, baselines: dict[str, Any]) -> str:
    """results/auc.tex: the main table for a paper, with booktabs."""
    heads, rows = wide(table, baselines)
    lines = [
        "% needs \\usepackage{booktabs}; AUC, mean ± standard deviation over runs",
        f"\\begin{{tabular}}{{ll r {'c' * (len(heads) - 3)}}}",
        "\\toprule",
        " & ".join(map(escape, heads)) + r" \\",
    ]
    previous = None
    for row in rows:
        if row[0] != previous:
            lines.append("\\midrule")
        shown = [row[0] if row[0] != previous else "", *row[1:]]
        lines.append(" & ".join(map(escape, shown)) + r" \\")
        previous = row[0]
    lines += ["\\bottomrule", "\\end{tabular}"]
    if marks := legend(table):
        lines.append(f"% {marks}")
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Text for LaTeX."""
    for plain, macro in (
        ("\\", r"\textbackslash "), ("_", r"\_"), ("%", r"\%"), ("&", r"\&"), ("#", r"\#"),
        ("±", r"$\pm$"), ("†", r"$^\dagger$"), ("*", r"$^*$"), ("−", "$-$"), ("–", "--"),
    ):  # fmt: skip
        text = text.replace(plain, macro)
    return text


def metrics(table: pd.DataFrame) -> dict[str, Any]:
    """results/metrics.json: architecture → variant → test set → AUC; unknown values are absent."""
    found: dict[str, Any] = {}
    for _, row in table.iterrows():
        values = {
            key: round(float(row[key]), 6)
            for key in ("auc_mean", "auc_sd", "ci_low", "ci_high")
            if not math.isnan(row[key])
        }
        variant = found.setdefault(row["architecture"], {}).setdefault(row["variant"], {})
        variant[row["test_set"]] = values | {"runs": int(row["runs"])}
    return found


def bars(table: pd.DataFrame) -> pd.DataFrame:
    """results/auc_bars.csv for `dvc plots`: one named bar per row."""
    named = table[["auc_mean", "auc_sd", "ci_low", "ci_high", "runs"]].copy()
    names = table["test_set"] + " · " + table["architecture"] + " · " + table["variant"]
    named.insert(0, "cell", names)
    return named.sort_values("cell", kind="stable")


def show(root: Path = Path()) -> str:
    """The text of results/auc.md, for `cyborg show`."""
    path = root / "results" / "auc.md"
    try:
        return path.read_text(encoding="utf-8").rstrip("\n")
    except FileNotFoundError:
        raise UserError("there is no report yet", where=path, hint="run `dvc repro`") from None
