"""The progress of a grid: one bar over all its cells, with an estimate of the time left."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cyborg.grid.layout import MANIFEST, RUNS, WORK

QUIET_SECONDS = 30.0  # between two lines where nobody watches a terminal


class Progress:
    """A bar on a terminal; elsewhere a line every half minute. Cells report their own epochs."""

    def __init__(self, root: Path, kind: str, cells: list[str]):
        self.root, self.kind, self.cells = root, kind, cells
        self.started = self.said = time.monotonic()
        self.bar: Any = None

    def __enter__(self) -> Progress:
        print(f"{self.kind}: {len(self.cells)} cells to run", file=sys.stderr, flush=True)
        if sys.stderr.isatty():
            self.bar = tqdm(
                total=len(self.cells),
                desc=self.kind,
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
        """Look where every cell is, and show it."""
        states = [self._share(name) for name in self.cells]
        done = sum(share for share, _ in states)
        notes = [note for _, note in states if note]
        if self.bar is not None:
            self.bar.n = round(done, 2)
            self.bar.set_postfix_str("; ".join(notes[:2]), refresh=False)
            self.bar.refresh()
        elif (now := time.monotonic()) - self.said > QUIET_SECONDS:
            self.said = now
            left = (now - self.started) * (len(self.cells) / done - 1) / 60 if done else None
            rest = f"about {left:.0f} min left" if left is not None else "no estimate yet"
            print(
                f"{self.kind}: {done:.1f} of {len(self.cells)} cells, {rest}"
                + (f" ({'; '.join(notes[:2])})" if notes else ""),
                file=sys.stderr,
                flush=True,
            )

    def _share(self, name: str) -> tuple[float, str]:
        """How much of a cell is done (0..1), and what it says of itself."""
        if (self.root / RUNS / self.kind / name / MANIFEST).is_file():
            return 1.0, ""
        path = self.root / WORK / self.kind / name / "progress.json"
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return 0.0, ""
        total = state.get("epochs") or 1
        share = min(max(state.get("epoch", 0) / total, 0.0), 0.99)
        return share, f"{name.rsplit('/', 1)[0]} {state.get('epoch', 0)}/{total}"
