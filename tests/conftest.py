"""Fixtures that several test files share."""

from __future__ import annotations

from pathlib import Path

import pytest

from project import Project, create


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that run whole pipelines first, then other slow ones: no processor waits at the end."""
    rank: dict[Path, int] = {}
    for item in items:
        pipeline = "finished" in getattr(item, "fixturenames", ())
        slow = 2 if pipeline else int(item.get_closest_marker("slow") is not None)
        rank[item.path] = max(rank.get(item.path, 0), slow)
    items.sort(key=lambda item: -rank[item.path])


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
