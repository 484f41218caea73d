"""The AUC table, its figure, and the intervals."""

from __future__ import annotations

from cyborg.results import tables
from cyborg.results.page import Context, figure, html, table
from cyborg.results.sections._base import Section


def render(context: Context) -> str:
    """Main table, figure, table of intervals."""
    experiment = context.experiment
    confidence = f"{experiment.report.confidence:.0%}"
    caption = "Mean ± standard deviation over runs (seeds)."
    if marks := tables.legend(context.auc):
        caption += f" {marks}; the others are unseen."
    if any(context.baselines.values()):
        caption += (
            " Rows “trivial”: a small classifier that saw nothing but 8×8 thumbnails or file "
            "headers (results/check.json); what it reaches, a network may reach without looking "
            "at content."
        )
    return (
        html(
            "<h2>AUC</h2><p>Area under the ROC curve of P({{ positive }}): the probability that "
            "an image of this class scores above one of the others. 0.5 is chance.</p>",
            positive=experiment.classes[-1],
        )
        + table(*tables.wide(context.auc, context.baselines), 2, caption)
        + figure(
            context,
            "auc_bars",
            f"Mean AUC with {confidence} interval; small dots are single runs; hollow markers "
            "are controls (wrong maps on purpose).",
        )
        + html("<h3>Intervals</h3>")
        + table(
            *tables.long(context.auc),
            3,
            f"{confidence} intervals of the mean: nested bootstrap, "
            f"{experiment.report.bootstrap} resamples of runs and of images within their class "
            "(groups of images stay together). Images: negatives + positives. With a single run "
            "the interval holds the sampling of images only.",
        )
    )


SECTION = Section(10, render)
