"""Write report.html: one page of all sections, without links or scripts, with embedded images."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from cyborg.common.decode import open_image
from cyborg.common.families import SECTIONS
from cyborg.common.page import embed_png, render_html, render_page
from cyborg.config.experiment import Experiment
from cyborg.results.cells import Results, TrainingEnvironment
from cyborg.results.tables import Baselines, format_count


@dataclass(frozen=True)
class ReportContext:
    """Everything that a section may show.

    experiment: the parameters.
    results: the scores, and the specifications of the cells.
    baseline: the variant that others are compared with.
    auc, comparisons, alignment, operating_points, classes, confusion: rows of the CSV files of
        these names.
    baselines: AUCs of trivial classifiers, by test set and kind.
    figures: PNG files by name without suffix.
    environments: the environments that cells were trained in, each with its number of cells.
    """

    experiment: Experiment
    results: Results
    baseline: str
    auc: pd.DataFrame
    comparisons: pd.DataFrame
    alignment: pd.DataFrame
    operating_points: pd.DataFrame
    classes: pd.DataFrame
    confusion: pd.DataFrame
    baselines: Baselines
    figures: dict[str, bytes]
    environments: list[tuple[TrainingEnvironment, int]]

    @property
    def one_run(self) -> bool:
        """Return whether there is one run of each combination, which has no spread."""
        return bool((self.auc["runs"] == 1).all())


FIGURE = """<figure><img alt="{{ alt }}" width="{{ width }}" src="{{ source }}">
<figcaption>{{ caption }}</figcaption></figure>
"""


def render_figure(context: ReportContext, name: str, caption: str) -> str:
    """Return an embedded figure, or an empty text if the report has none of this name."""
    if name not in context.figures:
        return ""
    png = context.figures[name]
    with open_image(png, ("PNG",)) as image:
        # The page shows the figure at two thirds of its width in dots, so that it is sharp on
        # fine screens.
        width = image.width * 2 // 3
    return render_html(
        FIGURE, alt=name.replace("_", " "), source=embed_png(png), width=width, caption=caption
    )


def render_report(context: ReportContext) -> str:
    """Return the whole page, with the sections by their `order` and then by name."""
    members = [SECTIONS.find(name) for name in SECTIONS.list_names()]
    members.sort(key=lambda section: section.order)
    combinations = format_count(len(context.results.seeds), "combination")
    runs = format_count(len(context.experiment.seeds), "run")
    sets = format_count(len(context.results.sets), "test set")
    return render_page(
        title=context.experiment.name,
        subtitle=f"{combinations} of architecture and variant, {runs} of each, {sets}",
        sections=[text for section in members if (text := section.render(context))],
    )
