"""What each variant brings over the baseline, and how much of it wrong maps bring as well."""

from __future__ import annotations

import pandas as pd

from cyborg.results.analysis import UNSEEN
from cyborg.results.page import Context, html, table
from cyborg.results.sections._base import Section
from cyborg.results.tables import bounds, mean_sd, number


def render(context: Context) -> str:
    """Statements about the controls, then all differences."""
    rows = context.comparisons
    if rows.empty:
        return ""
    found = statements(rows, context.baseline)
    heads = [
        "architecture", "variant", "minus", "test set", "runs", "difference", "interval",
        "p (DeLong)", "p (Holm)",
    ]  # fmt: skip
    body = [
        [
            row["architecture"], row["variant"], row["reference"], row["test_set"],
            str(row["runs"]), mean_sd(row["difference_mean"], row["difference_sd"], sign=True),
            bounds(row["ci_low"], row["ci_high"], sign=True), _p(row["delong_p"]),
            _p(row["delong_p_holm"]),
        ]
        for _, row in rows.iterrows()
    ]  # fmt: skip
    return html(
        "<h2>Comparisons</h2>"
        "<p>Differences of AUC, paired by seed and by image. A gain that wrong maps give too "
        "is not a gain from human saliency.</p>"
        "{% for text, sure in found %}<div class='note{{ '' if sure else ' warn' }}'>"
        "{{ text }}</div>{% endfor %}",
        found=found,
    ) + table(
        heads,
        body,
        4,
        f"{UNSEEN}: average over the test sets that neither variant has seen generators of. "
        "Interval: paired nested bootstrap over runs and images. p: DeLong's test of the "
        "mean over these runs, which covers the sampling of images only; Holm: adjusted "
        "for the number of tests in this table.",
    )


def _p(value: float) -> str:
    if value != value:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def statements(rows: pd.DataFrame, baseline: str) -> list[tuple[str, bool]]:
    """One sentence or two per architecture, guided variant and control; and whether it is good.

    On the average of unseen test sets where there is one, else on each test set.
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
            f"{_amount(gain)}; with wrong maps ({right['reference']}) it is {_amount(wrong)}; "
            f"right minus wrong maps is {_amount(right)}. "
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


def _amount(row: pd.Series) -> str:
    return (
        f"{number(row['difference_mean'], sign=True)} "
        f"{bounds(row['ci_low'], row['ci_high'], sign=True)}"
    )


SECTION = Section(20, render)
