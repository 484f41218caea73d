"""Files that a killed run leaves in .dvc block no later run, and living runs keep their locks."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import psutil
import pytest

from cyborg.grid.repair import repair_project
from project import create

VALID = "schema: '2.0'\nstages:\n  download:\n    cmd: cyborg download\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    return tmp_path


def write_rwlock(root: Path, pid: int, command: str) -> Path:
    path = root / ".dvc/tmp/rwlock"
    holder = {"pid": pid, "cmd": command}
    path.write_text(json.dumps({"write": {"/out": holder}, "read": {"/dep": [holder]}}))
    return path


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"write": 3}', '{"write": {"a": {"pid": "x", "cmd": "y"}}}', "\0\0"]
)
def test_a_damaged_rwlock_is_removed(root: Path, content: str):
    path = root / ".dvc/tmp/rwlock"
    path.write_text(content)
    (said,) = repair_project(root)
    assert "damaged" in said
    assert not path.exists()
    assert repair_project(root) == []


def test_entries_of_a_process_that_ended_are_removed(root: Path):
    dead = next(pid for pid in range(60000, 4_000_000) if not psutil.pid_exists(pid))
    path = write_rwlock(root, dead, "dvc repro")
    (said,) = repair_project(root)
    assert str(dead) in said
    assert json.loads(path.read_text()) == {"read": {}, "write": {}}


def test_entries_of_another_process_that_has_the_number_now_are_removed(root: Path):
    path = write_rwlock(root, os.getpid(), "dvc repro")
    assert len(repair_project(root)) == 1
    assert json.loads(path.read_text()) == {"read": {}, "write": {}}


def test_entries_of_a_later_process_with_the_same_command_are_removed(root: Path):
    path = write_rwlock(root, os.getpid(), " ".join(psutil.Process().cmdline()[1:]))
    before = psutil.Process().create_time() - 60
    os.utime(path, (before, before))
    assert len(repair_project(root)) == 1


def test_entries_of_a_living_run_stay(root: Path):
    path = write_rwlock(root, os.getpid(), " ".join(psutil.Process().cmdline()[1:]))
    before = path.read_text()
    assert repair_project(root) == []
    assert path.read_text() == before


@pytest.mark.parametrize(
    "content", ["", "schema: '2.0'\nstages:\n  download:\n    deps:\n    - pa", "a: [", "\0"]
)
def test_a_damaged_dvc_lock_is_moved_aside(root: Path, content: str):
    (root / "dvc.lock").write_text(content)
    (said,) = repair_project(root)
    assert "git checkout dvc.lock" in said
    assert not (root / "dvc.lock").exists()
    assert (root / "dvc.lock.damaged").read_text() == content


def test_a_whole_dvc_lock_stays(root: Path):
    (root / "dvc.lock").write_text(VALID)
    assert repair_project(root) == []
    assert (root / "dvc.lock").read_text() == VALID


@pytest.mark.slow
def test_dvc_runs_after_the_repair_and_not_before(tmp_path: Path):
    project = create(tmp_path / "project")
    (project.root / ".dvc/tmp").mkdir()
    (project.root / ".dvc/tmp/rwlock").write_text("")
    (project.root / "dvc.lock").write_text("")
    assert project.run("dvc", "repro", "download", check=False).returncode
    repaired = project.run("cyborg", "repair")
    assert "rwlock" in repaired.stderr
    assert "dvc.lock" in repaired.stderr
    project.run("dvc", "repro", "download")


@pytest.mark.slow
def test_a_project_without_git_runs(tmp_path: Path):
    project = create(tmp_path / "project")
    shutil.rmtree(project.root / ".git")
    assert "git" in project.run("dvc", "status", check=False).stderr
    assert "no git repository" in project.run("cyborg", "repair").stderr
    assert project.run("cyborg", "repair").stderr == ""
    project.run("dvc", "repro", "download")


@pytest.mark.slow
def test_a_project_in_a_folder_of_a_larger_repository_runs(tmp_path: Path):
    project = create(tmp_path / "larger/project")
    shutil.move(project.root / ".git", project.root.parent / ".git")
    assert project.run("cyborg", "repair").stderr == ""
    project.run("dvc", "repro", "download")


def test_make_repro_repairs_before_it_starts_dvc():
    from paths import REPOSITORY

    text = (REPOSITORY / "Makefile").read_text()
    assert "\t@cyborg repair\n\tdvc repro\n" in text
