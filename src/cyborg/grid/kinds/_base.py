"""Define the family of cell kinds: units of work that the grid runs, caches and shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from cyborg.common.progress import ReportProgress
from cyborg.config.cells import CellSpec

Spec = TypeVar("Spec", bound=CellSpec)


@dataclass(frozen=True)
class CellKind(Generic[Spec]):
    """A member of the family of cell kinds: the constant `CELL_KIND` at the end of its module.

    spec: type of the specification. Its field `kind` is the name of the module.
    grid: folder under plan/ and runs/ that its cells lie in. There is one DVC stage for each grid.
    list_modules: returns the modules whose code the cell runs. A change of one of them, or of a
    module that they import, runs the cell again.
    run: `run(spec, out, root, work, report)` does the work of the cell and writes its files into
    the empty folder `out`. root is the project folder, work a folder that survives a kill, and
    `report(done, total)` tells the runner how far the cell has come.
    """

    spec: type[Spec]
    grid: str
    list_modules: Callable[[Spec], list[str]]
    run: Callable[[Spec, Path, Path, Path, ReportProgress], None]
