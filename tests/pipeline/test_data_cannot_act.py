"""A data set that contains pipelines of DVC neither runs commands nor stops or hides anything."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from paths import REPOSITORY
from project import Project, create

pytestmark = pytest.mark.slow

STAGE = "stages:\n  intruder:\n    cmd: touch acted\n"


@pytest.fixture(params=["a clone", "a copied tree", "no git"])
def hostile(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    """A project with and without its first wall, data/.gitignore. One data set has pipelines."""
    project = create(tmp_path / "project")
    if request.param == "a clone":
        shutil.copyfile(REPOSITORY / "data/.gitignore", project.root / "data/.gitignore")
    elif request.param == "no git":
        shutil.rmtree(project.root / ".git")
        project.run("cyborg", "repair")
    folder = project.root / "data/raw/set/deep"
    folder.mkdir(parents=True)
    (folder / "dvc.yaml").write_text(STAGE)
    (folder / "broken").mkdir()
    (folder / "broken/dvc.yaml").write_text("stages: [[[")
    (folder / "broken.dvc").write_text("outs: [[[")
    (folder / "dvc.lock").write_text("[[[")
    (folder / ".dvcignore").write_text("*\n")
    (folder / "image.png").write_bytes(b"1")
    return project


def test_pipelines_in_data_do_not_act_and_changes_are_seen(hostile: Project):
    assert "intruder" not in hostile.run("dvc", "stage", "list", "--all").stdout
    hostile.run("dvc", "repro", "download")
    assert not list(hostile.root.rglob("acted"))
    assert "up to date" in hostile.run("dvc", "status", "download").stdout
    (hostile.root / "data/raw/set/deep/image.png").write_bytes(b"22")
    assert "data/raw" in hostile.run("dvc", "status", "download").stdout
