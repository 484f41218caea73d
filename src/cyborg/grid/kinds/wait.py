"""A cell that does nothing but wait, to measure the costs of the orchestration itself."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from pydantic import Field

from cyborg.common.progress import ReportProgress
from cyborg.config.cells import CellSpec
from cyborg.grid.kinds._base import CellKind


class WaitSpec(CellSpec):
    """The specification of a cell that waits."""

    kind: Literal["wait"] = "wait"
    seconds: float = Field(ge=0, description="how long the cell waits")


def list_modules(spec: WaitSpec) -> list[str]:
    """Return this module."""
    return [__name__]


def run(spec: WaitSpec, out: Path, root: Path, work: Path, report: ReportProgress) -> None:
    """Wait, and write the seed to `done.txt`."""
    time.sleep(spec.seconds)
    (out / "done.txt").write_text(f"{spec.seed}\n", encoding="utf-8")


CELL_KIND = CellKind(WaitSpec, grid="wait", list_modules=list_modules, run=run)
