"""Write tables as people read them: CSV, Markdown, LaTeX, and metrics.json for `dvc metrics`."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from cyborg.common.errors import UserError

# Test set → trivial classifier → its AUC, from results/check.json.
Baselines = dict[str, dict[str, float]]
# Column heads, and rows of cells.
TextTable = tuple[list[str], list[list[str]]]

# Values in metrics.json at most, because each is a column of `dvc exp show`.
MOST_METRICS = 10
# Marks behind an AUC: are the generators of the test set in the training set?
SEEN = {"no": "", "partly": "*", "yes": "†"}
LEGEND = {"*": "some of its generators are in training", "†": "its generators are in training"}


def format_csv(table: pd.DataFrame) -> str:
    """Return the table as CSV with six significant digits. Unknown values are empty."""
    text: str = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    return text


def format_number(value: float, digits: int = 3, sign: bool = False) -> str:
    """Return a number as the tables show it, or `–` if it is not known.

    >>> format_number(0.6518), format_number(-0.0123, sign=True), format_number(math.nan)
    ('0.652', '−0.012', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    return text.replace("-", "−")


def format_mean_sd(mean: float, sd: float, sign: bool = False) -> str:
    """Return mean and standard deviation, or the mean alone if there is no spread (one run).

    >>> format_mean_sd(0.652, 0.011), format_mean_sd(0.652, math.nan)
    ('0.652 ± 0.011', '0.652')
    """
    return format_number(mean, sign=sign) + ("" if math.isnan(sd) else f" ± {format_number(sd)}")


def format_interval(low: float, high: float, sign: bool = False) -> str:
    """Return an interval, or `–` if there is none.

    >>> format_interval(0.61, 0.69), format_interval(math.nan, math.nan)
    ('[0.610, 0.690]', '–')
    """
    if math.isnan(low) or math.isnan(high):
        return "–"
    return f"[{format_number(low, sign=sign)}, {format_number(high, sign=sign)}]"


def format_count(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> format_count(1, "run"), format_count(3, "run")
    ('1 run', '3 runs')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def describe_average(table: pd.DataFrame, noun: str = "run") -> str:
    """Return how the values of a table with a column `runs` are described: average or one run.

    >>> describe_average(pd.DataFrame({"runs": [3, 3]}))
    'mean ± standard deviation over runs'
    >>> describe_average(pd.DataFrame({"runs": [1, 1]}), "run (seed)")
    'one run (seed)'
    """
    if (table["runs"] == 1).all():
        return f"one {noun}"
    return f"mean ± standard deviation over {noun.replace('run', 'runs').replace('seed', 'seeds')}"


def describe_interval(table: pd.DataFrame) -> str:
    """Return how the intervals of a table with a column `runs` are described.

    >>> describe_interval(pd.DataFrame({"runs": [1]}))
    'bootstrap over images only, because there is one run'
    """
    if (table["runs"] == 1).all():
        return "bootstrap over images only, because there is one run"
    return "nested bootstrap over runs and images"


def build_main_table(table: pd.DataFrame, baselines: Baselines) -> TextTable:
    """Return the main table: a row per architecture and variant, a column per test set.

    table: the rows of auc.csv. baselines: adds one row for each trivial classifier.
    """
    sets = list(dict.fromkeys(table["test_set"]))
    rows = []
    for (architecture, variant), part in table.groupby(["architecture", "variant"], sort=False):
        by_set = part.set_index("test_set")
        cells = [
            format_mean_sd(by_set.loc[name, "auc_mean"], by_set.loc[name, "auc_sd"])
            + SEEN[str(by_set.loc[name, "seen"])]
            for name in sets
        ]
        rows.append([str(architecture), str(variant), str(part["runs"].iloc[0]), *cells])
    kinds = dict.fromkeys(kind for name in sets for kind in baselines.get(name, {}))
    for kind in kinds:
        cells = [format_number(baselines.get(name, {}).get(kind, math.nan)) for name in sets]
        rows.append(["trivial", str(kind).replace("_", " "), "1", *cells])
    return ["architecture", "variant", "runs", *sets], rows


def build_interval_table(table: pd.DataFrame) -> TextTable:
    """Return the table of intervals: a row per test set, architecture and variant.

    table: the rows of auc.csv.
    """
    rows = [
        [
            str(row["test_set"]), str(row["architecture"]), str(row["variant"]), str(row["runs"]),
            format_mean_sd(row["auc_mean"], row["auc_sd"]),
            format_interval(row["ci_low"], row["ci_high"]),
            f"{row['negatives']} + {row['positives']}", str(row["seen"]),
        ]
        for name in dict.fromkeys(table["test_set"])
        for _, row in table[table["test_set"] == name].iterrows()
    ]  # fmt: skip
    heads = [
        "test set", "architecture", "variant", "runs", "AUC", "interval", "images", "seen",
    ]  # fmt: skip
    return heads, rows


def explain_marks(table: pd.DataFrame) -> str:
    """Return the meaning of the marks in the main table, or an empty text if it has none."""
    marks = [SEEN[kind] for kind in ("partly", "yes") if (table["seen"] == kind).any()]
    return "; ".join(f"{mark} {LEGEND[mark]}" for mark in marks)


def format_markdown_table(heads: list[str], rows: list[list[str]], text_columns: int) -> str:
    """Return a Markdown table that is also aligned in a terminal.

    text_columns: number of columns from the left that are text. The others are numbers. The formats
    of `tabulate` give either aligned columns (github) or marks for the alignment (pipe), not both.

    >>> print(format_markdown_table(["name", "value"], [["a", "0.5"]], text_columns=1))
    | name | value |
    | ---- | ----: |
    | a    |   0.5 |
    """
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


def format_markdown_report(
    table: pd.DataFrame, title: str, confidence: float, baselines: Baselines, positive: str
) -> str:
    """Return results/auc.md: the main table, and the table of intervals below it.

    table: the rows of auc.csv. positive: the class whose probability is the score.
    """
    notes = [
        f"Area under the ROC curve of P({positive}) per test set: "
        f"{describe_average(table, 'independent run (seed)')}."
    ]
    if marks := explain_marks(table):
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
            format_markdown_table(*build_main_table(table, baselines), 2),
            "",
            f"Intervals: {confidence:.0%}, {describe_interval(table)}; "
            "images: negatives + positives (docs/metrics.md).",
            "",
            format_markdown_table(*build_interval_table(table), 3),
            "",
        ]
    )


def format_latex(table: pd.DataFrame, baselines: Baselines) -> str:
    """Return results/auc.tex: the main table for a paper, with booktabs."""
    heads, rows = build_main_table(table, baselines)
    lines = [
        f"% needs \\usepackage{{booktabs}}; AUC, {describe_average(table)}",
        f"\\begin{{tabular}}{{ll r {'c' * (len(heads) - 3)}}}",
        "\\toprule",
        " & ".join(map(escape_latex, heads)) + r" \\",
    ]
    previous = None
    for row in rows:
        if row[0] != previous:
            lines.append("\\midrule")
        shown = [row[0] if row[0] != previous else "", *row[1:]]
        lines.append(" & ".join(map(escape_latex, shown)) + r" \\")
        previous = row[0]
    lines += ["\\bottomrule", "\\end{tabular}"]
    if marks := explain_marks(table):
        lines.append(f"% {marks}")
    return "\n".join(lines) + "\n"


def escape_latex(text: str) -> str:
    r"""Return text for LaTeX.

    >>> print(escape_latex("a_b 5% ±"))
    a\_b 5\% $\pm$
    """
    for plain, macro in (
        ("\\", r"\textbackslash "), ("_", r"\_"), ("%", r"\%"), ("&", r"\&"), ("#", r"\#"),
        ("±", r"$\pm$"), ("†", r"$^\dagger$"), ("*", r"$^*$"), ("−", "$-$"), ("–", "--"),
    ):  # fmt: skip
        text = text.replace(plain, macro)
    return text


def collect_metrics(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return results/metrics.json: architecture → variant → mean AUC, at most `MOST_METRICS`.

    table: the rows of auc.csv. The mean is over the test sets that no variant has seen generators
    of, and over all test sets if there is none. With more combinations than `MOST_METRICS` the
    values are means over all architectures, under `all`, of the first variants. auc.csv has the
    rest.

    >>> collect_metrics(pd.DataFrame({
    ...     "architecture": ["net", "net"], "variant": ["plain", "plain"],
    ...     "test_set": ["a", "b"], "auc_mean": [0.9, 0.7], "seen": ["yes", "no"],
    ... }))
    {'net': {'plain': 0.7}}
    """
    seen = set(table["test_set"][table["seen"] != "no"])
    unseen = table[~table["test_set"].isin(seen)]
    rows = table if unseen.empty else unseen
    if len(rows[["architecture", "variant"]].drop_duplicates()) > MOST_METRICS:
        rows = rows.assign(architecture="all")
    means = rows.groupby(["architecture", "variant"], sort=False)["auc_mean"].mean()
    found: dict[str, dict[str, float]] = {}
    for architecture, variant, mean in means.reset_index().to_numpy()[:MOST_METRICS]:
        found.setdefault(architecture, {})[variant] = round(float(mean), 6)
    return found


def name_bars(table: pd.DataFrame) -> pd.DataFrame:
    """Return results/auc_bars.csv for `dvc plots`: one named bar per row."""
    named = table[["auc_mean", "auc_sd", "ci_low", "ci_high", "runs"]].copy()
    names = table["test_set"] + " · " + table["architecture"] + " · " + table["variant"]
    named.insert(0, "cell", names)
    return named.sort_values("cell", kind="stable")


def read_auc_table(root: Path = Path()) -> str:
    """Return the text of results/auc.md and the path of the report, for `cyborg show`.

    Raises UserError if there is no report.
    """
    path = root / "results" / "auc.md"
    try:
        text = path.read_text(encoding="utf-8").rstrip("\n")
    except FileNotFoundError:
        raise UserError("there is no report yet", location=path, hint="run `dvc repro`") from None
    return f"{text}\n\nReport: {Path('results') / 'report.html'}"
