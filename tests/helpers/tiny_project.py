"""A project folder of a few tiny images, with packs and manifest, and specifications of cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cyborg.config.evaluation import EvaluateSpec
from cyborg.config.networks import NetworkSpec
from cyborg.config.training import TrainSpec

SIZE = 32
CLASSES = ["bona_fide", "synthetic"]


def project(root: Path, images: int = 12, seed: int = 0, maps: bool = True) -> Path:
    """Sources `photos` (bona fide) and `fakes` (synthetic, brighter in a corner, with maps).

    Per source `images` for training, a third as many each for validation and test.
    """
    rng = np.random.default_rng(seed)
    rows, index = [], []
    for source, label in (("photos", "bona_fide"), ("fakes", "synthetic")):
        splits = ["train"] * images + ["validation"] * (images // 3) + ["test"] * (images // 3)
        pixels = rng.integers(60, 180, (len(splits), SIZE, SIZE, 3)).astype(np.uint8)
        human = np.zeros((len(splits), SIZE, SIZE), np.uint8)
        names = [f"{source}/{n:03d}.png" for n in range(len(splits))]
        if label == "synthetic":
            pixels[:, :16, :16] += 70
            human[:, :16, :16] = 255
        save(root / f"data/packs/images/{SIZE}/{source}.npy", pixels)
        index += [("images", SIZE, source, name, n) for n, name in enumerate(names)]
        if label == "synthetic" and maps:
            # Not every image is annotated, and rows of maps are not rows of images.
            marked = list(range(0, len(names), 2))
            save(root / f"data/packs/maps/human/{SIZE}/{source}.npy", human[marked])
            index += [("human", SIZE, source, names[n], row) for row, n in enumerate(marked)]
        rows += [
            (name, source, label, "gan" if label == "synthetic" else "", split)
            for name, split in zip(names, splits, strict=True)
        ]
    columns = ["image", "source", "label", "generator", "split"]
    manifest = pd.DataFrame(rows, columns=columns).sort_values("image")
    manifest["sample_weight"] = np.nan
    manifest.to_parquet(root / "data/manifest.parquet", index=False)
    columns = ["kind", "size", "source", "image", "row"]
    pd.DataFrame(index, columns=columns).to_parquet(root / "data/packs/index.parquet", index=False)
    return root


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def architecture(**changes: Any) -> NetworkSpec:
    row = {"name": "small", "network": "small_cnn", "weights": "none", "image_size": SIZE}
    return NetworkSpec.model_validate(row | changes)


def train_spec(**changes: Any) -> TrainSpec:
    """A training cell of CYBORG on the small network; `training` is merged with the defaults.

    loss: a name stands for that loss with its own defaults.
    """
    training = {"epochs": 2, "batch_size": 8, "learning_rate": 0.05, "selection": "auc"}
    training |= changes.pop("training", {})
    loss = changes.pop("loss", {"name": "cyborg", "options": {"alpha": 0.5}})
    values = {
        "architecture": architecture(),
        "variant": "cyborg",
        "classes": CLASSES,
        "loss": {"name": loss, "options": {}} if isinstance(loss, str) else loss,
        "training_set": "all",
        "sources": ["fakes", "photos"],
        "saliency": "human",
        "control": "none",
        "prepare": [],
        "training": training,
        "seed": 3,
        "inputs": "",
        "code": "",
        "parents": [],
    }
    return TrainSpec.model_validate(values | changes)


def evaluate_spec(train: str, **changes: Any) -> EvaluateSpec:
    """An evaluation cell of a trained cell; `changes` are fields."""
    values = {
        "architecture": architecture(),
        "variant": "cyborg",
        "classes": CLASSES,
        "seed": 3,
        "train": train,
        "test_sets": {"gan": ["fakes", "photos"], "also": ["fakes", "photos"]},
        "maps": ["human"],
        "evaluation": {"batch_size": 3, "gallery": 3},
        "inputs": "",
        "code": "",
        "parents": [f"train/{train}"],
    }
    return EvaluateSpec.model_validate(values | changes)
