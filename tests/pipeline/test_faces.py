"""params/faces.yaml on real photographs, composites and generators, shortened, by `dvc repro`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from paths import REPOSITORY
from project import Project, create, shortened

FACES = REPOSITORY.parent / "shared/data/faces"
EACH = 40  # images of every folder at most

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FACES.is_dir(), reason="the folder of real faces is not here"),
]


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The shortened experiment, run: fewer images, one small epoch, two variants, one seed."""
    project = create(tmp_path_factory.mktemp("faces") / "project")
    for folder in sorted(path for path in FACES.iterdir() if path.is_dir()):
        target = project.root / "data/raw/faces" / folder.name
        target.mkdir(parents=True)
        for image in sorted(folder.glob("*.jpg"))[:EACH]:
            (target / image.name).symlink_to(image)
    for name in (
        "near_duplicates.csv",
        "ciplab_expert/annotations.json",
        "ciplab_expert/base_photos.csv",
    ):
        shutil.copyfile(FACES / name, project.root / "data/raw/faces" / name)
    params = yaml.safe_load((REPOSITORY / "params/faces.yaml").read_text())
    for maps in params["saliency"].values():
        maps["on_absent"] = "skip"  # most of the annotated images were left out
    text = yaml.safe_dump(shortened(params), sort_keys=False)
    (project.root / "params.yaml").write_text(text)
    project.repro()
    return project


def test_every_generator_has_its_row_and_composites_stand_apart(faces: Project):
    table = pd.read_csv(faces.root / "results/auc.csv")
    params = yaml.safe_load((REPOSITORY / "params/faces.yaml").read_text())
    assert set(table["test_set"]) == set(params["data"]["test_sets"])
    assert table["auc_mean"].between(0, 1).all()
    seen = table.set_index("test_set")["seen"].astype(str).groupby(level=0).first()
    assert seen["composites"] != seen["stylegan2"]


def test_no_composite_is_parted_from_its_base_photograph(faces: Project):
    manifest = pd.read_parquet(faces.root / "data/manifest.parquet")
    assert manifest.groupby("group")["split"].nunique().max() == 1
    assert set(manifest["split"]) == {"train", "validation", "test"}
    assert set(manifest.loc[manifest["source"] == "faces_stylegan2", "split"]) == {"test"}


def test_composites_have_maps_and_photographs_have_none(faces: Project):
    manifest = pd.read_parquet(faces.root / "data/manifest.parquet")
    guided = manifest["saliency"] == "human"
    assert set(manifest.loc[guided, "source"]) == {"faces_ciplab_expert"}
    # One composite has a name that does not tell its regions: it has no map, and is trained on.
    assert guided.sum() >= EACH - 1


def test_what_was_brought_is_neither_changed_nor_cached(faces: Project):
    link = faces.root / "data/raw/faces/r3gan" / "r3gan_seed0000.jpg"
    assert link.is_symlink()
    cached = {
        path.stat().st_size for path in (faces.root / ".dvc/cache").rglob("*") if path.is_file()
    }
    assert Path(link).stat().st_size not in cached
