"""Blurred copies, a teacher's maps and MENTOR's first weights; cells that start from others."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from scipy.ndimage import gaussian_filter
from torch.nn import functional

from cells import pretrain_spec
from cyborg.common.closure import collect_modules
from cyborg.common.errors import UserError, UserErrors
from cyborg.config.load import load_experiment
from cyborg.config.pretraining import Pretraining
from cyborg.config.training import TrainSpec
from cyborg.models.autoencoder import Autoencoder, find_skips
from cyborg.models.network import build_network
from cyborg.training.preparations import blur, mentor, teacher
from cyborg.training.preparations._base import Context, TrainingData
from cyborg.training.pretrain import pretrain_cell
from cyborg.training.train import train_cell
from networks import make
from project import TINY
from tiny_project import SIZE, architecture, project, train_spec

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYBORG_DEVICE", "cpu")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return project(tmp_path / "project")


@pytest.fixture
def data() -> TrainingData:
    """Five images, the second and the fifth with a map (left half, and all of it)."""
    rng = np.random.default_rng(0)
    human = np.zeros((2, SIZE, SIZE), np.uint8)
    human[0, :, : SIZE // 2] = 255
    human[1] = 255
    return TrainingData(
        rng.integers(0, 256, (5, SIZE, SIZE, 3)).astype(np.uint8),
        np.array([0, 1, 0, 1, 1]),
        np.array(list("abcde"), dtype=object),
        np.array([1.0, 2.0, 3.0, 4.0, 5.0]),
        human,
        np.array([1, 4]),
    )


def context(spec: TrainSpec | None = None, parent: Path | None = None) -> Context:
    spec = spec or train_spec()
    network = build_network(spec.architecture, classes=len(spec.classes), seed=spec.seed)
    return Context(network, spec, parent, CPU)


# Blur


def test_a_blurred_copy_is_sharp_where_people_looked_and_a_gaussian_elsewhere(
    data: TrainingData,
):
    out = blur.blur_outside(data.images[1:2], data.maps[:1], 1.5)[0]
    assert (out[:, : SIZE // 2] == data.images[1][:, : SIZE // 2]).all()
    expected = gaussian_filter(
        data.images[1].astype(float), (1.5, 1.5, 0), mode="mirror", radius=(5, 5, 0)
    )
    assert np.abs(out[:, SIZE // 2 :] - expected[:, SIZE // 2 :]).max() <= 0.51  # rounding


def test_half_a_map_mixes_in_half_of_the_blur(data: TrainingData):
    halfway = np.full((1, SIZE, SIZE), 102, np.uint8)  # 0.4
    out = blur.blur_outside(data.images[:1], halfway, 2.0)[0].astype(float)
    full = blur.blur_outside(data.images[:1], halfway * 0, 2.0)[0]
    assert np.abs(out - (0.4 * data.images[0] + 0.6 * full)).max() <= 1.01


def test_every_level_adds_a_copy_of_every_image_with_a_map(data: TrainingData):
    out = blur.add_blurred_copies(data, blur.Options(levels=[2, 4]), context())
    assert out.sources.tolist() == ["a", "b", "c", "d", "e", "b", "e", "b", "e"]
    assert out.labels.tolist() == [0, 1, 0, 1, 1, 1, 1, 1, 1]
    assert out.weights.tolist() == [1, 2, 3, 4, 5, 2, 5, 2, 5]
    assert out.owners.tolist() == [1, 4, 5, 6, 7, 8]
    assert (out.maps == data.maps[[0, 1, 0, 1, 0, 1]]).all()
    assert (out.images[:5] == data.images).all()
    assert (out.images[5] != out.images[7]).any()
    assert (out.images[[6, 8]] == data.images[4]).all()  # its map is everywhere


def test_without_originals_images_that_have_no_map_stay(data: TrainingData):
    out = blur.add_blurred_copies(data, blur.Options(levels=[2], originals=False), context())
    assert out.sources.tolist() == ["a", "c", "d", "b", "e"]
    assert out.owners.tolist() == [3, 4]
    assert (out.maps == data.maps).all()


# Teacher


@pytest.fixture
def taught(root: Path) -> tuple[Path, TrainSpec]:
    """A teacher that was never trained, of seed 11, and the student's specification."""
    folder = root / "runs/train/small/cyborg/seed3/0123456789ab"
    folder.mkdir(parents=True)
    teacher = build_network(architecture(), classes=2, seed=11)
    save_file(teacher.state_dict(), folder / "model.safetensors")
    parent = "train/small/cyborg/seed3/0123456789ab"
    step = {"name": "teacher", "options": {"variant": "cyborg"}, "parent": parent}
    return folder, train_spec(saliency=None, prepare=[step], parents=[parent])


@pytest.mark.parametrize("target", ["predicted", "true"])
def test_the_teachers_map_is_its_activation_map(target: str, taught: Any, data: TrainingData):
    folder, spec = taught
    options = teacher.Options(variant="cyborg", images="all", target=target)
    out = teacher.add_teacher_maps(data, options, context(spec, folder))
    assert out.owners.tolist() == [0, 1, 2, 3, 4]
    network = build_network(architecture(), classes=2, seed=11).eval()
    for n in range(5):  # one by one, by hand
        image = torch.from_numpy(data.images[n]).permute(2, 0, 1)[None]
        with torch.no_grad():
            logits, features, weight = network(image)
        k = int(logits.argmax()) if target == "predicted" else int(data.labels[n])
        cam = (features[0] * weight[k][:, None, None]).sum(0).detach()
        cam = (cam - cam.min()) / (cam.max() - cam.min())
        large = functional.interpolate(cam[None, None], size=(SIZE, SIZE), mode="bilinear")
        assert np.abs(out.maps[n] - large[0, 0].numpy() * 255).max() <= 0.51


def test_a_teacher_leaves_the_maps_that_people_made(taught: Any, data: TrainingData):
    folder, spec = taught
    out = teacher.add_teacher_maps(data, teacher.Options(variant="cyborg"), context(spec, folder))
    assert out.owners.tolist() == [0, 1, 2, 3, 4]
    assert (out.maps[[1, 4]] == data.maps).all()
    assert out.maps[[0, 2, 3]].any((1, 2)).all()


def test_a_student_is_guided_by_its_teacher(taught: Any, root: Path):
    _, spec = taught
    for name, given in (("student", spec), ("alone", spec.replace_fields(prepare=[]))):
        (root / name).mkdir()
        train_cell(given, root / name, root)
    student, alone = (pd.read_csv(root / name / "history.csv") for name in ("student", "alone"))
    assert (student["saliency"] > 0).all()
    assert (alone["saliency"] == 0).all()


def test_a_teacher_that_is_gone_is_named(taught: Any, root: Path):
    folder, spec = taught
    (folder / "model.safetensors").unlink()
    (root / "out").mkdir()
    with pytest.raises(UserError, match=r"0123456789ab/model.safetensors: there is no such file"):
        train_cell(spec, root / "out", root)


# MENTOR

NETWORKS = [
    ("small_cnn", 64, "unetplusplus"),
    ("resnet18", 64, "unetplusplus"),
    ("efficientnet_lite0", 64, "unetplusplus"),
    ("densenet121", 64, "unet"),
    ("inception_v3", 128, "unet"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size", "decoder"), NETWORKS)
def test_every_trunk_becomes_an_encoder(name: str, size: int, decoder: str):
    network = make(name, image_size=size)
    head = copy.deepcopy(network.net.get_classifier().state_dict())
    torch.manual_seed(0)
    autoencoder = Autoencoder(network, size, decoder)
    skips = find_skips(network, size)
    ratios = [size / skip.size[0] for skip in skips][:3]
    assert np.allclose(ratios, [2, 4, 8], rtol=0.35)  # without padding they are not exact
    with torch.no_grad():
        features = network(torch.zeros(1, 3, size, size)).features
    assert skips[-1].channels >= features.shape[1]
    rng = torch.Generator().manual_seed(1)
    images = torch.rand(4, 3, size, size, generator=rng)
    target = torch.zeros(4, size, size)
    target[:, : size // 2] = 1
    autoencoder.train()
    optimiser = torch.optim.Adam(autoencoder.parameters(), lr=1e-3)
    losses = []
    for _ in range(6):
        loss = (autoencoder(images).sigmoid() - target).square().mean()
        loss.backward()
        if not losses:  # the whole trunk learns, but for what lies behind its last map
            still = [n for n, p in network.net.named_parameters() if p.grad is None]
            prefix = next(
                key
                for key, module in network.net.named_modules()
                if module is network.net.get_classifier()
            )
            assert {n for n in still if not n.startswith("AuxLogits")} == {
                f"{prefix}.weight",
                f"{prefix}.bias",
            }
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    after = network.net.get_classifier().state_dict()
    assert all(torch.equal(head[key], after[key]) for key in head)


def test_a_trunk_of_odd_sizes_wants_the_plain_decoder():
    network = make("inception_v3", image_size=None)
    with pytest.raises(UserError, match=r"not halves of each other(.|\n)*decoder: unet"):
        Autoencoder(network, 128, "unetplusplus")


def test_an_autoencoder_learns_where_people_look_and_hands_its_encoder_on(root: Path):
    spec = pretrain_spec(epochs=12)
    out = root / "runs/train/small/mentor_autoencoder/seed3/0123456789ab"
    out.mkdir(parents=True)
    reports: list[tuple[int, int]] = []
    pretrain_cell(spec, out, root, report=lambda *done: reports.append(done))
    history = pd.read_csv(out / "history.csv")
    assert history["validation_loss"].iloc[-1] < history["validation_loss"].iloc[0] * 0.7
    assert history.loc[history["selected"] == 1, "validation_loss"].item() == min(
        history["validation_loss"]
    )
    assert reports == [(epoch, 12) for epoch in range(1, 13)]
    ctx = context(train_spec(), out)
    first = {name: value.clone() for name, value in ctx.network.state_dict().items()}
    mentor.load_encoder(None, Pretraining(), ctx)  # type: ignore[arg-type]
    learned = load_file(out / "model.safetensors")
    for name, value in ctx.network.state_dict().items():
        assert torch.equal(value, learned[name])
        if "classifier" in name:
            assert torch.equal(value, first[name])
        elif name.endswith("0.weight"):
            assert not torch.equal(value, first[name])


def test_an_interrupted_autoencoder_ends_with_the_same_bytes(root: Path):
    whole, cut = root / "whole", root / "cut"
    whole.mkdir(), cut.mkdir()
    spec = pretrain_spec()
    pretrain_cell(spec, whole, root)

    class Killed(Exception):
        pass

    def kill(epoch: int, total: int) -> None:
        if epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        pretrain_cell(spec, cut, root, work=root / "work", report=kill)
    pretrain_cell(spec, cut, root, work=root / "work")
    for name in ("model.safetensors", "history.csv", "result.json"):
        assert (whole / name).read_bytes() == (cut / name).read_bytes()


def test_an_autoencoder_without_maps_is_refused(tmp_path: Path):
    bare = project(tmp_path / "bare", maps=False)
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="has a map of `human`"):
        pretrain_cell(pretrain_spec(), tmp_path / "out", bare)


# What is checked


def test_a_cell_depends_on_the_code_of_its_own_preparations_only(tmp_path: Path):
    assert "cyborg.training.preparations.blur" not in collect_modules(["cyborg.training.train"])
    assert "cyborg.models.autoencoder" not in collect_modules(["cyborg.training.train"])
    assert "cyborg.models.autoencoder" in collect_modules(["cyborg.training.pretrain"])
    assert "cyborg.training.train" not in collect_modules(["cyborg.training.pretrain"])


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        ({"techer": {}}, r"`techer` is not a preparation(.|\n)*teacher"),
        ({"teacher": {"variant": "cybrog"}}, r"`cybrog` is not a variant(.|\n)*cyborg"),
        ({"teacher": {}}, r"prepare.teacher.*variant"),
        ({"teacher": {"variant": "student"}}, r"circle: student -> student"),
        ({"blur": {"levels": [0]}}, r"above 0"),
        ({"blur": {"sigma": 2}}, r"sigma"),
        ({"blur": {}}, r"`blur` needs human maps"),
        ({"mentor": {"image_size": 100}}, r"multiple of 32"),
    ],
)
def test_mistakes_name_the_key(prepare: Any, message: str, tmp_path: Path):
    params = copy.deepcopy(TINY)
    params["variants"]["student"] = {"loss": "cyborg", "prepare": prepare}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    with pytest.raises((UserError, UserErrors), match=message) as caught:
        load_experiment(path)
    assert "variants.student" in str(caught.value)
