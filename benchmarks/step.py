"""Compare a training step of this project with the published way, side by side in one run.

    python benchmarks/step.py                     # resnet50, densenet121; some minutes on two cores
    python benchmarks/step.py --networks resnet50 --precision float32 --rounds 3

Prints, per network and precision, milliseconds per image and two ratios: published step / ours
with CYBORG, and ours with CYBORG / ours with cross-entropy. Ours is measured through
cyborg.training.train.train: gathering, normalisation, loss, optimiser and bookkeeping included. The
published step (benchmarks/published_way.py) includes the collation of its batches. Rounds take
turns, the median over rounds is given; the weights are random, which does not matter for time.
On a CPU the time is that of the processor, summed over threads: what else runs on the machine
matters little. CYBORG_THREADS sets the number of threads of both.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torchvision
from torch import nn

import published_way
from cyborg.common.families import LOSSES
from cyborg.config.networks import NetworkOptions
from cyborg.config.training import Training
from cyborg.models.architectures import resolve_network
from cyborg.models.network import build_network
from cyborg.training import train
from cyborg.training.batches import Epochs, Samples
from cyborg.training.checkpoint import Checkpoint
from cyborg.training.machine import choose_device, configure_torch, describe_environment
from cyborg.training.objective import Objective

MAP = {"resnet50": 7, "densenet121": 7}


def make_published_epoch(
    name: str, pixels: np.ndarray, labels: np.ndarray, maps: np.ndarray, size: int
) -> Any:
    """Return a function that trains on all images once, the published way."""
    device = choose_device()
    if name == "resnet50":
        network: Any = torchvision.models.resnet50(weights=None)
        network.fc = nn.Linear(network.fc.in_features, 2)
        features = published_way.tap_features(network, network.layer4[-1].conv3)
        weight = network.fc.weight
    else:
        network = torchvision.models.densenet121(weights=None)
        network.classifier = nn.Linear(network.classifier.in_features, 2)
        features = network.features  # a second forward pass
        weight = network.classifier.weight
    network.to(device).train()
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-6)
    samples = [
        (torch.from_numpy(p).permute(2, 0, 1).float() / 255, int(k), torch.from_numpy(m).float())
        for p, k, m in zip(pixels, labels, maps, strict=True)
    ]

    def epoch() -> None:
        order = torch.randperm(len(samples)).tolist()
        for start in range(0, len(order), size):
            (batch,) = published_way.collate_batches(samples, size, order[start : start + size])
            images, classes, human = (part.to(device) for part in batch)
            published_way.train_step(network, features, weight, optimiser, (images, classes, human))

    return epoch


def make_own_epoch(
    name: str,
    loss: str,
    training: Training,
    pixels: np.ndarray,
    labels: np.ndarray,
    maps: np.ndarray,
) -> Callable[[], None]:
    """Return a function that trains on all images once, with a loss of this project."""
    device = choose_device()
    architecture = resolve_network(name, NetworkOptions(weights="none"))
    network = build_network(architecture, classes=2, seed=0)
    network.to(memory_format=torch.channels_last).to(device)
    objective = Objective(LOSSES.find(loss), {}, network.image_size, network.map_size, 0)
    rows = np.arange(len(pixels))
    data = Epochs(
        Samples(pixels, labels, maps, rows, device=device), rows, training, network.map_size, 0
    )

    def epoch() -> None:
        train.train_network(network, objective, data, None, training, 0, Checkpoint(None))  # type: ignore

    return epoch


def time_call(call: Callable[[], None]) -> float:
    """Return the seconds that a call takes: of the wall on a GPU, else of the processor."""
    if choose_device().type == "cpu":
        start = time.process_time()
        call()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=list(MAP), choices=list(MAP))
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--batch-size", type=int, default=20)
    parser.add_argument("--steps", type=int, default=2, help="steps per round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, after one to warm up")
    parser.add_argument("--compile", action="store_true", help="compile our networks")
    options = parser.parse_args()
    configure_torch(choose_device())
    # The published way knows neither validation without images nor deterministic algorithms.
    train.validate_network = lambda *_: dict.fromkeys(train.MEASURES, math.nan)
    machine = describe_environment(choose_device())
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    columns = "network | precision | published | ours, cross-entropy | ours, CYBORG"
    print(f"\n| {columns} | published / ours | CYBORG / cross-entropy |\n{'|---' * 7}|")
    rng = np.random.default_rng(0)
    count = options.batch_size * options.steps
    for name in options.networks:
        pixels = rng.integers(0, 256, (count, 224, 224, 3), dtype=np.uint8)
        maps = rng.integers(0, 256, (count, 224, 224), dtype=np.uint8)
        labels = np.arange(count) % 2
        small = maps[:, :: 224 // MAP[name], :: 224 // MAP[name]][
            :, : MAP[name], : MAP[name]
        ].copy()
        calls = {"published": make_published_epoch(name, pixels, labels, small, options.batch_size)}
        for precision in options.precision:
            training = Training.model_validate({
                "epochs": 1, "batch_size": options.batch_size, "learning_rate": 1e-4,
                "precision": precision, "selection": "last", "compile": options.compile,
            })  # fmt: skip
            for loss in ("cross_entropy", "cyborg"):
                calls[f"{precision} {loss}"] = make_own_epoch(
                    name, loss, training, pixels, labels, maps
                )
        seconds: dict[str, list[float]] = {key: [] for key in calls}
        for _ in range(options.rounds + 1):
            for key, call in calls.items():
                seconds[key].append(time_call(call))
        each = {key: 1000 * statistics.median(s[1:]) / count for key, s in seconds.items()}
        for precision in options.precision:
            plain, guided = each[f"{precision} cross_entropy"], each[f"{precision} cyborg"]
            print(
                f"| {name} | {precision} | {each['published']:.1f} ms | {plain:.1f} ms "
                f"| {guided:.1f} ms | {each['published'] / guided:.2f} | {guided / plain:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
