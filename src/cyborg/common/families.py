"""List every family of parts that users can add to by adding one file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cyborg.common.registry import Family

if TYPE_CHECKING:
    from cyborg.grid.kinds._base import CellKind
    from cyborg.losses._base import Loss
    from cyborg.results.metrics._base import Metric
    from cyborg.results.sections._base import Section
    from cyborg.saliency.formats._base import Format
    from cyborg.training.controls._base import Control
    from cyborg.training.preparations._base import Preparation

LOSSES: Family[Loss] = Family("a loss", "cyborg.losses", "LOSS")
CONTROLS: Family[Control] = Family("a control", "cyborg.training.controls", "CONTROL")
PREPARATIONS: Family[Preparation[Any]] = Family(
    "a preparation", "cyborg.training.preparations", "PREPARATION"
)
FORMATS: Family[Format] = Family("an annotation format", "cyborg.saliency.formats", "FORMAT")
METRICS: Family[Metric] = Family("a metric", "cyborg.results.metrics", "METRIC")
SECTIONS: Family[Section] = Family("a section of the report", "cyborg.results.sections", "SECTION")
CELL_KINDS: Family[CellKind[Any]] = Family("a kind of cell", "cyborg.grid.kinds", "CELL_KIND")

FAMILIES: tuple[Family[Any], ...] = (
    LOSSES,
    CONTROLS,
    PREPARATIONS,
    FORMATS,
    METRICS,
    SECTIONS,
    CELL_KINDS,
)
