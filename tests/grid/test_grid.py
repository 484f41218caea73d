"""The grid's parts: import collect_moduless, fingerprints, finished folders, locks."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from cells import wait_spec
from cyborg.common.closure import collect_modules, hash_code
from cyborg.common.errors import UserError
from cyborg.common.files import write_json
from cyborg.grid.cell import run_cell
from cyborg.grid.kinds import wait
from cyborg.grid.layout import cell_path, is_intact, list_finished, list_planned, read_spec
from cyborg.grid.run import run_grid
from cyborg.grid.store import restore_cells, set_aside_cells
from paths import REPOSITORY


def write_waiting(root: Path, seeds: int = 1, seconds: float = 0) -> list[Path]:
    """Write specifications of cells that do nothing to plan/wait."""
    paths = []
    for seed in range(seeds):
        spec = wait_spec(seed, seconds)
        paths.append(root / "plan" / f"{cell_path(spec)}.json")
        write_json(paths[-1], spec.to_json())
    return paths


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of four modules: a imports b in a function and c for type checkers alone."""
    folder = tmp_path / "cyborg"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "a.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from cyborg import c\n"
        "def f():\n    from . import b\n"
    )
    (folder / "b.py").write_text("import os\n")
    (folder / "c.py").write_text("")
    (folder / "d.py").write_text("from cyborg.a import f\n")
    return folder


def test_closure_follows_imports_in_functions_and_not_those_for_type_checkers(package: Path):
    assert list(collect_modules(["cyborg.a"], package)) == ["cyborg", "cyborg.a", "cyborg.b"]
    assert list(collect_modules(["cyborg.d"], package)) == [
        "cyborg",
        "cyborg.a",
        "cyborg.b",
        "cyborg.d",
    ]


def test_a_start_that_is_not_there_is_an_error(package: Path):
    with pytest.raises(ModuleNotFoundError, match=r"cyborg\.e"):
        collect_modules(["cyborg.e"], package)


def test_code_hash_changes_with_what_is_imported_and_with_nothing_else(package: Path):
    before = hash_code(["cyborg.a"], package)
    (package / "c.py").write_text("x = 1\n")
    (package / "d.py").write_text("x = 1\n")
    assert hash_code(["cyborg.a"], package) == before
    (package / "b.py").write_text("import os, sys\n")
    assert hash_code(["cyborg.a"], package) != before


def test_training_does_not_depend_on_the_pipeline_around_it():
    """Retraining for a changed report, planner or parameter file would be for nothing."""
    modules = collect_modules(["cyborg.training.train", "cyborg.losses.cyborg"])
    assert "cyborg.models.network" in modules
    around = ("cyborg.grid", "cyborg.results", "cyborg.cli", "cyborg.config.load")
    assert not [name for name in modules if name.startswith(around)]


def test_training_imports_without_dvc_and_snakemake():
    code = (
        "import sys\n"
        "sys.modules['dvc'] = sys.modules['snakemake'] = None\n"
        "import cyborg.training.train, cyborg.evaluation.evaluate\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_help_imports_no_torch():
    code = (
        "import sys\nimport cyborg.cli\n"
        "try:\n    cyborg.cli.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_a_specification_edited_by_hand_is_refused(tmp_path: Path):
    (path,) = write_waiting(tmp_path)
    path.write_text(json.dumps(read_spec(path).to_json() | {"seconds": 1}))
    with pytest.raises(UserError, match="fingerprint"):
        run_cell(path, tmp_path)


def test_a_cell_is_run_once_and_leaves_nothing_else(tmp_path: Path):
    (path,) = write_waiting(tmp_path)
    folder = run_cell(path, tmp_path)
    assert is_intact(folder)
    changed = (folder / "MANIFEST.json").stat().st_mtime_ns
    assert run_cell(path, tmp_path) == folder
    assert (folder / "MANIFEST.json").stat().st_mtime_ns == changed
    left = [p for p in (tmp_path / ".work").rglob("*") if p.is_file() and p.suffix != ".lock"]
    assert left == []


@pytest.mark.parametrize("damage", ["truncate", "remove", "add", "manifest"])
def test_a_damaged_folder_is_seen_and_made_anew(tmp_path: Path, damage: str):
    (path,) = write_waiting(tmp_path)
    folder = run_cell(path, tmp_path)
    done = folder / "done.txt"
    if damage == "truncate":
        done.write_text("")
    elif damage == "remove":
        done.unlink()
    elif damage == "add":
        (folder / "more.txt").write_text("")
    else:
        (folder / "MANIFEST.json").write_text("{")
    assert not is_intact(folder)
    run_cell(path, tmp_path)
    assert is_intact(folder)


def test_two_processes_do_not_run_one_cell_twice(tmp_path: Path):
    (path,) = write_waiting(tmp_path, seconds=1)
    changed = []

    def one() -> None:
        folder = run_cell(path, tmp_path)
        changed.append((folder / "MANIFEST.json").stat().st_mtime_ns)

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(changed) == 3
    assert len(set(changed)) == 1


def test_a_full_disk_is_said_and_leaves_no_cell(tmp_path: Path, monkeypatch):

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "model.safetensors")

    broken = replace(wait.CELL_KIND, run=full)
    monkeypatch.setattr(wait, "CELL_KIND", broken)
    (path,) = write_waiting(tmp_path)
    with pytest.raises(UserError, match="No space left"):
        run_cell(path, tmp_path)
    assert list_finished(tmp_path, "wait") == {}


def test_cells_set_aside_come_back(tmp_path: Path):
    names = []
    for path in write_waiting(tmp_path, seeds=2):
        run_cell(path, tmp_path)
        names.append("/".join(path.with_suffix("").parts[-4:]))
    set_aside_cells(tmp_path, "wait", names)
    assert list_finished(tmp_path, "wait") == {}
    assert restore_cells(tmp_path, "wait", names) == sorted(names)
    assert sorted(list_finished(tmp_path, "wait")) == sorted(names)


@pytest.mark.slow
def test_run_grid_runs_what_is_missing_and_prunes_the_rest(tmp_path: Path, monkeypatch):
    import shutil

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
