"""Report how far a long piece of work has come."""

from __future__ import annotations

from collections.abc import Callable

# Called after each step (an epoch, a batch) with the number of finished steps and that of all.
ReportProgress = Callable[[int, int], None]


def ignore_progress(done: int, total: int) -> None:
    """Report to nobody."""
