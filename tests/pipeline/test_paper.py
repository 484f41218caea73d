"""params/paper.yaml is the published experiment: planned without data, every value checked."""

from __future__ import annotations

from collections import Counter

import pytest

from cyborg.catalogue.sources import read_catalogue
from cyborg.config.load import load_experiment
from cyborg.grid.plan import specifications
from paths import REPOSITORY

NETWORKS = {"resnet50": 224, "densenet121": 224, "inception_v3": 299, "xception": 299}


@pytest.fixture(scope="module")
def cells() -> list[dict]:
    """All specifications of params/paper.yaml."""
    return specifications(load_experiment(REPOSITORY / "params/paper.yaml"))


def test_the_number_of_cells(cells):
    assert Counter(cell["kind"] for cell in cells) == {"train": 320, "evaluate": 320}
    main = [
        c for c in cells if c["kind"] == "train" and c["variant"] in {"cross_entropy", "cyborg"}
    ]
    assert len(main) == 80
    assert {c["seed"] for c in main} == set(range(1, 11))


def test_every_resolved_value_is_the_published_one(cells):
    for cell in cells:
        if cell["kind"] == "evaluate":
            continue
        assert cell["architecture"]["image_size"] == NETWORKS[cell["architecture"]["name"]]
        assert cell["architecture"]["weights"] == "imagenet"
        assert cell["architecture"]["features"] == "published"
        assert cell["architecture"]["frozen"] == []
        assert cell["classes"] == ["bona_fide", "synthetic"]
        published = {
            "epochs": 50,
            "batch_size": 20,
            "accumulate": 1,
            "images_per_epoch": None,
            "balance": "none",
            "optimiser": "sgd",
            "learning_rate": 0.005,
            "momentum": 0.9,
            "weight_decay": 1e-6,
            "schedule": "step",
            "step_epochs": 12,
            "step_factor": 0.1,
            "selection": "accuracy",
            "early_stopping": None,
            "precision": "float32",
        }
        assert {key: cell["training"][key] for key in published} == published
        assert not any(cell["training"]["augmentation"].values())


def test_the_variants(cells):
    rows = {c["variant"]: c for c in cells if c["kind"] == "train"}
    guided = {name: c for name, c in rows.items() if c["loss"]["name"] == "cyborg"}
    assert {name: c["loss"]["options"]["alpha"] for name, c in guided.items()} == {
        "cyborg": 0.5,
        "cyborg_segmentation": 0.5,
        "cyborg_alpha_01": 0.1,
        "cyborg_alpha_03": 0.3,
        "cyborg_alpha_07": 0.7,
        "cyborg_alpha_09": 0.9,
    }
    assert all(c["loss"]["options"]["target"] == "predicted" for c in guided.values())
    assert {name: c["saliency"] for name, c in guided.items() if c["saliency"] != "human"} == {
        "cyborg_segmentation": "segmentation"
    }
    for name in ("cross_entropy", "cross_entropy_seven_times"):
        assert rows[name]["loss"]["name"] == "cross_entropy"
        assert rows[name]["saliency"] is None
    assert rows["cross_entropy_seven_times"]["sources"] == ["und_train_7x", "und_validation"]
    assert all(
        c["sources"] == ["und_train_original", "und_validation"]
        for name, c in rows.items()
        if name != "cross_entropy_seven_times"
    )


def test_real_sets_are_paired_as_published(cells):
    expected = {
        "progan": "celebahq",
        "stargan2": "celebahq",
        "stylegan": "ffhq",
        "stylegan2": "ffhq",
        "stylegan2_ada": "ffhq",
        "stylegan3": "ffhq",
    }
    for cell in cells:
        if cell["kind"] == "evaluate":
            assert cell["test_sets"] == {
                name: sorted([name, real]) for name, real in expected.items()
            }


def test_the_catalogue_knows_every_set_and_its_size():
    rows = read_catalogue(REPOSITORY / "data/sources.csv")
    counts = {
        "und_train_original": 1821,
        "und_train_7x": 12747,
        "und_validation": 20000,
        "ffhq": 70000,
        "celebahq": 30000,
        "progan": 100000,
        "stargan2": 100000,
        "stylegan": 100000,
        "stylegan2": 100000,
        "stylegan2_ada": 100000,
        "stylegan3": 100000,
    }
    for name, count in counts.items():
        assert rows[name].count == count
        assert rows[name].access == "gated"
    # StyleGAN2 is seen in training, the other five are not.
    assert "stylegan2" in rows["und_train_original"].generator.split()
    for name in ("progan", "stargan2", "stylegan", "stylegan2_ada", "stylegan3"):
        assert name not in rows["und_train_original"].generator.split()
