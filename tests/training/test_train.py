"""Training: determinism, resuming, selection, schedules, and what it refuses."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score
from torch import nn

import cyborg.losses
import cyborg.training.train
from cyborg.common.closure import collect_modules
from cyborg.common.errors import UserError
from cyborg.common.families import LOSSES
from cyborg.common.files import sha256_bytes
from cyborg.common.schema import Parameters
from cyborg.config.training import Training, TrainSpec
from cyborg.losses._base import Extra, Loss, LossOutput
from cyborg.models.network import NetworkOutput
from cyborg.models.trained import load_model
from cyborg.training.batches import Epochs, Samples
from cyborg.training.checkpoint import Checkpoint, TrainingState
from cyborg.training.machine import choose_device, configure_torch, explain_error
from cyborg.training.objective import Objective
from cyborg.training.optimisation import compute_learning_rate, make_optimiser
from cyborg.training.train import train_cell, train_network
from cyborg.training.validation import average_auc, compare_epochs
from tiny_project import project, train_spec

FILES = ["environment.json", "history.csv", "model.safetensors", "network.json", "result.json"]


@pytest.fixture(autouse=True)
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYBORG_DEVICE", "cpu")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return project(tmp_path / "project")


def run(spec: TrainSpec, root: Path, name: str = "cell", **more: Any) -> Path:
    out = root.parent / name
    out.mkdir()
    train_cell(spec, out, root, **more)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# A cell and its files


def test_a_cell_leaves_its_files_and_learns(root: Path) -> None:
    reports: list[tuple[int, int]] = []
    out = run(train_spec(training={"epochs": 6}), root, report=lambda *done: reports.append(done))
    assert sorted(path.name for path in out.iterdir()) == FILES
    history = pd.read_csv(out / "history.csv")
    assert list(history) == [
        "epoch", "learning_rate", "loss", "classification", "saliency",
        "validation_accuracy", "validation_auc", "validation_loss", "selected",
    ]  # fmt: skip
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    assert reports == [(epoch, 6) for epoch in range(1, 7)]
    assert history["loss"].iloc[-1] < history["loss"].iloc[0] / 4
    mixed = (history["classification"] + history["saliency"]) / 2
    assert np.allclose(history["loss"], mixed, rtol=1e-5)
    result = json.loads((out / "result.json").read_text())
    chosen = history[history["selected"] == 1]
    assert chosen["epoch"].tolist() == [result["epoch"]] == [6]
    assert result["validation"]["auc"] == chosen["validation_auc"].item() == 1
    assert result["training_images"] == 24
    assert result["training_maps"] == 6
    assert result["validation_images"] == 8
    assert json.loads((out / "environment.json").read_text())["threads"] == 1


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(root: Path) -> None:
    everything = {
        "flip": 0.5, "scale": 0.1, "rotation": 5, "shift": 0.05,
        "blur": 0.5, "colour": 0.2, "jpeg": 0.5,
    }  # fmt: skip
    training = {"augmentation": everything, "balance": "class_and_source"}
    one = run(train_spec(training=training), root, "one")
    two = run(train_spec(training=training), root, "two")
    other = run(train_spec(training=training, seed=4), root, "other")
    assert contents(one) == contents(two)
    for name in ("history.csv", "model.safetensors"):
        assert contents(one)[name] != contents(other)[name]


def test_a_control_changes_what_is_learnt(root: Path) -> None:
    honest = run(train_spec(), root, "honest")
    control = run(train_spec(control="inverted"), root, "control")
    assert contents(honest)["model.safetensors"] != contents(control)["model.safetensors"]
    result = [json.loads((out / "result.json").read_text()) for out in (honest, control)]
    assert result[0]["training_maps"] == result[1]["training_maps"]


def test_without_maps_cyborg_is_its_share_of_cross_entropy(root: Path) -> None:
    out = run(train_spec(saliency=None), root)
    history = pd.read_csv(out / "history.csv")
    assert (history["saliency"] == 0).all()
    assert np.allclose(history["loss"], history["classification"] / 2)
    assert json.loads((out / "result.json").read_text())["training_maps"] == 0


# Every loss, with a map for some images only


@pytest.mark.parametrize("name", LOSSES.list_names())
def test_every_loss_trains(name: str, root: Path) -> None:
    path = root / "data/manifest.parquet"
    manifest = pd.read_parquet(path)
    manifest["sample_weight"] = np.where(manifest["label"] == "synthetic", 2.0, np.nan)
    manifest.to_parquet(path, index=False)
    spec = train_spec(loss=name, training={"learning_rate": 0.005})
    history = pd.read_csv(run(spec, root) / "history.csv")
    assert np.isfinite(history[["loss", "classification", "saliency"]]).all(axis=None)


def test_weights_of_samples_must_be_there_for_a_loss_that_wants_them(root: Path) -> None:
    spec = train_spec(loss="perceptual_weight")
    with pytest.raises(UserError, match="needs weights of samples"):
        run(spec, root)


def test_what_a_loss_learns_is_trained(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []
    original = Objective.forward

    def spy(self: Objective, *arguments: Any) -> LossOutput:
        seen.append(torch.cat([p.detach().flatten() for p in self.parameters()]).clone())
        return original(self, *arguments)

    monkeypatch.setattr(Objective, "forward", spy)
    run(train_spec(loss="res_l", training={"epochs": 3}), root)
    assert len(seen) == 9
    assert not torch.equal(seen[0], seen[-1])


# Resuming


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize(
    "training",
    [
        {},
        {"optimiser": "adamw", "learning_rate": 0.001, "schedule": "one_cycle", "accumulate": 2,
         "augmentation": {"flip": 0.5, "rotation": 5}, "images_per_epoch": 20},
        {"precision": "float16", "schedule": "cosine"},
        {"selection": "loss", "early_stopping": 2, "learning_rate": 0.3},
        {"learning_rate": 0.01, "loss": "res_l"},
    ],
)  # fmt: skip
def test_an_interrupted_training_ends_with_the_same_bytes(
    training: dict[str, Any], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = dict(training)
    loss = training.pop("loss", "cyborg")
    original = cyborg.training.train.build_network

    def with_dropout(*arguments: Any, **options: Any) -> Any:
        network = original(*arguments, **options)
        network.net.features.append(nn.Dropout(0.2))  # something random inside the network
        return network

    monkeypatch.setattr(cyborg.training.train, "build_network", with_dropout)
    spec = train_spec(training={"epochs": 5} | training, loss=loss)
    whole = run(spec, root, "whole")
    epochs = []

    def kill(epoch: int, total: int) -> None:
        epochs.append(epoch)
        if epoch in (1, 3):
            raise Killed

    work = root.parent / "work"
    for attempt in range(3):
        try:
            out = run(spec, root, f"attempt{attempt}", work=work, report=kill)
        except Killed:
            continue
    assert contents(out) == contents(whole)
    assert epochs == sorted(set(epochs))  # no epoch was trained twice


def test_the_state_of_another_training_is_not_taken_up(root: Path) -> None:
    work = root.parent / "work"
    run(train_spec(seed=5), root, "former", work=work)
    out = run(train_spec(), root, "resumed", work=work)
    assert contents(out) == contents(run(train_spec(), root, "fresh"))


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not a file of torch", b"\x80\x02c"])
def test_a_damaged_state_is_not_taken_up(damage: bytes, root: Path) -> None:
    work = root.parent / "work"
    work.mkdir()
    (work / "state.pt").write_bytes(damage)
    out = run(train_spec(), root, "resumed", work=work)
    assert contents(out) == contents(run(train_spec(), root, "fresh"))


def test_the_state_of_the_gradient_scaler_is_kept(tmp_path: Path) -> None:
    def parts(scale: float) -> Any:
        network = Pixel()
        scaler = torch.amp.GradScaler("cpu", init_scale=scale, enabled=True)
        return network, make_optimiser(network, Training()), scaler

    checkpoint = Checkpoint(tmp_path / "state.pt", "training")
    checkpoint.save_state(TrainingState(epoch=3), *parts(128.0))
    fresh = parts(65536.0)
    assert checkpoint.restore_state(*fresh).epoch == 3
    assert fresh[2].state_dict()["scale"] == 128.0
    assert Checkpoint(tmp_path / "state.pt", "another").restore_state(*fresh) == TrainingState()


def test_no_damage_of_a_state_is_loaded(tmp_path: Path) -> None:
    """A changed byte may be in a tensor, where torch does not notice it, or in any header."""
    training = Training()

    def parts() -> Any:
        network = Pixel()
        scaler = torch.amp.GradScaler("cpu", enabled=False)
        return network, make_optimiser(network, training), scaler

    checkpoint = Checkpoint(tmp_path / "state.pt", "training")
    checkpoint.save_state(TrainingState(epoch=3), *parts())
    whole = (tmp_path / "state.pt").read_bytes()
    assert checkpoint.restore_state(*parts()).epoch == 3
    for place in range(0, len(whole), max(1, len(whole) // 150)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        for damaged in (bytes(changed), whole[:place]):
            (tmp_path / "state.pt").write_bytes(damaged)
            assert checkpoint.restore_state(*parts()) == TrainingState(), place


class Code:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("executed",))


def test_a_state_with_code_in_it_is_not_executed(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = root.parent / "work"
    work.mkdir()
    torch.save({"identity": Code()}, work / "code.pt")
    saved = (work / "code.pt").read_bytes()
    (work / "state.pt").write_bytes(sha256_bytes(saved).encode() + saved)
    run(train_spec(), root, work=work)
    assert "executed" not in capsys.readouterr().out


# The loop, with a network of one layer and measures that are told


class Pixel(nn.Module):
    """Features are the image, 3 channels; logits their mean through a linear layer."""

    image_size, map_size = 4, (4, 4)

    def __init__(self, seed: int = 0):
        super().__init__()
        torch.manual_seed(seed)
        self.head = nn.Linear(3, 2)

    def normalise_images(self, images: torch.Tensor) -> torch.Tensor:
        return images.float() / 255

    def forward_normalised(self, normalised: torch.Tensor) -> NetworkOutput:
        return NetworkOutput(self.head(normalised.mean((2, 3))), normalised, self.head.weight)

    def forward(self, images: torch.Tensor) -> NetworkOutput:
        return self.forward_normalised(self.normalise_images(images))


def loop(
    training: dict[str, Any], told: list[float] | None = None, loss: Loss | None = None
) -> Any:
    """Train Pixel; `told` are the accuracies (AUCs, losses) that validation finds."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (8, 4, 4, 3), dtype=np.uint8)
    samples = Samples(pixels, np.arange(8) % 2, pixels[:4, :, :, 0].copy(), np.arange(4))
    chosen = Training.model_validate({"batch_size": 8, "learning_rate": 0.1} | training)
    network = Pixel()
    objective = Objective(loss or LOSSES.find("cyborg"), {}, 4, (4, 4), 0)
    data = Epochs(samples, np.array(["a"] * 8), chosen, (4, 4), 0)
    values = iter(told or [0.5] * chosen.epochs)

    def measured(*_: Any) -> dict[str, float]:
        return dict.fromkeys(("accuracy", "auc", "loss"), next(values))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cyborg.training.train, "validate_network", measured)
        result = train_network(network, objective, data, None, chosen, 0, Checkpoint(None))  # type: ignore
    return SimpleNamespace(network=network, **vars(result))


@pytest.mark.parametrize(
    ("selection", "told", "chosen"),
    [
        ("accuracy", [0.5, 0.8, 0.7, 0.8, 0.6], 4),  # of equals the later
        ("auc", [0.5, 0.9, 0.9, 0.1, 0.2], 3),
        ("loss", [0.5, 0.2, 0.3, 0.2, 0.6], 4),
        ("last", [0.5, 0.9, 0.9, 0.1, 0.2], 5),
    ],
)
def test_the_epoch_is_chosen_as_said(selection: str, told: list[float], chosen: int) -> None:
    result = loop({"epochs": 5, "selection": selection}, told)
    assert result.selected == chosen
    shorter = loop({"epochs": chosen, "selection": "last"}, told)
    assert torch.equal(result.best["head.weight"], shorter.network.head.weight)


@pytest.mark.parametrize(
    ("told", "epochs", "chosen"),
    [
        ([0.5, 0.8, 0.7, 0.7, 0.9], 4, 2),
        ([0.5, 0.8, 0.8, 0.8, 0.9], 4, 4),  # an equal epoch is chosen, but is no improvement
        ([0.5, 0.6, 0.5, 0.7, 0.6, 0.5, 0.9], 6, 4),
    ],
)
def test_training_stops_early(told: list[float], epochs: int, chosen: int) -> None:
    result = loop({"epochs": 7, "early_stopping": 2}, told + [0.0] * 7)
    assert result.epoch == len(result.history) == epochs
    assert result.selected == chosen


def test_accumulated_batches_are_one_step() -> None:
    """Cross-entropy is a mean over images: 8 at once or 3 + 3 + 2 give one and the same step."""
    loss = LOSSES.find("cross_entropy")
    once = loop({"epochs": 3}, loss=loss)
    parts = loop({"epochs": 3, "batch_size": 3, "accumulate": 3}, loss=loss)
    assert torch.allclose(once.network.head.weight, parts.network.head.weight, atol=1e-6)
    separate = loop({"epochs": 3, "batch_size": 3}, loss=loss)
    assert not torch.allclose(once.network.head.weight, separate.network.head.weight, atol=1e-4)
    assert once.history[0]["loss"] == pytest.approx(parts.history[0]["loss"], rel=1e-5)


def test_a_loss_is_given_what_it_needs() -> None:
    given: dict[str, Any] = {}

    def probe_loss(logits: Any, labels: Any, features: Any, weight: Any, saliency: Any,
                   *, present: Any, scale: float, images: Any, network: Any,
                   sample_weight: Any) -> LossOutput:  # fmt: skip
        (gradient,) = torch.autograd.grad(logits[:, 1].sum(), images, create_graph=True)
        again = network(images)
        given.update(gradient=gradient, again=again[0], logits=logits, saliency=saliency,
                     present=present, scale=scale, weights=sample_weight)  # fmt: skip
        total = gradient.square().sum() * scale + logits.sum() * 0
        return LossOutput(total, total, total)

    class Options(Parameters):
        scale: float = 2.0

    extras: frozenset[Extra] = frozenset({"images", "network", "sample_weight"})
    probe = Loss(probe_loss, Options, extras, map_size="images")
    result = loop({"epochs": 1}, loss=probe)
    assert given["scale"] == 2.0
    assert torch.equal(given["again"], given["logits"])
    assert given["gradient"].shape == (8, 3, 4, 4)
    assert given["saliency"].shape == (8, 4, 4)
    assert given["present"].sum() == 4
    assert given["weights"].isnan().all()
    assert result.network.head.weight.norm() < Pixel().head.weight.norm()  # second derivatives


# Schedules and optimisers


def rates(steps: int, **training: Any) -> list[float]:
    chosen = Training.model_validate({"learning_rate": 0.4} | training)
    return [compute_learning_rate(chosen, step, steps) for step in range(chosen.epochs * steps)]


def scheduled(make: Any, count: int, every: int = 1) -> list[float]:
    """The rates of a scheduler of torch that is stepped after every so many steps."""
    sgd = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.4)
    scheduler = make(sgd)
    found = []
    for step in range(1, count + 1):
        found.append(sgd.param_groups[0]["lr"])
        sgd.step()
        if step % every == 0:
            scheduler.step()
    return found


def test_schedules_are_those_of_torch() -> None:
    schedulers = torch.optim.lr_scheduler
    expected = scheduled(lambda o: schedulers.StepLR(o, 3, 0.1), 40, every=4)
    assert rates(4, epochs=10, schedule="step", step_epochs=3) == pytest.approx(expected)
    expected = scheduled(lambda o: schedulers.CosineAnnealingLR(o, 40), 40)
    assert rates(4, epochs=10, schedule="cosine") == pytest.approx(expected)
    expected = scheduled(
        lambda o: schedulers.OneCycleLR(o, 0.4, total_steps=40, cycle_momentum=False), 40
    )
    assert rates(4, epochs=10, schedule="one_cycle") == pytest.approx(expected)
    assert rates(4, epochs=10, schedule="constant") == [0.4] * 40


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_one_cycle_of_few_steps_is_within_its_limits(steps: int) -> None:
    assert all(0 < rate <= 0.4 for rate in rates(steps, epochs=1, schedule="one_cycle"))


def test_the_published_recipe_is_the_default() -> None:
    training = Training()
    sgd = make_optimiser(Pixel(), training).param_groups[0]
    assert (sgd["lr"], sgd["momentum"], sgd["weight_decay"]) == (0.005, 0.9, 1e-6)
    found = {
        epoch: compute_learning_rate(training, epoch * 92, 92) for epoch in (0, 11, 12, 24, 49)
    }
    assert found == pytest.approx({0: 5e-3, 11: 5e-3, 12: 5e-4, 24: 5e-5, 49: 5e-7})
    assert (training.epochs, training.batch_size, training.selection) == (50, 20, "accuracy")


def test_frozen_parameters_are_not_trained() -> None:
    network = Pixel()
    network.head.bias.requires_grad_(False)
    assert make_optimiser(network, Training()).param_groups[0]["params"] == [network.head.weight]
    network.requires_grad_(False)
    with pytest.raises(UserError, match="every parameter of the network is frozen"):
        make_optimiser(network, Training())


# Measures


@pytest.mark.parametrize("seed", range(5))
def test_the_auc_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 10, (40, 3)) / 10  # many ties
    labels = np.concatenate([[0, 1, 2], rng.integers(0, 3, 37)])
    two = average_auc(scores[:, :2], np.minimum(labels, 1))
    assert two == pytest.approx(roc_auc_score(labels > 0, scores[:, 1]))
    each = [roc_auc_score(labels == k, scores[:, k]) for k in range(3)]
    assert average_auc(scores, labels) == pytest.approx(np.mean(each))


def test_the_auc_by_hand() -> None:
    """Of 2 x 2 pairs three are in order and one is tied: (3 + 1/2) / 4."""
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.6, 0.4], [0.1, 0.9]])
    assert average_auc(scores, np.array([0, 1, 0, 1])) == pytest.approx(3.5 / 4)
    assert average_auc(scores, np.array([1, 0, 1, 0])) == pytest.approx(0.5 / 4)


def test_an_auc_that_does_not_exist_is_nan() -> None:
    scores = np.array([[0.9, 0.1], [0.6, 0.4]])
    assert math.isnan(average_auc(scores, np.ones(2, dtype=np.int64)))
    assert math.isnan(average_auc(np.full((2, 2), math.nan), np.array([0, 1])))
    three = np.full((4, 3), 1 / 3)
    assert math.isnan(average_auc(three, np.array([0, 1, 1, 0])))


def test_better_is_higher_but_for_the_loss() -> None:
    assert compare_epochs("auc", {"auc": 0.8}, {"auc": 0.7}) == 1
    assert compare_epochs("loss", {"loss": 0.8}, {"loss": 0.7}) == -1
    assert compare_epochs("accuracy", {"accuracy": 0.8}, {"accuracy": 0.8}) == 0
    assert compare_epochs("auc", {"auc": 0.1}, None) == compare_epochs("last", {}, {}) == 1


# What is refused, and how it is said


def test_a_loss_that_diverges_names_epoch_and_parameter(root: Path) -> None:
    spec = train_spec(training={"learning_rate": 1e20, "epochs": 3})
    with pytest.raises(UserError, match=r"learning_rate: the loss is not finite in epoch \d") as e:
        run(spec, root)
    assert "lower it (it is 1e+20)" in e.value.text()
    assert list((root.parent / "cell").iterdir()) == []


def test_no_validation_part_needs_another_selection(root: Path) -> None:
    path = root / "data/manifest.parquet"
    manifest = pd.read_parquet(path)
    manifest[manifest["split"] != "validation"].to_parquet(path, index=False)
    with pytest.raises(UserError, match="the validation part has no auc"):
        run(train_spec(), root, "first")
    out = run(train_spec(training={"selection": "last"}), root, "second")
    assert pd.read_csv(out / "history.csv")["validation_auc"].isna().all()
    result = json.loads((out / "result.json").read_text())
    assert result["validation"] == {"accuracy": None, "auc": None, "loss": None}


def test_one_class_in_validation_has_no_auc_but_an_accuracy(root: Path) -> None:
    path = root / "data/manifest.parquet"
    manifest = pd.read_parquet(path)
    manifest = manifest[(manifest["split"] != "validation") | (manifest["label"] == "bona_fide")]
    manifest.to_parquet(path, index=False)
    with pytest.raises(UserError, match="holds one class only"):
        run(train_spec(), root, "first")
    run(train_spec(training={"selection": "accuracy"}), root, "second")


def test_contradictions_are_refused(root: Path) -> None:
    with pytest.raises(UserError, match="early_stopping waits for a better epoch"):
        run(train_spec(training={"early_stopping": 2, "selection": "last"}), root, "first")
    spec = train_spec(loss="harmonization", training={"compile": True})
    with pytest.raises(UserError, match="derivatives that a compiled network does not have"):
        run(spec, root, "second")
    with pytest.raises(UserError, match=r"`cybrog` is not a loss(.|\n)*did you mean `cyborg`"):
        run(train_spec(loss="cybrog"), root, "third")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_out_of_memory_names_the_parameter_to_lower(
    error: Exception, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise error

    monkeypatch.setattr(cyborg.training.train, "train_network", full)
    with pytest.raises(UserError, match=r"out of memory(.|\n)*lower `training.batch_size`"):
        run(train_spec(), root)


def test_other_errors_of_torch_stay_what_they_are() -> None:
    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    assert explain_error(error, "training.batch_size") is error


def test_device_and_threads_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_device() == torch.device("cpu")
    monkeypatch.setenv("CYBORG_THREADS", "two")
    with pytest.raises(UserError, match="CYBORG_THREADS: `two` is not a number of threads"):
        configure_torch(choose_device())
    monkeypatch.setenv("CYBORG_DEVICE", "abacus")
    with pytest.raises(UserError, match="no device `abacus` on this machine"):
        choose_device()


# What a cell depends on


def test_a_cell_does_not_depend_on_the_orchestration() -> None:
    modules = set(
        collect_modules(
            ["cyborg.training.train", "cyborg.losses.cyborg", "cyborg.evaluation.evaluate"]
        )
    )
    allowed = {"cells", "evaluation", "networks", "training"}
    assert {m.rpartition(".")[2] for m in modules if m.startswith("cyborg.config.")} == allowed
    modules_of_training = set(collect_modules(["cyborg.training.train"]))
    assert "cyborg.config.evaluation" not in modules_of_training
    assert "cyborg.config.pretraining" not in modules_of_training
    assert not [m for m in modules if m.startswith(("cyborg.grid", "cyborg.results", "cyborg.cli"))]


@pytest.mark.slow
def test_training_imports_without_dvc_and_snakemake() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('dvc', 'snakemake', 'sklearn', 'timm')));"
        "import cyborg.training.train, cyborg.evaluation.evaluate"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_a_compiled_network_learns_the_same(root: Path) -> None:
    plain = run(train_spec(), root, "plain")
    compiled = run(train_spec(training={"compile": True}), root, "compiled")
    losses = [pd.read_csv(out / "history.csv")["loss"] for out in (plain, compiled)]
    assert np.allclose(*losses, atol=0.01)
    assert load_file(plain / "model.safetensors").keys() == (
        load_file(compiled / "model.safetensors").keys()
    )


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_stays_near_full(precision: str, root: Path) -> None:
    full = run(train_spec(), root, "full")
    half = run(train_spec(training={"precision": precision}), root, "half")
    losses = [pd.read_csv(out / "history.csv")["loss"] for out in (full, half)]
    assert np.allclose(*losses, atol=0.02)
    assert not np.array_equal(*losses)
    assert all(v.dtype != torch.bfloat16 for v in load_file(half / "model.safetensors").values())


def test_the_folder_of_a_cell_is_enough_to_load_its_network(root: Path) -> None:
    spec = train_spec(training={"epochs": 1})
    network = load_model(run(spec, root))
    assert network.class_names == spec.classes
    assert network.image_size == spec.architecture.image_size
