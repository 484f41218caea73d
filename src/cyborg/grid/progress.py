"""Show the progress of a grid: one bar over all its cells, with an estimate of the time left."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Never

from tqdm import tqdm

from cyborg.grid.cell_paths import MANIFEST, RUNS, WORK

# Time between two lines if nobody watches a terminal.
QUIET_SECONDS = 30.0


class ProgressBar:
    """A bar on a terminal, elsewhere a line every half minute. Cells report their own epochs."""

    def __init__(self, root: Path, grid: str, cells: list[str]):
        self.root, self.grid, self.cells = root, grid, cells
        self.started = self.printed = time.monotonic()
        self.bar: tqdm[Never] | None = None

    def __enter__(self) -> ProgressBar:
        print(f"{self.grid}: {len(self.cells)} cells to run", file=sys.stderr, flush=True)
        if sys.stderr.isatty():
            self.bar = tqdm(
                total=len(self.cells),
                desc=self.grid,
                unit="cell",
                smoothing=0.05,
                bar_format="{desc} {percentage:3.0f}%|{bar}| {n:.1f}/{total} cells "
                "[{elapsed}<{remaining}{postfix}]",
            )
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def update(self) -> None:
        """Look how far every cell is, and show it."""
        states = [self._read_share(name) for name in self.cells]
        done = sum(share for share, _ in states)
        notes = [note for _, note in states if note]
        if self.bar is not None:
            self.bar.n = round(done, 2)
            self.bar.set_postfix_str("; ".join(notes[:2]), refresh=False)
            self.bar.refresh()
        elif (now := time.monotonic()) - self.printed > QUIET_SECONDS:
            self.printed = now
            left = (now - self.started) * (len(self.cells) / done - 1) / 60 if done else None
            rest = f"about {left:.0f} min left" if left is not None else "no estimate yet"
            print(
                f"{self.grid}: {done:.1f} of {len(self.cells)} cells, {rest}"
                + (f" ({'; '.join(notes[:2])})" if notes else ""),
                file=sys.stderr,
                flush=True,
            )

    def _read_share(self, name: str) -> tuple[float, str]:
        """Return how much of a cell is done (0 to 1), and a note on the running ones."""
        if (self.root / RUNS / self.grid / name / MANIFEST).is_file():
            return 1.0, ""
        path = self.root / WORK / self.grid / name / "progress.json"
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            done, total = int(state["done"]), int(state["total"]) or 1
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0, ""
        share = min(max(done / total, 0.0), 0.99)
        return share, f"{name.rsplit('/', 1)[0]} {done}/{total}"
