"""A cell that does nothing but wait: it measures what the orchestration itself costs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from cyborg.grid.kinds._base import CellKind, Progress


def run(spec: dict[str, Any], out: Path, root: Path, work: Path, progress: Progress) -> None:
    """Wait for `spec["seconds"]` and write the seed to `done.txt`."""
    time.sleep(float(spec.get("seconds", 0)))
    (out / "done.txt").write_text(f"{spec['seed']}\n", encoding="utf-8")


CELL_KIND = CellKind(run)
