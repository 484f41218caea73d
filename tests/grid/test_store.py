"""Cells that are set aside come back."""

from __future__ import annotations

from pathlib import Path

from cells import write_waiting
from cyborg.grid.cell import run_cell
from cyborg.grid.layout import list_finished
from cyborg.grid.store import restore_cells, set_aside_cells


def test_cells_set_aside_come_back(tmp_path: Path):
    names = []
    for path in write_waiting(tmp_path, seeds=2):
        run_cell(path, tmp_path)
        names.append("/".join(path.with_suffix("").parts[-4:]))
    set_aside_cells(tmp_path, "wait", names)
    assert list_finished(tmp_path, "wait") == {}
    assert restore_cells(tmp_path, "wait", names) == sorted(names)
    assert sorted(list_finished(tmp_path, "wait")) == sorted(names)
