"""Fixtures that several test files share."""

from __future__ import annotations

from pathlib import Path

import pytest

from project import Project, create


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A tiny project after its first `dvc repro`; copy it, do not change it."""
    project = create(tmp_path_factory.mktemp("finished") / "project")
    project.repro()
    project.commit()
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A finished tiny project to change."""
    return finished.copy(tmp_path / "project")
