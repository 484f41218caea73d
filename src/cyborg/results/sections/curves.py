"""Show the ROC curves and the learning curves."""

from __future__ import annotations

from cyborg.results.page import ReportContext, render_figure, render_html
from cyborg.results.sections._base import Section


def render_curves(context: ReportContext) -> str:
    """Return a figure per test set, then the learning curves."""
    parts = [render_html("<h2>ROC curves</h2>")]
    for scored in context.results.sets:
        negatives, positives = scored.counts
        parts.append(
            render_figure(
                context,
                f"roc_{scored.name}",
                f"{scored.name} ({negatives} negatives, {positives} positives): mean over runs at "
                "fixed false-positive rates. A band reaches from the lowest to the highest run, "
                "numbers are AUC, mean ± standard deviation.",
            )
        )
    parts.append(render_html("<h2>Learning curves</h2>"))
    parts.append(
        render_figure(
            context,
            "learning_curves",
            "Thick: mean over runs; thin: single runs; dots: the epoch that was chosen, on "
            "validation data. A variant whose loss has no saliency term has no curve there.",
        )
    )
    return "".join(parts)


SECTION = Section(40, render_curves)
