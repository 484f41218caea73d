"""Cells that are set aside come back."""

from __future__ import annotations

from pathlib import Path

import pytest

from cells import write_waiting
from cyborg.grid.cell_paths import list_finished
from cyborg.grid.dvc_cache import list_revisions, restore_cells, set_aside_cells
from cyborg.grid.run_cell import run_cell


def test_cells_set_aside_come_back(tmp_path: Path):
    names = []
    for path in write_waiting(tmp_path, seeds=2):
        run_cell(path, tmp_path)
        names.append("/".join(path.with_suffix("").parts[-4:]))
    set_aside_cells(tmp_path, "wait", names)
    assert list_finished(tmp_path, "wait") == {}
    assert restore_cells(tmp_path, "wait", names) == sorted(names)
    assert sorted(list_finished(tmp_path, "wait")) == sorted(names)


def test_without_the_program_git_no_revision_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list_revisions(tmp_path, "train") == []
