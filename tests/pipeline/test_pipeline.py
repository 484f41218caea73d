"""The promises of the grid (clean, no-op, exact, reversible, shared), by the real commands."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from project import TINY, Project, create

pytestmark = pytest.mark.slow

CROSS_ENTROPY = ["small_cnn/cross_entropy/seed1", "small_cnn/cross_entropy/seed2"]
CYBORG = ["small_cnn/cyborg/seed1", "small_cnn/cyborg/seed2"]


def test_a_clean_repro_runs_everything_and_says_what_came_of_it(finished: Project):
    table = pd.read_csv(finished.root / "results/auc.csv")
    assert list(table.columns[:8]) == [
        "architecture",
        "variant",
        "test_set",
        "runs",
        "auc_mean",
        "auc_sd",
        "ci_low",
        "ci_high",
    ]
    assert set(table["variant"]) == set(TINY["variants"])
    assert (table["runs"] == 2).all()
    assert table["auc_mean"].between(0, 1).all()
    assert "cyborg" in finished.run("cyborg", "show").stdout
    for path in (finished.root / "runs/train").glob("*/*/*/*"):
        assert {p.name for p in path.iterdir()} >= {
            "MANIFEST.json",
            "model.safetensors",
            "network.json",
            "history.csv",
        }


def test_a_second_repro_does_nothing(project: Project):
    before = (project.root / "dvc.lock").read_bytes()
    done = project.repro()
    assert "up to date" in done.stdout + done.stderr
    assert "Running stage" not in done.stdout + done.stderr
    assert (project.root / "dvc.lock").read_bytes() == before


def test_one_alpha_retrains_its_cells_and_going_back_restores_them(project: Project):
    before = project.contents("runs")
    tables = project.contents("results")
    project.params(variants__cyborg__alpha=0.25)
    project.repro()
    assert project.did("train", "run") == CYBORG
    assert project.did("train", "kept") == CROSS_ENTROPY
    assert project.did("evaluate", "run") == CYBORG
    assert project.contents("runs") != before
    project.params()
    project.repro()
    assert project.did("train", "run") == []
    assert project.did("train", "restored") == CYBORG
    assert project.did("evaluate", "run") == []
    assert project.contents("runs") == before
    assert project.contents("results") == tables


def test_a_new_seed_and_a_new_architecture_train_their_own_cells_only(project: Project):
    project.params(seeds=[1, 2, 3])
    project.repro()
    assert project.did("train", "run") == [
        "small_cnn/cross_entropy/seed3",
        "small_cnn/cyborg/seed3",
    ]
    project.params(
        architectures__other={"network": "small_cnn", "weights": "none", "image_size": 32}
    )
    project.repro()
    assert {name.split("/")[0] for name in project.did("train", "run")} == {"other"}
    assert len(project.did("train", "run")) == 4


def test_code_that_no_cell_imports_retrains_nothing(project: Project):
    # The report's code, a loss that no variant uses, and the planner itself.
    for name in ("results/report.py", "losses/harmonization.py", "grid/plan.py"):
        path = project.root / "src/cyborg" / name
        path.write_text(path.read_text() + "\n# another comment\n")
    project.repro()
    assert project.did("train", "run") == project.did("evaluate", "run") == []
    path = project.root / "src/cyborg/losses/cyborg.py"
    path.write_text(path.read_text() + "\n# another comment\n")
    project.repro()
    assert project.did("train", "run") == CYBORG


def test_a_failing_cell_stops_no_other_and_does_not_hide(project: Project):
    loss = project.root / "src/cyborg/losses/broken.py"
    loss.write_text(
        '"""Always fails."""\n'
        "from cyborg.losses._base import Loss\n"
        "from cyborg.losses.cross_entropy import Options\n\n\n"
        "def broken_loss(*tensors, present=None):\n"
        "    raise ArithmeticError('broken on purpose')\n\n\n"
        "LOSS = Loss(broken_loss, Options)\n"
    )
    project.params(variants__broken={"loss": "broken"}, seeds=[1, 2, 3])
    kept = project.contents("runs/train")
    done = project.repro(check=False)
    assert done.returncode != 0
    assert "broken on purpose" in done.stderr
    assert "3 of 9 train cells failed" in done.stderr
    runs = project.contents("runs/train")
    assert all(runs[name] == data for name, data in kept.items())
    assert len([name for name in runs if "seed3" in name and name.endswith("MANIFEST.json")]) == 2
    # The rest is not trained again once the cause is gone.
    project.params(seeds=[1, 2, 3])
    project.repro()
    assert project.did("train", "run") == []


def test_a_loss_is_one_file(project: Project):
    """What the documentation promises: dropping a file in is all it takes to train with it."""
    (project.root / "src/cyborg/losses/toy.py").write_text(
        '"""A toy: cross-entropy times a factor."""\n'
        "from pydantic import Field\n\n"
        "from cyborg.common.schema import Parameters\n"
        "from cyborg.losses._base import Loss, LossOutput\n"
        "from cyborg.losses.cross_entropy import cross_entropy_loss\n\n\n"
        "class Options(Parameters):\n"
        "    factor: float = Field(2.0, gt=0, description='multiplies the loss')\n\n\n"
        "def toy_loss(*tensors, present=None, factor=2.0):\n"
        "    out = cross_entropy_loss(*tensors)\n"
        "    return LossOutput(out.total * factor, out.classification, out.saliency)\n\n\n"
        "LOSS = Loss(toy_loss, Options)\n"
    )
    project.params(variants__toy={"loss": "toy", "factor": 3.0}, seeds=[1])
    project.repro()
    assert project.did("train", "run") == ["small_cnn/toy/seed1"]
    assert "toy" in set(pd.read_csv(project.root / "results/auc.csv")["variant"])


def test_two_clones_give_the_same_lock(finished: Project, tmp_path):
    other = create(tmp_path / "other")
    other.repro()
    assert (other.root / "dvc.lock").read_bytes() == (finished.root / "dvc.lock").read_bytes()
    assert other.contents("results") == finished.contents("results")


def test_the_tools_of_dvc_work(project: Project):
    metrics = json.loads(project.run("dvc", "metrics", "show", "--json").stdout)
    assert "cyborg" in json.dumps(metrics)
    assert "report" in project.run("dvc", "dag").stdout
    project.params(variants__cyborg__alpha=0.25)
    assert "variants.cyborg.alpha" in project.run("dvc", "params", "diff").stdout
    project.params()
    shown = project.run("dvc", "plots", "show", "-o", "plots").stdout
    assert re.search(r"plots.*index\.html", shown)
    project.run("dvc", "exp", "run", "-q", "-S", "variants.cyborg.alpha=0.75")
    assert project.did("train", "run") == CYBORG
    assert "0.75" in project.run("dvc", "exp", "show", "--csv").stdout
