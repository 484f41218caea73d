"""An edited source file makes `dvc status` name the stages that import it, and no others."""

from __future__ import annotations

import json

import pytest

from project import Project

pytestmark = pytest.mark.slow

# `plan` depends on the whole package: the specification of each cell holds a hash of its code.
IMPORTED_BY = {
    "catalogue/sources.py": {"download", "rasterize", "plan"},
    "download/fetch.py": {"download", "plan"},
    "download/archives.py": {"download", "plan"},
    "download/checksums.py": {"download", "plan"},
    "saliency/formats/coco.py": {"rasterize", "plan"},
    "split/split.py": {"split", "check", "plan"},
    "models/architectures.py": {"pack", "plan"},
    "pack/decode_resize.py": {"pack", "plan"},
    "losses/harmonization.py": {"plan"},
    "grid/cell_paths.py": {"train", "evaluate", "report", "plan"},
    "results/sections/auc.py": {"report", "plan"},
}


def list_changed_stages(project: Project) -> dict[str, set[str]]:
    """Paths that `dvc status` reports as changed, by stage."""
    status = json.loads(project.run("dvc", "status", "--json").stdout)
    return {
        stage: {path for change in changes for path in change.get("changed deps", {})}
        for stage, changes in status.items()
    }


def test_an_edited_file_reruns_the_stages_that_import_it(project: Project):
    assert list_changed_stages(project) == {}
    for name, stages in IMPORTED_BY.items():
        path = project.root / "src/cyborg" / name
        text = path.read_text()
        path.write_text(f"{text}\n# another comment\n")
        changed = list_changed_stages(project)
        path.write_text(text)
        assert set(changed) == stages, name
        for paths in changed.values():
            assert all(f"src/cyborg/{name}".startswith(path) for path in paths), name
