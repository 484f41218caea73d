"""Show class activation maps beside human maps."""

from __future__ import annotations

from cyborg.common.page import render_html
from cyborg.results.page import ReportContext, render_figure
from cyborg.results.sections._base import Section


def render_gallery(context: ReportContext) -> str:
    """Return the gallery, or nothing if the evaluation kept no images."""
    shown = render_figure(
        context,
        "gallery",
        f"P: probability of {context.experiment.classes[-1]}"
        f"{'' if context.one_run else ', first run of each variant'}. Maps are "
        "scaled to their own range: colour says where, not how much. The images were drawn "
        "before any result was known and are the same for all.",
    )
    return render_html("<h2>Gallery</h2>") + shown if shown else ""


SECTION = Section(35, render_gallery)
