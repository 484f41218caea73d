"""A cell runs once, whole or not at all, whatever happens to its process or its files."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cells import write_waiting
from cyborg.common.errors import UserError
from cyborg.grid.cell_paths import is_intact, list_finished
from cyborg.grid.kinds import wait
from cyborg.grid.run_cell import run_cell


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


def test_a_working_folder_that_is_deleted_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def delete(*arguments: Any) -> None:
        shutil.rmtree(tmp_path / ".work/wait")
        arguments[-1](1, 2)

    (path,) = write_waiting(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(wait, "CELL_KIND", replace(wait.CELL_KIND, run=delete))
        with pytest.raises(UserError, match="was deleted while its cell ran"):
            run_cell(path, tmp_path)
    assert is_intact(run_cell(path, tmp_path))
