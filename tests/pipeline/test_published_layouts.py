"""Tiny fakes in the layouts of published sets: the paper to its report, others to the audit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from cyborg.catalogue.sources import read_catalogue
from cyborg.check.check import check
from cyborg.config.experiment import Experiment
from cyborg.download.download import download
from cyborg.saliency.rasterize import rasterize
from cyborg.split.split import split
from paths import REPOSITORY
from project import Project, create
from published_sets import SIDE, draw_paper, draw_source, write_catalogue

CATALOGUE = REPOSITORY / "data/sources.csv"
GENERATORS = ("progan", "stargan2", "stylegan", "stylegan2", "stylegan2_ada", "stylegan3")


# The paper


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """params/paper.yaml with one small network, one seed and one epoch, run on a fake."""
    project = create(tmp_path_factory.mktemp("paper") / "project")
    draw_paper(project.root)
    known = read_catalogue(CATALOGUE)
    for name in ("ffhq", "celebahq", *GENERATORS):
        draw_source(known[name], project.root)
    counts = {"und_train_original": "24", "und_train_7x": "48", "und_validation": "24"}
    changes = {name: {"count": count} for name, count in counts.items()}
    write_catalogue(CATALOGUE, project.root / "data/sources.csv", changes)
    params = yaml.safe_load((REPOSITORY / "params/paper.yaml").read_text())
    params["architectures"] = {"small_cnn": {"weights": "none", "image_size": 32}}
    # The sweep differs from `cyborg` in a number alone.
    params["variants"] = {
        name: row for name, row in params["variants"].items() if "alpha_" not in name
    }
    params["seeds"] = [1]
    params["training"] |= {"epochs": 1}
    params["report"]["bootstrap"] = 100
    (project.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    project.repro()
    return project


@pytest.mark.slow
def test_the_paper_comes_to_its_report(paper: Project):
    table = pd.read_csv(paper.root / "results/auc.csv")
    assert set(table["test_set"]) == set(GENERATORS)
    assert set(table["variant"]) == {
        "cross_entropy",
        "cyborg",
        "cross_entropy_seven_times",
        "cyborg_segmentation",
    }
    assert table["auc_mean"].between(0, 1).all()
    assert (paper.root / "results/report.html").is_file()


@pytest.mark.slow
def test_stylegan2_alone_is_seen_in_the_tables_and_in_the_audit(paper: Project):
    table = pd.read_csv(paper.root / "results/auc.csv")
    seen = table.groupby("test_set")["seen"].unique().map(list).to_dict()
    assert seen == {name: ["yes" if name == "stylegan2" else "no"] for name in GENERATORS}
    audit = yaml.safe_load((paper.root / "results/check.json").read_text())
    assert {name: bool(found["seen"]) for name, found in audit["generators"].items()} == {
        name: name == "stylegan2" for name in GENERATORS
    }


@pytest.mark.slow
def test_the_papers_lists_are_read_as_published(paper: Project):
    manifest = pd.read_parquet(paper.root / "data/manifest.parquet")
    counts = manifest.groupby(["source", "split"]).size().to_dict()
    assert counts.pop(("und_train_original", "train")) == 24
    assert counts.pop(("und_train_7x", "train")) == 48  # those of the original among them
    assert counts.pop(("und_validation", "validation")) == 24
    assert set(counts) == {(name, "test") for name in ("ffhq", "celebahq", *GENERATORS)}
    maps = manifest.groupby("source")["saliency"].unique().map(list).to_dict()
    assert maps.pop("und_train_original") == ["human,segmentation"]
    assert set(map(tuple, maps.values())) == {("",)}
    shared = manifest.groupby("file").filter(lambda rows: len(rows) > 1)
    assert len(shared) == 48
    assert shared.groupby("file")["group"].nunique().max() == 1


# Other sets. Each case: rows to train on, rows of each test set, ending of its images.


CASES: dict[str, tuple[list[str], dict[str, list[str]], str]] = {
    "forensynths": (
        ["forensynths_train"],
        {
            "whichfaceisreal": [
                "forensynths_whichfaceisreal_real",
                "forensynths_whichfaceisreal_fake",
            ],
            "stargan": ["forensynths_stargan_real", "forensynths_stargan_fake"],
        },
        "png",
    ),
    "genimage": (
        ["ciplab_real", "ciplab_fake"],
        {
            name: ["genimage_nature", f"genimage_{name}"]
            for name in (
                *("midjourney", "vqdm", "wukong", "stable_diffusion_14"),
                *("stable_diffusion_15", "glide", "biggan", "adm"),
            )
        },
        "png",
    ),
    "dffd": (["dffd"], {"eval": ["deepfake_eval_2024"]}, "png"),
    "faces_140k": (
        [f"faces_140k_{part}_{kind}" for part in ("train", "valid") for kind in ("real", "fake")],
        {"test": ["faces_140k_test_real", "faces_140k_test_fake"]},
        "jpg",
    ),
    "ciplab": (["ciplab_real", "ciplab_fake"], {"own": ["ciplab_real", "ciplab_fake"]}, "jpg"),
    "diffusion": (
        ["deepfakeface", "diff", "df40", "faceforensics", "celeb_df"],
        {"models": ["celeba", "diffusionface"]},
        "jpg",
    ),
    "originals": (
        ["ffhq_original", "celebahq_original", "progan_original", "srefi"],
        {
            "stylegan": ["ffhq_thumbnails", "stylegan_original"],
            "stylegan2": ["frgc", "stylegan2_original", "thispersondoesnotexist"],
            "stylegan2_ada": ["ffhq_thumbnails", "stylegan2_ada_generated"],
            "stylegan3": ["ffhq_thumbnails", "stylegan3_generated", "stylegan3_detector"],
            "stargan2": ["ffhq_thumbnails", "stargan2_generated"],
        },
        "png",
    ),
    "archives": (
        ["celebahq_256", "omi"],
        {"ganprintr": ["celeba", "ifakefacedb"]},
        "jpg",
    ),
}


def make_experiment(case: str, saliency: dict[str, Any] | None = None) -> Experiment:
    training, tests, _ = CASES[case]
    return Experiment.model_validate(
        {
            "data": {"training_sets": {"main": training}, "test_sets": tests},
            "split": {"validation": 0.3, "test": 0.3},
            "saliency": saliency or {},
            "architectures": {"small_cnn": {"weights": "none", "image_size": 32}},
            "variants": {"cross_entropy": {"loss": "cross_entropy"}},
            "seeds": [1],
        }
    )


def run_to_audit(experiment: Experiment, root: Path) -> pd.DataFrame:
    """Run the stages before training. Return the manifest."""
    for stage in (download, rasterize, split, check):
        stage(experiment, root)
    return pd.read_parquet(root / "data/manifest.parquet")


@pytest.mark.parametrize("case", CASES)
def test_a_published_layout_comes_to_the_audit(case: str, tmp_path: Path):
    experiment = make_experiment(case)
    write_catalogue(CATALOGUE, tmp_path / "data/sources.csv", {})
    known = read_catalogue(tmp_path / "data/sources.csv")
    _, tests, ending = CASES[case]
    for name in experiment.data.list_sources():
        draw_source(known[name], tmp_path, ending=ending)
    manifest = run_to_audit(experiment, tmp_path)
    assert set(manifest["source"]) == set(experiment.data.list_sources())
    for sources in tests.values():
        rows = manifest[manifest["source"].isin(sources) & (manifest["split"] == "test")]
        assert set(rows["label"]) == {"bona_fide", "synthetic"}


def test_the_masks_of_celebamask_hq_and_dolos(tmp_path: Path):
    """One mask per part of a face, in folders, named by number; one mask per edited face."""
    parts = tmp_path / "data/raw/CelebAMask-HQ-mask-anno"
    changes = {"celebahq_original": {"segmentation": "data/raw/CelebAMask-HQ-mask-anno"}}
    write_catalogue(CATALOGUE, tmp_path / "data/sources.csv", changes)
    known = read_catalogue(tmp_path / "data/sources.csv")
    CASES["masks"] = (
        ["celebahq_original", "dolos_lama"],
        {"ldm": ["celeba", "dolos_repaint_ldm"]},
        "png",
    )
    experiment = make_experiment("masks", {"parts": {"column": "segmentation"}})
    del CASES["masks"]
    for name in experiment.data.list_sources():
        draw_source(known[name], tmp_path)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[8:24, 8:24] = 255
    for n in range(8):
        (tmp_path / f"data/raw/celebahq_original/{n:05d}.png").rename(
            tmp_path / f"data/raw/celebahq_original/{n}.png"
        )
        targets = [parts / f"{n // 4}/{n:05d}_{part}.png" for part in ("nose", "hair")]
        for name in ("dolos_lama", "dolos_repaint_ldm"):
            targets.append(tmp_path / known[name].segmentation / f"{n:05d}.png")
        for target in targets:
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(target)
    manifest = run_to_audit(experiment, tmp_path).set_index("source")
    for name in ("celebahq_original", "dolos_lama", "dolos_repaint_ldm"):
        assert set(manifest.loc[name, "saliency"]) == {"parts"}


@pytest.mark.slow
def test_an_archive_of_140k_faces_comes_to_a_table(tmp_path: Path):
    project = create(tmp_path / "project")
    write_catalogue(CATALOGUE, project.root / "data/sources.csv", {})
    known = read_catalogue(CATALOGUE)
    experiment = make_experiment("faces_140k")
    for name in experiment.data.list_sources():
        draw_source(known[name], project.root, ending="jpg")
    project.params(
        data=experiment.data.model_dump(),
        saliency={},
        variants={"cross_entropy": {"loss": "cross_entropy"}},
        seeds=[1],
        training__epochs=1,
    )
    project.repro()
    table = pd.read_csv(project.root / "results/auc.csv")
    assert table["test_set"].tolist() == ["test"]
    assert table["seen"].tolist() == ["yes"]
