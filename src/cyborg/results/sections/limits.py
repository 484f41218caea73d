"""Say which questions the test sets are too small, or the runs too few, to answer."""

from __future__ import annotations

from cyborg.common.page import render_html
from cyborg.results.page import ReportContext
from cyborg.results.sections._base import Section

# Images per class below which a rate of 1 % is less than one image.
FEW_IMAGES = 100
# Runs below which their standard deviation is hardly known.
FEW_RUNS = 3


def render_limits(context: ReportContext) -> str:
    """Return plain statements, or nothing if there are enough images and runs."""
    found = state_limits(context)
    if not found:
        return ""
    return render_html(
        "<h2>What these numbers cannot show</h2>"
        "{% for text in found %}<div class='note warn'>{{ text }}</div>{% endfor %}",
        found=found,
    )


def state_limits(context: ReportContext) -> list[str]:
    """Return a statement on test sets with few images, and one on few runs."""
    found, small = [], []
    for name, rows in context.auc.groupby("test_set", sort=False):
        negatives, positives = int(rows["negatives"].iloc[0]), int(rows["positives"].iloc[0])
        if min(negatives, positives) < FEW_IMAGES:
            half = float((rows["ci_high"] - rows["ci_low"]).median() / 2)
            small.append(f"{name} ({negatives} + {positives} images: ± {half:.2f})")
    if small:
        found.append(
            f"Too small to give a rate: {', '.join(small)}. The number after ± is half the width "
            "of the median interval of its AUCs. Differences between variants are paired and may "
            "be known better (see Comparisons). Error rates of a few per cent are not known at all."
        )
    runs = int(context.auc["runs"].min())
    if runs == 1:
        found.append(
            "There is one run of each combination: nothing is known of the spread between runs, "
            "and no difference between variants can be told from luck in training."
        )
    elif runs < FEW_RUNS:
        found.append(f"There are {runs} runs of each combination: their spread is hardly known.")
    return found


SECTION = Section(15, render_limits)
