"""Compare each variant with the baseline, and right maps with wrong ones."""

from __future__ import annotations

import math

import pandas as pd

from cyborg.results.analysis import UNSEEN
from cyborg.results.page import ReportContext, render_html, render_table
from cyborg.results.sections._base import Section
from cyborg.results.tables import format_interval, format_mean_sd, format_number


def render_comparisons(context: ReportContext) -> str:
    """Return sentences about the controls, then the table of all differences."""
    rows = context.comparisons
    if rows.empty:
        return ""
    found = state_controls(rows, context.baseline)
    heads = [
        "architecture", "variant", "minus", "test set", "runs", "difference", "interval",
        "p (DeLong)", "p (Holm)",
    ]  # fmt: skip
    body = [
        [
            row["architecture"], row["variant"], row["reference"], row["test_set"],
            str(row["runs"]),
            format_mean_sd(row["difference_mean"], row["difference_sd"], sign=True),
            format_interval(row["ci_low"], row["ci_high"], sign=True), _format_p(row["delong_p"]),
            _format_p(row["delong_p_holm"]),
        ]
        for _, row in rows.iterrows()
    ]  # fmt: skip
    return render_html(
        "<h2>Comparisons</h2>"
        "<p>Differences of AUC, paired by seed and by image. A gain that wrong maps give too "
        "is not a gain from human saliency.</p>"
        "{% for text, sure in found %}<div class='note{{ '' if sure else ' warn' }}'>"
        "{{ text }}</div>{% endfor %}",
        found=found,
    ) + render_table(
        heads,
        body,
        4,
        f"{UNSEEN}: average over the test sets that neither variant has seen generators of. "
        "Interval: paired nested bootstrap over runs and images. p: DeLong's test of the "
        "mean over these runs, which covers the sampling of images only; Holm: adjusted "
        "for the number of tests in this table.",
    )


def _format_p(value: float) -> str:
    """Return a p-value as the table shows it, or `–` if it is not known."""
    if math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def state_controls(rows: pd.DataFrame, baseline: str) -> list[tuple[str, bool]]:
    """Return a statement per architecture, guided variant and control, and whether it is good news.

    rows: those of comparisons.csv. The statements are about the average of the unseen test sets if
    there is one, and about each test set otherwise.
    """
    if (rows["test_set"] == UNSEEN).any():
        rows = rows[rows["test_set"] == UNSEEN]
    found = []
    for _, right in rows[rows["kind"] == "control"].iterrows():
        same = rows[
            (rows["architecture"] == right["architecture"])
            & (rows["test_set"] == right["test_set"])
        ]
        gains = same[same["kind"] == "baseline"].set_index("variant")
        if right["variant"] not in gains.index or right["reference"] not in gains.index:
            continue
        gain, wrong = gains.loc[right["variant"]], gains.loc[right["reference"]]
        where = "mean of the unseen test sets"
        where = where if right["test_set"] == UNSEEN else right["test_set"]
        text = (
            f"{right['architecture']}, {where}, {right['runs']} run"
            f"{'s' if right['runs'] > 1 else ''}: {right['variant']} minus {baseline} is "
            f"{_format_difference(gain)}; with wrong maps ({right['reference']}) it is "
            f"{_format_difference(wrong)}; right minus wrong maps is {_format_difference(right)}. "
        )
        if not gain["ci_low"] > 0:
            found.append((text + "No gain over the baseline can be told from zero.", False))
        elif right["ci_low"] > 0:
            found.append((text + "The right maps bring more than the wrong ones.", True))
        else:
            share = wrong["difference_mean"] / gain["difference_mean"]
            kept = f"Wrong maps give {max(share, 0):.0%} of the gain; " if share <= 1 else ""
            found.append(
                (
                    f"{text}{kept or 'Wrong maps gain more; '}what the right ones add cannot be "
                    "told from zero.",
                    False,
                )
            )
    return found


def _format_difference(row: pd.Series) -> str:
    """Return a difference with its interval."""
    return (
        f"{format_number(row['difference_mean'], sign=True)} "
        f"{format_interval(row['ci_low'], row['ci_high'], sign=True)}"
    )


SECTION = Section(20, render_comparisons)
