"""Pictures: class activation maps beside human maps."""

from __future__ import annotations

from cyborg.results.page import Context, figure, html
from cyborg.results.sections._base import Section


def render(context: Context) -> str:
    """The gallery, or nothing where the evaluation kept no images."""
    shown = figure(
        context,
        "gallery",
        f"P: probability of {context.experiment.classes[-1]}, first run of each variant. Maps are "
        "scaled to their own range: colour says where, not how much. The images were drawn "
        "before any result was known and are the same for all.",
    )
    return html("<h2>Gallery</h2>") + shown if shown else ""


SECTION = Section(35, render)
