"""Compare each variant with the baseline, and right maps with wrong ones."""

from __future__ import annotations

import math

import pandas as pd

from cyborg.common.page import render_html, render_table
from cyborg.config.experiment import Report
from cyborg.results.comparisons import UNSEEN
from cyborg.results.page import ReportContext
from cyborg.results.sections._base import Section
from cyborg.results.tables import format_count, format_interval, format_mean_sd, format_number

# A sentence, and whether it is good news.
Statement = tuple[str, bool]


def render_comparisons(context: ReportContext) -> str:
    """Return statements about controls and losses, then the table of all differences."""
    rows = context.comparisons
    if rows.empty:
        return ""
    settings = context.experiment.report
    found = state_controls(rows, context.baseline, settings)
    found += state_losses(rows, context.baseline)
    one_run = bool((rows["runs"] == 1).all())
    heads = ["architecture", "variant", "minus", "test set", "runs", "difference", "interval"]
    heads += (
        ["p (DeLong)", "p (Holm)"]
        if one_run
        else ["verdict", "p (sign flips)", "in all rows at once", "could be seen"]
    )
    body = []
    for _, row in rows.iterrows():
        cells = [
            row["architecture"], row["variant"], row["reference"], row["test_set"],
            str(row["runs"]),
            format_mean_sd(row["difference_mean"], row["difference_sd"], sign=True),
            format_interval(row["ci_low"], row["ci_high"], sign=True),
        ]  # fmt: skip
        if one_run:
            cells += [_format_p(row["delong_p"]), _format_p(row["delong_p_holm"])]
        else:
            cells += [
                judge_difference(row) or ("equal" if is_equal(row, settings) else "–"),
                _format_p(row["sign_flip_p"]),
                format_interval(row["all_low"], row["all_high"], sign=True),
                format_number(row["smallest_difference"]),
            ]
        body.append(cells)
    unseen = f"{UNSEEN}: average over the test sets that neither variant has seen generators of. "
    explained = (
        "There is one run of each variant, so interval (paired bootstrap) and p (DeLong's test) "
        "hold the sampling of images only: a run with another seed may give another sign. Holm: "
        "adjusted for the number of tests in this table."
        if one_run
        else "Interval: paired nested bootstrap over runs and images. Verdict: better or worse "
        "if the interval lies on one side of zero. Equal if two one-sided tests bound the "
        f"true difference by {settings.margin:g}. “–” if neither is known. Sign flips: exact test "
        "over runs, which with n runs is never below 2/2ⁿ. In all rows at once: intervals that "
        "hold together. Could be seen: the smallest true difference that would be told from zero "
        f"in {settings.power:.0%} of such experiments."
    )
    return render_html(
        "<h2>Comparisons</h2>"
        "<p>Differences of AUC, paired by seed and by image. A gain that wrong maps give too "
        "is not a gain from human saliency.</p>"
        "{% for text, sure in found %}<div class='note{{ '' if sure else ' warn' }}'>"
        "{{ text }}</div>{% endfor %}",
        found=found,
    ) + render_table(heads, body, 4, unseen + explained)


def judge_difference(row: pd.Series) -> str:
    """Return `better` or `worse` if the interval lies on one side of zero, and else an empty text.

    The interval of one run holds the sampling of images only. One run therefore has no verdict.
    """
    if row["runs"] < 2:
        return ""
    if row["ci_low"] > 0:
        return "better"
    return "worse" if row["ci_high"] < 0 else ""


def is_equal(row: pd.Series, settings: Report) -> bool:
    """Return whether the true difference is below the margin, by two one-sided tests."""
    return bool(row["equivalence_p"] < 1 - settings.confidence)


def state_controls(rows: pd.DataFrame, baseline: str, settings: Report) -> list[Statement]:
    """Return a statement per architecture, guided variant and control.

    rows: those of comparisons.csv. The statements are about the average of the unseen test sets if
    there is one, and about each test set otherwise.
    """
    rows = _select_rows(rows)
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
        text = (
            f"{_name_place(right)}: {right['variant']} minus {baseline} is "
            f"{_format_difference(gain)}; with wrong maps ({right['reference']}) it is "
            f"{_format_difference(wrong)}; right minus wrong maps is {_format_difference(right)}. "
        )
        conclusion, good = _conclude(gain, wrong, right, baseline, settings)
        found.append((text + conclusion, good))
    return found


def _conclude(
    gain: pd.Series, wrong: pd.Series, right: pd.Series, baseline: str, settings: Report
) -> tuple[str, bool]:
    """Return the conclusion from a variant's gain, that of wrong maps, and their difference."""
    if right["runs"] < 2:
        return (
            "This is one run: it cannot tell a gain or a loss from luck in training.",
            False,
        )
    unknown = "A difference between right and wrong maps cannot be told from zero. "
    if is_equal(right, settings):
        unknown = f"Right and wrong maps are equal within ±{settings.margin:g}. "
    control = {
        "better": "The right maps bring more than the wrong ones.",
        "worse": "The right maps bring less than the wrong ones.",
        "": unknown + _state_limit(right),
    }[judge_difference(right)]
    if judge_difference(gain) == "worse":
        return f"It is worse than {baseline}. {control}", False
    if judge_difference(gain) == "":
        return (
            f"No gain over the baseline can be told from zero. {_state_limit(gain)} {control}",
            False,
        )
    if judge_difference(right):
        return control, judge_difference(right) == "better"
    share = wrong["difference_mean"] / gain["difference_mean"]
    if share > 1:
        kept = "Wrong maps gain more"
    else:
        kept = f"Wrong maps give {max(share, 0):.0%} of the gain"
    return f"{kept}. {control}", False


def _state_limit(row: pd.Series) -> str:
    """Return a sentence on the smallest true difference that would have been seen."""
    smallest = format_number(row["smallest_difference"])
    return f"These runs and images would have shown a difference of {smallest}."


def state_losses(rows: pd.DataFrame, baseline: str) -> list[Statement]:
    """Return a statement for each variant without a control that is worse than the baseline."""
    rows = _select_rows(rows)
    controls = rows[rows["kind"] == "control"]
    covered = set(zip(controls["architecture"], controls["variant"], strict=True))
    return [
        (
            f"{_name_place(row)}: {row['variant']} minus {baseline} is {_format_difference(row)}. "
            f"It is worse than {baseline}.",
            False,
        )
        for _, row in rows[rows["kind"] == "baseline"].iterrows()
        if judge_difference(row) == "worse" and (row["architecture"], row["variant"]) not in covered
    ]


def _select_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the mean of unseen test sets if there are any, and else all rows."""
    unseen = rows[rows["test_set"] == UNSEEN]
    return rows if unseen.empty else unseen


def _name_place(row: pd.Series) -> str:
    """Return architecture, test set and number of runs of a comparison."""
    place = "mean of the unseen test sets" if row["test_set"] == UNSEEN else row["test_set"]
    return f"{row['architecture']}, {place}, {format_count(row['runs'], 'run')}"


def _format_difference(row: pd.Series) -> str:
    """Return a difference with its interval."""
    return (
        f"{format_number(row['difference_mean'], sign=True)} "
        f"{format_interval(row['ci_low'], row['ci_high'], sign=True)}"
    )


def _format_p(value: float) -> str:
    """Return a p-value as the table shows it, or `–` if it is not known."""
    if math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


SECTION = Section(20, render_comparisons)
