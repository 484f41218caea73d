"""Show the AUC table, its figure, and the intervals."""

from __future__ import annotations

from cyborg.common.page import render_html, render_table
from cyborg.results import tables
from cyborg.results.page import ReportContext, render_figure
from cyborg.results.sections._base import Section


def render_auc(context: ReportContext) -> str:
    """Return the main table, the figure, and the table of intervals."""
    experiment = context.experiment
    confidence = f"{experiment.report.confidence:.0%}"
    average = tables.describe_average(context.auc, "run (seed)")
    caption = f"{average[0].upper()}{average[1:]}."
    if marks := tables.explain_marks(context.auc):
        caption += f" {marks}; the others are unseen."
    if any(context.baselines.values()):
        caption += (
            " Rows “trivial”: a small classifier that saw nothing but 8×8 thumbnails or file "
            "headers (results/check.json); what it reaches, a network may reach without looking "
            "at content."
        )
    return (
        render_html(
            "<h2>AUC</h2><p>Area under the ROC curve of P({{ positive }}): the probability that "
            "an image of this class scores above one of the others. 0.5 is chance.</p>",
            positive=experiment.classes[-1],
        )
        + render_table(*tables.build_main_table(context.auc, context.baselines), 2, caption)
        + render_figure(
            context,
            "auc_bars",
            (
                f"AUC of one run with {confidence} interval over images"
                if context.one_run
                else f"Mean AUC with {confidence} interval; small dots are single runs"
            )
            + "; hollow markers are controls (wrong maps on purpose).",
        )
        + render_html("<h3>Intervals</h3>")
        + render_table(
            *tables.build_interval_table(context.auc),
            3,
            f"{confidence} intervals: {tables.describe_interval(context.auc)}, "
            f"{experiment.report.bootstrap} resamples. Images are drawn within their class, and "
            "groups of images stay together. Images: negatives + positives.",
        )
    )


SECTION = Section(10, render_auc)
