"""Show the ROC curves and the learning curves."""

from __future__ import annotations

from cyborg.common.page import render_html
from cyborg.results.page import ReportContext, render_figure
from cyborg.results.sections._base import Section
from cyborg.results.tables import format_count


def render_curves(context: ReportContext) -> str:
    """Return a figure per test set, then the learning curves."""
    parts = [render_html("<h2>ROC curves</h2>")]
    if context.one_run:
        roc = "one run, drawn through fixed false-positive rates. Numbers are AUC."
        course = "Lines: the run of each variant; dots"
    else:
        roc = (
            "mean over runs at fixed false-positive rates. A band reaches from the lowest to the "
            "highest run, numbers are AUC, mean ± standard deviation."
        )
        course = "Thick: mean over runs; thin: single runs; dots"
    for scored in context.results.sets:
        negatives, positives = scored.counts
        parts.append(
            render_figure(
                context,
                f"roc_{scored.name}",
                f"{scored.name} ({format_count(negatives, 'negative')}, "
                f"{format_count(positives, 'positive')}): {roc}",
            )
        )
    parts.append(render_html("<h2>Learning curves</h2>"))
    parts.append(
        render_figure(
            context,
            "learning_curves",
            f"{course}: the epoch that was chosen, on validation data. A variant whose loss has no "
            "saliency term has no curve there.",
        )
    )
    return "".join(parts)


SECTION = Section(40, render_curves)
