"""Error rates at operating points."""

from __future__ import annotations

from cyborg.results.metrics._base import list_metrics
from cyborg.results.page import Context, html, table
from cyborg.results.sections._base import Section
from cyborg.results.tables import mean_sd


def render(context: Context) -> str:
    """A row per test set, architecture and variant; all measures are in operating_points.csv."""
    shown = [value for metric in list_metrics() for value in metric.values if value.head]
    points = context.operating_points
    points = points[points["generator"] == ""]
    rows = []
    for name in dict.fromkeys(points["test_set"]):
        own = points[points["test_set"] == name]
        for (architecture, variant), part in own.groupby(["architecture", "variant"], sort=False):
            values = part.set_index("measure")
            cells = [
                mean_sd(values.loc[value.name, "mean"], values.loc[value.name, "sd"])
                for value in shown
            ]
            runs = str(part["runs"].iloc[0])
            rows.append([str(name), str(architecture), str(variant), runs, *cells])
    *others, positive = context.experiment.classes
    negatives = " or ".join(others)
    return html("<h2>Operating points</h2>") + table(
        ["test set", "architecture", "variant", "runs", *(value.head for value in shown)],
        rows,
        3,
        f"APCER: share of the images of {positive} that are not recognised; BPCER: share of those "
        f"of {negatives} that are taken for {positive}. EER, APCER₅ and APCER₁₀ (at a BPCER of at "
        f"most 5 % and 10 %) take their threshold from the images of {negatives} in the same test "
        "set: they describe the ranking. “At ½”: at probability 0.5, a threshold that is fixed "
        "beforehand. ECE: expected calibration error. “–”: the set has too few images for that "
        "rate.",
    )


SECTION = Section(50, render)
