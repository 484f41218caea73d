"""Show where the networks look: CAM against human map."""

from __future__ import annotations

from cyborg.common.page import render_html, render_table
from cyborg.results.page import ReportContext
from cyborg.results.sections._base import Section
from cyborg.results.tables import format_mean_sd, format_number


def render_alignment(context: ReportContext) -> str:
    """Return the table of correlation and mass, or nothing if no test image has a human map."""
    if context.alignment.empty:
        return ""
    heads = [
        "architecture", "variant", "maps", "test set", "runs", "images", "correlation",
        "inside", "chance", "inside / chance", "undefined",
    ]  # fmt: skip
    body = [
        [
            row["architecture"], row["variant"], row["maps"], row["test_set"], str(row["runs"]),
            str(row["images"]), format_mean_sd(row["correlation_mean"], row["correlation_sd"]),
            format_mean_sd(row["inside_mean"], row["inside_sd"]), format_number(row["chance_mean"]),
            format_number(row["ratio"], 2), f"{row['undefined']:.1%}",
        ]
        for _, row in context.alignment.iterrows()
    ]  # fmt: skip
    return render_html(
        "<h2>Where the networks look</h2><p>Class activation maps of {{ positive }} against human "
        "maps of the same test images. This is what training with maps moves first; it says "
        "nothing by itself about accuracy.</p>",
        positive=context.experiment.classes[-1],
    ) + render_table(
        heads,
        body,
        4,
        "Correlation: Pearson, at the size of the CAM, mean over images"
        + ("" if context.one_run else ", then mean ± standard deviation over runs")
        + ". Inside: share of the CAM's mass inside the human regions; chance: "
        "the share of the area they cover. Undefined: images whose correlation does not exist "
        "(a constant map), left out of the mean.",
    )


SECTION = Section(30, render_alignment)
