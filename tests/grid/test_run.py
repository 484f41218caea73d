"""The runner runs the missing cells, keeps the finished ones and removes the others."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from cells import write_waiting
from cyborg.common.errors import UserError
from cyborg.grid.cell_paths import list_finished, list_planned
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


def list_children(root: Path) -> dict[int, str]:
    """Return the command lines of all processes that work in a folder."""
    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd()) == root.resolve():
                found[process.pid] = " ".join(process.cmdline())
    return found


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until a condition holds, and fail after some time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("victim", "number"),
    [
        ("run_grid", signal.SIGKILL),
        ("run_grid", signal.SIGTERM),
        ("run_grid", signal.SIGINT),
        ("-m cyborg.grid.guard", signal.SIGKILL),
        ("-m snakemake", signal.SIGKILL),
    ],
)
def test_snakemake_and_its_cells_end_with_the_runner(
    tmp_path: Path, victim: str, number: signal.Signals
):
    shutil.copytree(REPOSITORY / "workflow", tmp_path / "workflow")
    write_waiting(tmp_path, seeds=3, seconds=600)
    code = "from cyborg.grid.run import run_grid; run_grid('wait')"
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "src")}
    runner = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.DEVNULL,
        # A shell that runs the tests in the background has them ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )

    def find(words: str) -> list[int]:
        return [pid for pid, command in list_children(tmp_path).items() if words in command]

    wait_until(lambda: find("-m cyborg cell"))
    # Snakemake's words are part of the guard's, so the process that is deepest is meant.
    os.kill(max(find(victim)), number)
    assert runner.wait(timeout=60) != 0
    wait_until(lambda: not list_children(tmp_path))
