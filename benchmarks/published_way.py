"""Train and score as the published code does, written anew from its description, to compare with.

A peer for benchmarks and tests, which shares no code with the package. What it does on purpose, as
the published code (CVRL/CYBORG, train_cam.py and test.py) does: every image is decoded at the
start and kept as a float32 tensor; a step is float32 with contiguous memory; DenseNet's features
are computed a second time for the map, other networks' are caught by a hook; maps are made and
normalised one sample at a time in Python; losses are read back in every step; validation runs in
batches of the same size; scoring opens one file at a time, in batches of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def decode_image(path: Path, size: int, statistics: tuple = IMAGENET) -> Tensor:
    """Return one image as a normalised float32 tensor [3,S,S]."""
    with Image.open(path) as image:
        small = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in statistics)
    return (pixels - mean) / std


def tap_features(network: nn.Module, layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return a function for the features that a hook on a layer catches in the forward pass."""
    caught: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        caught[:] = [output]

    layer.register_forward_hook(keep)
    return lambda images: caught[0]


def measure_distance(features: Tensor, weight: Tensor, predicted: int, human: Tensor) -> Tensor:
    """Return the squared distance of one sample's map [C,H,W] from its human map [H,W]."""
    channels, height, width = features.shape
    cam = (weight[predicted] @ features.reshape(channels, height * width)).reshape(height, width)
    cam = cam - cam.min()
    cam = cam / cam.max()
    human = human - human.min()
    human = human / human.max()
    return ((cam - human) ** 2).mean()


def train_step(
    network: nn.Module,
    features_of: Callable[[Tensor], Tensor],
    weight: Tensor,
    optimiser: torch.optim.Optimizer,
    batch: tuple[Tensor, Tensor, Tensor],
    alpha: float = 0.5,
) -> tuple[float, float, float]:
    """Do one training step and return total loss, cross-entropy and distance of the maps.

    batch: images [B,3,S,S], labels [B], human maps [B,H,W] at the size of the features.
    features_of: gives the features [B,C,H,W] of the images that just went through.
    """
    images, labels, human = batch
    optimiser.zero_grad()
    logits = network(images)
    classification = functional.cross_entropy(logits, labels)
    features = features_of(images)
    predicted = logits.argmax(1)
    agreement = torch.zeros(())
    for index in range(len(images)):
        agreement = agreement + measure_distance(
            features[index], weight, int(predicted[index].item()), human[index]
        )
    agreement = agreement / len(images)
    total = alpha * classification + (1 - alpha) * agreement
    total.backward()
    optimiser.step()
    return total.item(), classification.item(), agreement.item()


def collate_batches(
    samples: Sequence[tuple[Tensor, int, Tensor]], size: int, order: Sequence[int]
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Collate samples (image, label, map) that are held one by one, in an order."""
    result = []
    for start in range(0, len(order), size):
        chosen = [samples[index] for index in order[start : start + size]]
        images, labels, human = zip(*chosen, strict=True)
        result.append((torch.stack(images), torch.tensor(labels), torch.stack(human)))
    return result


def measure_accuracy(
    network: nn.Module, samples: Sequence[tuple[Tensor, int, Tensor]], size: int
) -> float:
    """Return the accuracy, in batches of the training's size."""
    network.eval()
    right = 0
    with torch.no_grad():
        for images, labels, _ in collate_batches(samples, size, range(len(samples))):
            right += int((network(images).argmax(1) == labels).sum().item())
    return right / len(samples)


def score_files(network: nn.Module, paths: Sequence[Path], size: int) -> list[float]:
    """Return the score of the second class of each file, opened one at a time."""
    network.eval()
    scores = []
    with torch.no_grad():
        for path in paths:
            logits = network(decode_image(path, size)[None])
            scores.append(torch.sigmoid(logits)[0, 1].item())
    return scores
