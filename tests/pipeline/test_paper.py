"""params/paper.yaml is the published experiment: planned without data, every value checked."""

from __future__ import annotations

from collections import Counter

import pytest

from cyborg.catalogue.sources import read_catalogue
from cyborg.config.cells import CellSpec
from cyborg.config.evaluation import EvaluateSpec
from cyborg.config.load import load_experiment
from cyborg.config.training import TrainSpec
from cyborg.grid.plan import Planner
from paths import REPOSITORY

NETWORKS = {"resnet50": 224, "densenet121": 224, "inception_v3": 299, "xception": 299}


@pytest.fixture(scope="module")
def cells() -> list[CellSpec]:
    """All cells of params/paper.yaml."""
    return Planner(load_experiment(REPOSITORY / "params/paper.yaml")).plan_all()


@pytest.fixture(scope="module")
def trained(cells: list[CellSpec]) -> list[TrainSpec]:
    return [cell for cell in cells if isinstance(cell, TrainSpec)]


def test_the_number_of_cells(cells: list[CellSpec], trained: list[TrainSpec]):
    assert Counter(cell.kind for cell in cells) == {"train": 320, "evaluate": 320}
    main = [cell for cell in trained if cell.variant in {"cross_entropy", "cyborg"}]
    assert len(main) == 80
    assert {cell.seed for cell in main} == set(range(1, 11))


def test_every_resolved_value_is_the_published_one(trained: list[TrainSpec]):
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
    for cell in trained:
        assert cell.architecture.image_size == NETWORKS[cell.architecture.name]
        assert cell.architecture.weights == "imagenet"
        assert cell.architecture.features == "published"
        assert cell.architecture.frozen == ()
        assert cell.classes == ("bona_fide", "synthetic")
        values = cell.training.model_dump()
        assert {key: values[key] for key in published} == published
        assert not any(values["augmentation"].values())


def test_the_variants(trained: list[TrainSpec]):
    rows = {cell.variant: cell for cell in trained}
    guided = {name: cell for name, cell in rows.items() if cell.loss.name == "cyborg"}
    assert {name: cell.loss.options["alpha"] for name, cell in guided.items()} == {
        "cyborg": 0.5,
        "cyborg_segmentation": 0.5,
        "cyborg_alpha_01": 0.1,
        "cyborg_alpha_03": 0.3,
        "cyborg_alpha_07": 0.7,
        "cyborg_alpha_09": 0.9,
    }
    assert all(cell.loss.options["target"] == "predicted" for cell in guided.values())
    assert {name: cell.saliency for name, cell in guided.items() if cell.saliency != "human"} == {
        "cyborg_segmentation": "segmentation"
    }
    for name in ("cross_entropy", "cross_entropy_seven_times"):
        assert rows[name].loss.name == "cross_entropy"
        assert rows[name].saliency is None
    assert rows["cross_entropy_seven_times"].sources == ("und_train_7x", "und_validation")
    assert all(
        cell.sources == ("und_train_original", "und_validation")
        for name, cell in rows.items()
        if name != "cross_entropy_seven_times"
    )


def test_real_sets_are_paired_as_published(cells: list[CellSpec]):
    expected = {
        "progan": "celebahq",
        "stargan2": "celebahq",
        "stylegan": "ffhq",
        "stylegan2": "ffhq",
        "stylegan2_ada": "ffhq",
        "stylegan3": "ffhq",
    }
    for cell in cells:
        if isinstance(cell, EvaluateSpec):
            assert cell.test_sets == {
                name: tuple(sorted([name, real])) for name, real in expected.items()
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
