"""Scores, alignment and gallery of a trained cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from cyborg.common.errors import UserError
from cyborg.config.evaluation import EvaluateSpec
from cyborg.evaluation.evaluate import evaluate_cell, measure_alignment
from cyborg.models.network import Network, build_network
from cyborg.models.trained import load_trained
from tiny_project import CLASSES, SIZE, architecture, evaluate_spec, project, save

CELL = "small/cyborg/seed3/0123456789ab"


@pytest.fixture(autouse=True)
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYBORG_DEVICE", "cpu")


def store(network: Network, root: Path) -> None:
    path = root / "runs/train" / CELL / "model.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a cell that was never trained: its weights are those of seed 11."""
    root = project(tmp_path / "project")
    store(build_network(architecture(), classes=2, seed=11), root)
    return root


def run(spec: EvaluateSpec, root: Path, name: str = "cell") -> Path:
    out = root.parent / name
    out.mkdir()
    evaluate_cell(spec, out, root)
    return out


def test_a_score_is_the_probability_of_the_last_class(root: Path) -> None:
    scores = pd.read_parquet(run(evaluate_spec(CELL), root) / "scores.parquet")
    assert list(scores) == ["image", "set", "generator", "label", "score"]
    assert scores["score"].dtype == np.float64
    network = build_network(architecture(), classes=2, seed=11).eval()
    for row in scores.itertuples():
        source, number = row.image.split("/")
        pixels = np.load(root / f"data/packs/images/{SIZE}/{source}.npy")[int(number[:3])]
        with torch.no_grad():
            image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
            expected = network(image).logits.double().softmax(1)[0, 1].item()
        assert row.score == pytest.approx(expected, rel=1e-5)
        assert row.label == {"fakes": "synthetic", "photos": "bona_fide"}[source]
        assert row.generator == {"fakes": "gan", "photos": ""}[source]


def test_scores_are_sorted_and_hold_the_test_images_of_every_set(root: Path) -> None:
    sets = {"z": ["photos", "fakes"], "a": ["fakes"]}
    out = run(evaluate_spec(CELL, test_sets=sets), root)
    scores = pd.read_parquet(out / "scores.parquet")
    fakes = [f"fakes/{n:03d}.png" for n in range(16, 20)]
    photos = [f"photos/{n:03d}.png" for n in range(16, 20)]
    assert scores["set"].tolist() == ["a"] * 4 + ["z"] * 8
    assert scores["image"].tolist() == fakes + fakes + photos
    assert scores["score"][:4].tolist() == scores["score"][4:8].tolist()


def test_an_image_of_several_sets_is_scored_once(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    original = Network.forward

    def counting(self: Network, images: torch.Tensor) -> Any:
        if not self.training and len(images) > 1:
            seen.append(len(images))
        return original(self, images)

    monkeypatch.setattr(Network, "forward", counting)
    run(evaluate_spec(CELL), root)
    assert seen == [3, 3, 2]


def test_the_same_bytes_each_time(root: Path) -> None:
    first, second = (run(evaluate_spec(CELL), root, name) for name in ("first", "second"))
    names = sorted(path.name for path in first.iterdir())
    assert names == ["alignment.parquet", "gallery.npz", "scores.parquet"]
    assert all((first / n).read_bytes() == (second / n).read_bytes() for n in names)


def test_batches_do_not_change_scores(root: Path) -> None:
    sizes = {"one": 1, "all": 100, "suitable": None}
    tables = [
        pd.read_parquet(
            run(evaluate_spec(CELL, evaluation={"batch_size": s, "gallery": 0}), root, name)
            / "scores.parquet"
        )
        for name, s in sizes.items()
    ]
    for table in tables[1:]:
        assert np.allclose(tables[0]["score"], table["score"], rtol=1e-5)


def test_more_than_two_classes_have_a_column_each(root: Path) -> None:
    classes = ["bona_fide", "retouched", "synthetic"]
    store(build_network(architecture(), classes=3, seed=11), root)
    out = run(evaluate_spec(CELL, classes=classes), root)
    scores = pd.read_parquet(out / "scores.parquet")
    columns = [f"score_{name}" for name in classes]
    assert list(scores) == ["image", "set", "generator", "label", "score", *columns]
    assert np.allclose(scores[columns].sum(axis=1), 1)
    assert (scores["score"] == scores["score_synthetic"]).all()
    assert set(scores["label"]) == set(CLASSES)


# Alignment


def test_alignment_by_hand() -> None:
    """CAM 0 1 / 2 3, map on the lower half: the mass there is 5 of 6, the area 2 of 4.

    Deviations from the mean are -3 -1 / 1 3 (halves) and -1 -1 / 1 1 (halves): their product sums
    to 8/4, their lengths are sqrt(20)/2 and 2/2, so the correlation is 2 / sqrt(5) = 0.894.
    """
    cam = torch.tensor([[[0.0, 1.0], [2.0, 3.0]]])
    human = torch.tensor([[[0, 0], [7, 7]]], dtype=torch.uint8)
    for shifted in (cam, cam * 10 - 4):  # neither scale nor level matter
        correlation, inside, chance = measure_alignment(shifted, human)
        assert correlation.item() == pytest.approx(2 / 5**0.5)
        assert inside.item() == pytest.approx(5 / 6)
        assert chance.item() == pytest.approx(1 / 2)


def test_a_map_is_brought_to_the_size_of_the_cam() -> None:
    """A region of 1 x 2 in 4 x 4 pixels covers a half of one of the four cells of the CAM."""
    human = torch.zeros((1, 4, 4), dtype=torch.uint8)
    human[0, 0, :2] = 255
    _, inside, chance = measure_alignment(torch.tensor([[[3.0, 1.0], [0.0, 0.0]]]), human)
    assert inside.item() == pytest.approx(3 / 4 / 2)
    assert chance.item() == pytest.approx(1 / 8)


def test_constant_maps_have_no_correlation() -> None:
    rising = torch.arange(16.0).reshape(1, 4, 4)
    flat = torch.full((1, 4, 4), 0.3)
    full = torch.full((1, 4, 4), 200, dtype=torch.uint8)
    part = torch.zeros((1, 4, 4), dtype=torch.uint8)
    part[0, 1] = 9
    correlation, inside, chance = measure_alignment(flat, part)
    assert np.isnan(correlation.item())
    assert np.isnan(inside.item())
    assert chance.item() == pytest.approx(1 / 4)
    correlation, inside, chance = measure_alignment(rising, full)
    assert np.isnan(correlation.item())
    assert (inside.item(), chance.item()) == (1, 1)


def test_a_uniform_region_is_worth_its_chance() -> None:
    cam = torch.rand((200, 7, 7), generator=torch.Generator().manual_seed(0))
    human = torch.zeros((200, 50, 50), dtype=torch.uint8)
    human[:, 10:30, 5:45] = 1
    correlation, inside, chance = measure_alignment(cam, human)
    assert abs(inside.mean() - chance.mean()) < 0.02
    assert abs(correlation.mean()) < 0.05


def test_alignment_has_a_row_per_image_with_a_map_and_set(root: Path) -> None:
    out = run(evaluate_spec(CELL, maps=["human", "masks"]), root)
    table = pd.read_parquet(out / "alignment.parquet")
    assert list(table) == ["image", "set", "maps", "correlation", "inside", "chance"]
    assert table["image"].tolist() == ["fakes/016.png", "fakes/018.png"] * 2
    assert table["set"].tolist() == ["also"] * 2 + ["gan"] * 2
    assert table["maps"].tolist() == ["human"] * 4
    assert np.allclose(table["chance"], 1 / 4)
    assert table["correlation"].between(-1, 1).all()


def test_the_map_is_that_of_the_last_class(root: Path) -> None:
    """Two classes have different weights, not opposite ones: only the last one's map agrees."""
    out = run(evaluate_spec(CELL), root)
    with np.load(out / "gallery.npz") as gallery:
        g = dict(gallery)
    network = build_network(architecture(), classes=2, seed=11).eval()
    with torch.no_grad():
        output = network(torch.from_numpy(g["images"]).permute(0, 3, 1, 2))
    first, last = torch.einsum("bchw,kc->kbhw", output.features, output.weight.data).numpy()

    def unit(maps: np.ndarray) -> np.ndarray:
        low, high = (f((1, 2), keepdims=True) for f in (maps.min, maps.max))
        return (maps - low) / (high - low)

    assert np.allclose(g["cams"], unit(last), atol=1e-4)
    assert not np.allclose(g["cams"], unit(first), atol=0.1)
    table = pd.read_parquet(out / "alignment.parquet").set_index(["set", "image"])
    marked = np.flatnonzero(g["maps"].any((1, 2)))
    expected = measure_alignment(
        torch.from_numpy(last[marked]), torch.from_numpy(g["maps"][marked])
    )
    for n, correlation in zip(marked, expected[0], strict=True):
        found = table.loc[(g["sets"][n], g["names"][n]), "correlation"]
        assert found == pytest.approx(correlation, abs=1e-4)


@pytest.mark.parametrize("maps", [[], ["human"]])
def test_without_maps_the_table_is_empty(maps: list[str], tmp_path: Path) -> None:
    root = project(tmp_path / "project", maps=False)
    store(build_network(architecture(), classes=2, seed=11), root)
    out = run(evaluate_spec(CELL, maps=maps), root)
    table = pd.read_parquet(out / "alignment.parquet")
    assert len(table) == 0
    assert list(table) == ["image", "set", "maps", "correlation", "inside", "chance"]
    assert table["inside"].dtype == np.float64
    with np.load(out / "gallery.npz") as gallery:
        assert gallery["maps"].shape == (6, SIZE, SIZE)
        assert not gallery["maps"].any()


# Gallery


def test_the_gallery_shows_both_classes_those_with_maps_first(root: Path) -> None:
    with np.load(run(evaluate_spec(CELL), root) / "gallery.npz") as gallery:
        g = dict(gallery)
    assert g["sets"].tolist() == ["also"] * 3 + ["gan"] * 3
    assert g["labels"].tolist() == ["synthetic", "bona_fide", "synthetic"] * 2
    assert set(g["names"][g["labels"] == "synthetic"]) == {"fakes/016.png", "fakes/018.png"}
    assert g["images"].shape == (6, SIZE, SIZE, 3)
    assert g["cams"].shape == (6, 4, 4)
    assert g["cams"].dtype == np.float32
    assert np.allclose(g["cams"].min((1, 2)), 0)
    assert np.allclose(g["cams"].max((1, 2)), 1)
    marked = g["maps"].any((1, 2))
    assert np.array_equal(marked, g["labels"] == "synthetic")
    for name, image in zip(g["names"], g["images"], strict=True):
        source, number = name.split("/")
        stored = np.load(root / f"data/packs/images/{SIZE}/{source}.npy")
        assert np.array_equal(image, stored[int(number[:3])])
    scores = pd.read_parquet(root.parent / "cell/scores.parquet").set_index(["set", "image"])
    expected = [scores.loc[key, "score"] for key in zip(g["sets"], g["names"], strict=True)]
    assert g["scores"].tolist() == expected


def test_all_cells_show_the_same_images(root: Path) -> None:
    one = run(evaluate_spec(CELL), root, "one")
    store(build_network(architecture(), classes=2, seed=12), root)
    two = run(evaluate_spec(CELL), root, "two")
    with np.load(one / "gallery.npz") as a, np.load(two / "gallery.npz") as b:
        assert a["names"].tolist() == b["names"].tolist()
        assert not np.array_equal(a["cams"], b["cams"])


def test_a_gallery_of_none_is_empty(root: Path) -> None:
    out = run(evaluate_spec(CELL, evaluation={"batch_size": 8, "gallery": 0}), root)
    with np.load(out / "gallery.npz") as gallery:
        assert gallery["images"].shape == (0, SIZE, SIZE, 3)
        assert gallery["names"].dtype.kind == "U"


# What is refused


def test_a_model_that_is_absent_damaged_or_of_another_network(root: Path) -> None:
    folder = root / "runs/train" / CELL
    path = folder / "model.safetensors"
    other = architecture(name="other", network="resnet18", image_size=64)
    with pytest.raises(UserError, match="not a model of `other`"):
        load_trained(folder, other, classes=2, seed=0)
    with pytest.raises(UserError, match="is not a model of `small`"):
        load_trained(folder, architecture(), classes=3, seed=0)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match="is not a model of `small`"):
        load_trained(folder, architecture(), classes=2, seed=0)
    path.unlink()
    with pytest.raises(UserError, match=r"model.safetensors: there is no such file(.|\n)*train"):
        run(evaluate_spec(CELL), root)


def test_scores_that_are_not_finite_are_refused(root: Path) -> None:
    network = build_network(architecture(), classes=2, seed=11)
    network.net.classifier.bias.data[0] = float("nan")
    store(network, root)
    with pytest.raises(UserError, match="scores that are not finite"):
        run(evaluate_spec(CELL), root)
    assert list((root.parent / "cell").iterdir()) == []


def test_a_test_image_that_is_not_packed_is_named(root: Path) -> None:
    save(root / f"data/packs/images/{SIZE}/fakes.npy", np.zeros((17, SIZE, SIZE, 3), np.uint8))
    with pytest.raises(UserError, match="has 17 rows"):
        run(evaluate_spec(CELL), root)
