"""Show error rates at operating points."""

from __future__ import annotations

from cyborg.common.page import render_html, render_table
from cyborg.results.metrics._base import list_metrics
from cyborg.results.page import ReportContext
from cyborg.results.sections._base import Section
from cyborg.results.tables import format_mean_sd


def render_operating(context: ReportContext) -> str:
    """Return a row per test set, architecture and variant, with the metrics that have a head."""
    shown = [value for metric in list_metrics() for value in metric.values if value.head]
    points = context.operating_points
    points = points[points["generator"] == ""]
    rows = []
    for name in dict.fromkeys(points["test_set"]):
        own = points[points["test_set"] == name]
        for (architecture, variant), part in own.groupby(["architecture", "variant"], sort=False):
            values = part.set_index("measure")
            cells = [
                format_mean_sd(values.loc[value.name, "mean"], values.loc[value.name, "sd"])
                for value in shown
            ]
            runs = str(part["runs"].iloc[0])
            rows.append([str(name), str(architecture), str(variant), runs, *cells])
    *others, positive = context.experiment.classes
    definitions = " ".join(f"{value.head}: {value.meaning}." for value in shown)
    return render_html("<h2>Operating points</h2>") + render_table(
        ["test set", "architecture", "variant", "runs", *(value.head for value in shown)],
        rows,
        3,
        f"{definitions} Positives are the images of {positive}, negatives those of "
        f"{' or '.join(others)}. APCER: share of positives that are missed; BPCER: share of "
        "negatives that are called positive. A threshold that is taken from the images of the "
        "same set describes the ranking, not a deployed detector. “–”: the set has too few images "
        "for that rate.",
    )


SECTION = Section(50, render_operating)
