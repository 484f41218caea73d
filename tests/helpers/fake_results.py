"""Write a finished grid of random numbers: everything that the report reads, in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cyborg.common.files import write_json
from cyborg.config.evaluation import EvaluateSpec
from cyborg.config.experiment import Experiment
from cyborg.config.networks import NetworkOptions
from cyborg.config.training import TrainSpec
from cyborg.grid.cell_paths import cell_name, cell_path
from cyborg.models.architectures import resolve_network

SETS = {"kind_a": ["real", "made_a"], "kind_b": ["real", "made_b"], "kind_c": ["real", "made_c"]}
# How far synthetic scores lie above bona fide ones, per variant.
SHIFT = {"cross_entropy": 0.5, "cyborg": 0.9, "cyborg_shuffled": 0.8}


def build_experiment(
    seeds: int = 3,
    architectures: int = 2,
    classes: tuple[str, ...] = ("bona_fide", "synthetic"),
    **report: Any,
) -> Experiment:
    """Return the parameters of the fake grid. Of three classes the second is one of real images."""
    variants: dict[str, Any] = {
        "cross_entropy": {"loss": "cross_entropy"},
        "cyborg": {"loss": "cyborg", "saliency": "human"},
        "cyborg_shuffled": {"loss": "cyborg", "saliency": "human", "control": "shuffled"},
    }
    names = ["small_cnn", "efficientnet_lite0"][:architectures]
    return Experiment.model_validate(
        {
            "name": "Fake grid",
            "classes": list(classes),
            "data": {"training_sets": {"main": ["real", "made_a"]}, "test_sets": SETS},
            "saliency": {"human": {}},
            "architectures": {name: {} for name in names},
            "variants": variants,
            "seeds": list(range(seeds)),
            "report": {"bootstrap": 200, **report},
        }
    )


def write_grid(
    root: Path, params: Experiment, images: int = 40, gallery: bool = True, baselines: bool = True
) -> None:
    """Write plan/, runs/, data/manifest.parquet and results/check.json into `root`."""
    _write_manifest(root, images)
    if baselines:
        write_json(
            root / "results" / "check.json",
            {"baselines": {name: {"thumbnails": 0.61, "header": 0.5} for name in SETS}},
        )
    for a, architecture in enumerate(params.architectures):
        for v, (variant, row) in enumerate(params.variants.items()):
            for seed in params.seeds:
                random = np.random.default_rng([a, v, seed])
                shared = {
                    "architecture": resolve_network(architecture, NetworkOptions(weights="none")),
                    "variant": variant,
                    "classes": params.classes,
                    "seed": seed,
                    "inputs": "",
                    "code": "",
                }
                train = TrainSpec.model_validate({
                    **shared,
                    "training_set": "main",
                    "sources": ["made_a", "real"],
                    "saliency": row.saliency,
                    "control": row.control,
                    "prepare": [],
                    "loss": {"name": row.loss, "options": {}},
                    "training": {},
                    "parents": [],
                })  # fmt: skip
                evaluate = EvaluateSpec.model_validate({
                    **shared,
                    "train": cell_name(train),
                    "test_sets": params.data.test_sets,
                    "maps": ["human"],
                    "evaluation": {},
                    "parents": [cell_path(train)],
                })  # fmt: skip
                for spec in (train, evaluate):
                    write_json(root / "plan" / f"{cell_path(spec)}.json", spec.to_json())
                _write_training(root / "runs" / cell_path(train), random, SHIFT[variant])
                folder = root / "runs" / cell_path(evaluate)
                guided = variant != "cross_entropy"
                _write_scores(folder, random, SHIFT[variant], images, guided, params.classes)
                if gallery:
                    _write_gallery(folder, random)
                write_json(folder / "MANIFEST.json", {})


def _list_images(source: str, images: int) -> list[str]:
    return [f"{source}/{i:04d}.png" for i in range(images)]


def _write_manifest(root: Path, images: int) -> None:
    rows = [
        {
            "image": name,
            "source": source,
            "label": "bona_fide" if source == "real" else "synthetic",
            "generator": "" if source == "real" else source.removeprefix("made_"),
            "group": name,
            "split": split,
        }
        for source in ("made_a", "made_b", "made_c", "real")
        for split, names in (
            ("test", _list_images(source, images)),
            ("train", [f"{source}/train.png"] if source in ("made_a", "real") else []),
        )
        for name in names
    ]
    (root / "data").mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(root / "data" / "manifest.parquet", index=False)


def _write_training(folder: Path, random: np.random.Generator, shift: float) -> None:
    folder.mkdir(parents=True)
    epochs = np.arange(1, 13)
    curve = 0.5 + 0.4 * shift * (1 - np.exp(-epochs / 4)) + 0.02 * random.standard_normal(12)
    pd.DataFrame(
        {
            "epoch": epochs,
            "learning_rate": 0.005,
            "loss": 0.7 * np.exp(-epochs / 6) + 0.02 * random.random(12),
            "classification": 0.69 * np.exp(-epochs / 6) + 0.02 * random.random(12),
            "saliency": 0.2 * np.exp(-epochs / 8) if shift > 0.5 else 0.0,
            "validation_accuracy": curve - 0.05,
            "validation_auc": curve,
            "validation_loss": 0.7 - curve / 3,
            "selected": epochs == 1 + np.argmax(curve),
        }
    ).to_csv(folder / "history.csv", index=False)
    write_json(folder / "result.json", {"epoch": 12, "validation_auc": 0.8})
    write_json(folder / "environment.json", {"python": "3.11", "torch": "2.15", "threads": 1})
    write_json(folder / "MANIFEST.json", {})


def _write_scores(
    folder: Path,
    random: np.random.Generator,
    shift: float,
    images: int,
    guided: bool,
    classes: list[str],
) -> None:
    folder.mkdir(parents=True)
    scores, alignment = [], []
    for name, (real, made) in SETS.items():
        for source, label in ((made, "synthetic"), (real, "bona_fide")):
            logits = random.standard_normal(images) + (shift if label == "synthetic" else 0)
            for image, logit in zip(_list_images(source, images), logits, strict=True):
                generator = "" if source == "real" else source.removeprefix("made_")
                score = 1 / (1 + np.exp(-logit))
                scores.append((image, name, generator, label, score))
        for i, image in enumerate(_list_images(made, images)):
            correlation = np.nan if i == 0 else np.tanh(0.3 * random.standard_normal() + guided)
            inside = 0.1 + 0.2 * guided + 0.02 * random.random()
            alignment.append((image, name, "human", correlation, inside, 0.1))
    columns = ["image", "set", "generator", "label", "score"]
    table = pd.DataFrame(scores, columns=columns).sort_values(["set", "image"])
    if len(classes) == 3:
        _add_class(table, classes, np.random.default_rng(images))
    table.to_parquet(folder / "scores.parquet", index=False)
    columns = ["image", "set", "maps", "correlation", "inside", "chance"]
    pd.DataFrame(alignment, columns=columns).to_parquet(folder / "alignment.parquet", index=False)


def _add_class(table: pd.DataFrame, classes: list[str], random: np.random.Generator) -> None:
    """Make every other real image one of the second class, and add the columns of all classes."""
    odd = table["image"].str.contains(r"[13579]\.png") & (table["label"] == classes[0])
    table.loc[odd, "label"] = classes[1]
    share = 1 / (1 + np.exp(-random.standard_normal(len(table)) - 2 * odd + 1))
    table[f"score_{classes[0]}"] = (1 - table["score"]) * (1 - share)
    table[f"score_{classes[1]}"] = (1 - table["score"]) * share
    table[f"score_{classes[2]}"] = table["score"]


def _write_gallery(folder: Path, random: np.random.Generator) -> None:
    size, names, sets = 64, [], []
    for name, (real, made) in SETS.items():
        for source in (made, real):
            names += _list_images(source, 2)
            sets += [name] * 2
    y, x = np.mgrid[:size, :size] / size - 0.5
    images, maps = [], []
    for i in range(len(names)):
        face = np.exp(-8 * (x**2 + y**2))[..., None] * np.array([220, 180, 150])
        images.append((face + 10 * np.random.default_rng(i).random((size, size, 3))).clip(0, 255))
        blob = (np.hypot(x - 0.2 * np.cos(i), y - 0.2 * np.sin(i)) < 0.12) * 255
        maps.append(blob if "made" in names[i] else 0 * blob)
    labels = ["synthetic" if "made" in name else "bona_fide" for name in names]
    np.savez(
        folder / "gallery.npz",
        images=np.array(images, np.uint8),
        cams=random.random((len(names), 7, 7)).astype(np.float32),
        maps=np.array(maps, np.uint8),
        names=np.array(names),
        sets=np.array(sets),
        labels=np.array(labels),
        scores=random.random(len(names)),
    )
