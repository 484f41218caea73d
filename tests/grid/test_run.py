"""The runner runs the missing cells, keeps the finished ones and removes the others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cells import write_waiting
from cyborg.common.errors import UserError
from cyborg.grid.layout import list_finished, list_planned
from cyborg.grid.run import run_grid
from paths import REPOSITORY


@pytest.mark.slow
def test_run_grid_runs_what_is_missing_and_prunes_the_rest(tmp_path: Path, monkeypatch):
    shutil.copytree(REPOSITORY / "workflow", tmp_path / "workflow")
    write_waiting(tmp_path, seeds=3)
    assert "3 cells run" in run_grid("wait", tmp_path)
    assert "0 cells run, 0 restored, 3 kept" in run_grid("wait", tmp_path)
    shutil.rmtree(tmp_path / "plan")
    write_waiting(tmp_path, seeds=2)
    assert "2 kept, 1 pruned" in run_grid("wait", tmp_path)
    assert sorted(list_finished(tmp_path, "wait")) == sorted(list_planned(tmp_path, "wait"))


def test_nothing_planned_is_an_error(tmp_path: Path):
    with pytest.raises(UserError, match="no train cells are planned"):
        run_grid("train", tmp_path)
