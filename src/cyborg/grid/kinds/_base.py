"""Define what a kind of cell is: the unit of work that the grid runs, caches and shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

Spec = TypeVar("Spec")
Progress = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class CellKind(Generic[Spec]):
    """A member of the family of cell kinds: the constant `CELL_KIND` at the end of its module.

    run: `run(spec, out, root, work, progress)` does the work of the cell and writes its files into
    the empty folder `out`. root is the project folder, work a folder that survives a kill, and
    progress takes a dictionary with `epoch` and `epochs`.
    """

    run: Callable[[Spec, Path, Path, Path, Progress], None]
