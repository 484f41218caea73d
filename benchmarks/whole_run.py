"""Compare a whole run, scoring and memory with the published way, side by side in one run.

    python benchmarks/whole_run.py                       # densenet121; a quarter of an hour
    python benchmarks/whole_run.py --parts scoring --models 10 --images 40

`run`: from image files of 1024 pixels to a trained network: decoding, training, validation after
each epoch. Ours is given twice: with packing, which all cells of a grid share, and without it, as
from the second cell on. `scoring`: several models on one test set from files of 1024 pixels.
`memory`: the images of the paper's set (1,821 for training, 20,000 for validation, 224 pixels) as
the published way keeps them and as a cell holds them, computed from their sizes, and the largest
resident memory of a process that goes through all of ours.

The published way (benchmarks/published_way.py) shares no code with the package. Both sides use one
thread; only packing uses all processors. Times are of the wall clock: run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torchvision
from PIL import Image
from torch import nn

import published_way
from cyborg.config.experiment import Experiment
from cyborg.config.networks import NetworkOptions
from cyborg.evaluation.evaluate import score_images
from cyborg.grid.plan import Inputs, Planner
from cyborg.models.architectures import resolve_network
from cyborg.models.network import build_network
from cyborg.pack.pack import pack
from cyborg.training.machine import choose_device, configure_torch, describe_environment
from cyborg.training.train import train_cell
from cyborg.training.validation import PackedImages

SIDE, INPUT, MAP = 1024, 224, 7
PAPER = {"train": 1_821, "validation": 20_000}


def draw_images(root: Path, counts: dict[str, int]) -> pd.DataFrame:
    """Write smooth random JPEG files of 1024 pixels with maps, and their manifest and map index."""
    rng = np.random.default_rng(0)
    rows = []
    for split, count in counts.items():
        for n in range(count):
            label = ("bona_fide", "synthetic")[n % 2]
            name, file = f"{label}/{split}{n}.jpg", f"data/raw/{label}/{split}{n}.jpg"
            coarse = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(root / file, quality=92)
            human = Image.fromarray(rng.integers(0, 256, (32, 32), dtype=np.uint8))
            place = f"data/saliency/maps/human/{name}.png"
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            human.resize((SIDE, SIDE)).save(root / place)
            rows.append((name, label, label, "", file, split, place))
    columns = ["image", "source", "label", "generator", "file", "split", "saliency"]
    table = pd.DataFrame(rows, columns=columns)
    digests = [hashlib.sha256((root / file).read_bytes()).hexdigest() for file in table["file"]]
    table["sha256"], table["group"] = digests, table["image"]
    table.to_parquet(root / "data/manifest.parquet", index=False)
    maps = table[["image"]].assign(maps="human", file=table["saliency"])
    maps["sha256"] = [hashlib.sha256((root / f).read_bytes()).hexdigest() for f in maps["file"]]
    maps.to_parquet(root / "data/saliency/index.parquet", index=False)
    return table


def describe_experiment(network: str, epochs: int) -> Experiment:
    """Return one cell of CYBORG as the paper trains it, without its ImageNet weights."""
    sources = ["bona_fide", "synthetic"]
    return Experiment.model_validate({
        "data": {"training_sets": {"all": sources}, "test_sets": {"all": sources}},
        "saliency": {"human": {}},
        "architectures": {network: {"weights": "none"}},
        "variants": {"cyborg": {"loss": "cyborg", "saliency": "human", "alpha": 0.5}},
        "seeds": [1],
        "training": {"epochs": epochs},
    })  # fmt: skip


def build_published_network(name: str) -> tuple[Any, Any, nn.Parameter]:
    """Return a torchvision network of two outputs, a function for its features, its weights."""
    network: Any = getattr(torchvision.models, name)(weights=None)
    if name == "densenet121":
        network.classifier = nn.Linear(network.classifier.in_features, 2)
        return network, network.features, network.classifier.weight
    network.fc = nn.Linear(network.fc.in_features, 2)
    features = published_way.tap_features(network, network.layer4[-1].conv3)
    return network, features, network.fc.weight


def run_published(root: Path, table: pd.DataFrame, name: str, epochs: int) -> None:
    """Decode all, then train and validate, the published way."""
    samples: dict[str, list] = {"train": [], "validation": []}
    for row in table.itertuples():
        image = published_way.decode_image(root / row.file, INPUT)
        with Image.open(root / row.saliency) as human:
            small = np.asarray(human.resize((MAP, MAP), Image.Resampling.BILINEAR))
        label = int(row.label == "synthetic")
        samples[row.split].append((image, label, torch.from_numpy(small.copy()).float()))
    network, features, weight = build_published_network(name)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.005, momentum=0.9, weight_decay=1e-6)
    for _ in range(epochs):
        network.train()
        order = torch.randperm(len(samples["train"])).tolist()
        for start in range(0, len(order), 20):
            (batch,) = published_way.collate_batches(
                samples["train"], 20, order[start : start + 20]
            )
            published_way.train_step(network, features, weight, optimiser, batch)
        published_way.measure_accuracy(network, samples["validation"], 20)


def time_whole_run(network: str, counts: dict[str, int], epochs: int) -> None:
    """Print the times of a whole run, both ways."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        table = draw_images(root, counts)
        start = time.perf_counter()
        run_published(root, table, network, epochs)
        theirs = time.perf_counter() - start
        start = time.perf_counter()
        pack(describe_experiment(network, epochs), root)
        packing = time.perf_counter() - start
        planner = Planner(describe_experiment(network, epochs), Inputs.read(root))
        spec = planner.plan_training("cyborg", network, seed=1)
        (root / "out").mkdir()
        start = time.perf_counter()
        train_cell(spec, root / "out", root)
        ours = time.perf_counter() - start
    print(
        f"run, {network}, {counts['train']} + {counts['validation']} images, {epochs} epochs: "
        f"published {theirs:.1f} s, packing {packing:.1f} s, cell {ours:.1f} s; ratio "
        f"{theirs / (packing + ours):.2f} with packing, {theirs / ours:.2f} without",
        flush=True,
    )


def time_scoring(network: str, images: int, models: int) -> None:
    """Print the times of scoring a test set with several models, both ways."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        table = draw_images(root, {"test": images})
        paths = [root / file for file in table["file"]]
        theirs_of = [build_published_network(network)[0] for _ in range(models)]
        spec = resolve_network(network, NetworkOptions(weights="none"))
        ours_of = [build_network(spec, classes=2, seed=n) for n in range(models)]
        start = time.perf_counter()
        for model in theirs_of:
            published_way.score_files(model, paths, INPUT)
        theirs = time.perf_counter() - start
        start = time.perf_counter()
        pack(describe_experiment(network, 1), root)
        for model in ours_of:
            model.to(memory_format=torch.channels_last).to(choose_device()).eval()
            score_images(model, PackedImages.find(root, INPUT, sorted(table["image"])))
        ours = time.perf_counter() - start
    print(
        f"scoring, {network}, {models} models, {images} images of {SIDE} pixels: published "
        f"{theirs:.1f} s, ours {ours:.1f} s with packing; ratio {theirs / ours:.2f}",
        flush=True,
    )


GO_THROUGH = """
import re, sys
import numpy as np
from pathlib import Path
from cyborg.training.batches import Samples
array = np.load(sys.argv[1], mmap_mode="r")
train, validation = int(sys.argv[2]), int(sys.argv[3])
# Not ru_maxrss: a child starts with that of its parent.
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1e6
before = peak()
samples = Samples(np.ascontiguousarray(array[:train]), np.zeros(train, np.int64))
for start in range(train, train + validation, 64):
    np.array(array[start : start + 64])
print(peak(), before)
"""


def measure_memory() -> None:
    """Print what holds the images of the paper's set, both ways."""
    pixels = 3 * INPUT * INPUT
    count = sum(PAPER.values())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npy"
        np.lib.format.open_memmap(path, "w+", np.uint8, (count, INPUT, INPUT, 3))
        words = [str(path), *(str(n) for n in PAPER.values())]
        command = [sys.executable, "-c", GO_THROUGH, *words]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peak, before = (float(word) for word in done.stdout.split())
    print(
        f"memory, {count} images of {INPUT} pixels: published {4 * pixels * count / 1e9:.1f} GB of "
        f"float32; ours {pixels * PAPER['train'] / 1e9:.2f} GB resident and "
        f"{pixels * PAPER['validation'] / 1e9:.1f} GB mapped from disk, shared by all cells of the "
        f"machine; peak of a process that reads all of them {peak:.1f} GB, of which "
        f"{before:.1f} GB before the first image",
        flush=True,
    )


def main() -> None:
    """Measure and print one line per part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=["run", "scoring", "memory"])
    parser.add_argument("--network", default="densenet121", choices=["densenet121", "resnet50"])
    parser.add_argument("--train", type=int, default=100, help="training images of `run`")
    parser.add_argument("--validation", type=int, default=200, help="validation images of `run`")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--images", type=int, default=40, help="images of `scoring`")
    parser.add_argument("--models", type=int, default=10)
    options = parser.parse_args()
    configure_torch(choose_device())
    # The published way knows no deterministic algorithms.
    torch.set_deterministic_debug_mode("default")
    machine = describe_environment(choose_device())
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    if "run" in options.parts:
        counts = {"train": options.train, "validation": options.validation}
        time_whole_run(options.network, counts, options.epochs)
    if "scoring" in options.parts:
        time_scoring(options.network, options.images, options.models)
    if "memory" in options.parts:
        measure_memory()


if __name__ == "__main__":
    main()
