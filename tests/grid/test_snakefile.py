"""The shipped Snakefile keeps Snakemake's conventions, and runs on awkward machines."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cells import write_waiting
from cyborg.common.workers import count_processors
from paths import REPOSITORY

pytestmark = pytest.mark.slow


def run(root: Path, *words: str, python: str = sys.executable, **environment: str) -> str:
    """Run a module of Python in a folder, and return what it printed."""
    done = subprocess.run(
        [python, *words],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / "src")} | environment,
        capture_output=True,
        text=True,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed + "".join(
        path.read_text() for path in root.rglob("*.log") if path.is_file()
    )
    return printed


def make_project(root: Path) -> Path:
    """Make a project of one planned cell that waits, and return its folder."""
    shutil.copytree(REPOSITORY / "workflow", root / "workflow")
    write_waiting(root)
    return root


RUN = "from cyborg.grid.run import run_grid; print(run_grid('wait'))"


def test_lint_finds_nothing(tmp_path: Path):
    make_project(tmp_path)
    assert "Congratulations" in run(tmp_path, "-m", "snakemake", "--lint")


def test_a_dry_run_lists_all_planned_cells(tmp_path: Path):
    make_project(tmp_path)
    assert "job count" in " ".join(run(tmp_path, "-m", "snakemake", "-n").split())
    printed = run(tmp_path, "-m", "snakemake", "-n", "--config", "grid=wait")
    assert "wait none/waiting/seed0" in printed


def test_the_catalogue_of_workflows_has_its_file():
    usage = yaml.safe_load((REPOSITORY / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert {"mandatory-flags", "software-stack-deployment", "report"} <= set(usage)
    for name in ("README.md", "LICENSE", "workflow/Snakefile"):
        assert (REPOSITORY / name).is_file()


def test_cells_run_without_a_folder_for_temporary_files(tmp_path: Path):
    """A solver would write its problem there. The disk may be full."""
    make_project(tmp_path)
    assert "1 cells run" in run(tmp_path, "-c", RUN, TMPDIR=str(tmp_path / "absent"))


@pytest.mark.parametrize("name", ['it\'s "a" b', "[x] (y) $HOME", "Äpfel 漢字", "a;b&c #1 %s"])
def test_cells_run_in_a_folder_of_any_name(tmp_path: Path, name: str):
    """The interpreter lies in the folder too, as `make setup` puts it there."""
    root = make_project(tmp_path / name)
    shutil.copyfile(Path(sys.prefix) / "pyvenv.cfg", root / "pyvenv.cfg")
    (root / "bin").mkdir()
    (root / "bin/python").symlink_to(Path(sys.executable).resolve())
    (root / "lib").symlink_to(Path(sys.prefix) / "lib")
    assert "1 cells run" in run(root, "-c", RUN, python=str(root / "bin/python"))


def test_processors_are_counted_without_sched_getaffinity(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert count_processors() == (os.cpu_count() or 1)
