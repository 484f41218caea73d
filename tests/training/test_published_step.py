"""The fast training step against the published way: same loss, same gradients, float32."""

from __future__ import annotations

import copy
import sys
from typing import Any

import numpy as np
import pytest
import torch

import cyborg.losses
import cyborg.training.train
from cyborg.common.families import LOSSES
from cyborg.config.training import Training
from cyborg.models.network import Network
from cyborg.training.batches import Epochs, Samples, resize_unit_maps
from cyborg.training.checkpoint import Checkpoint
from cyborg.training.objective import Objective
from networks import make
from paths import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "benchmarks"))
import published_way

SIZE, COUNT, RATE = 64, 6, 0.5
# Both compute in float32 but sum in another order; gradients here are of the order 1e-3..1e-1.
TOLERANCE = 1e-5


def samples() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (COUNT, SIZE, SIZE, 3), dtype=np.uint8)
    maps = rng.integers(0, 256, (COUNT, SIZE, SIZE), dtype=np.uint8)
    return pixels, np.arange(COUNT) % 2, maps


def fast(network: Network, loss: str, options: dict[str, Any]) -> tuple[dict, list[torch.Tensor]]:
    """History and gradients of one step: plain SGD, so that the step is the gradient."""
    pixels, labels, maps = samples()
    training = Training.model_validate(
        {"epochs": 1, "batch_size": COUNT, "learning_rate": RATE, "momentum": 0, "weight_decay": 0,
         "schedule": "constant", "selection": "last"}
    )  # fmt: skip
    rows = np.arange(COUNT)
    data = Epochs(Samples(pixels, labels, maps, rows), rows, training, network.map_size, 0)
    objective = Objective(LOSSES.find(loss), options, SIZE, network.map_size, seed=0)
    before = [p.detach().clone() for p in network.parameters()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            cyborg.training.train,
            "validate_network",
            lambda *_: dict.fromkeys(cyborg.training.train.MEASURES, 0.0),
        )
        nothing: Any = None
        run = cyborg.training.train.train_network(
            network, objective, data, nothing, training, 0, Checkpoint(None)
        )
    after = network.parameters()
    gradients = [(b - a.detach()) / RATE for b, a in zip(before, after, strict=True)]
    return run.history[0], gradients


@pytest.mark.parametrize("second_pass", [False, True])
@pytest.mark.parametrize("name", ["small_cnn", "resnet18"])
def test_the_fast_step_is_the_published_step(name: str, second_pass: bool) -> None:
    network = make(name, seed=1, image_size=SIZE).to(memory_format=torch.channels_last)
    peer = copy.deepcopy(network.net).to(memory_format=torch.contiguous_format).train()
    pixels, labels, maps = samples()
    mean, std = network.mean.flatten()[:, None, None], network.std.flatten()[:, None, None]
    images = torch.stack([
        (torch.from_numpy(p).permute(2, 0, 1).float() / 255 - mean) / std for p in pixels
    ])  # fmt: skip
    human = resize_unit_maps(torch.from_numpy(maps), network.map_size)
    last = peer.features if name == "small_cnn" else peer.layer4
    features = peer.forward_features if second_pass else published_way.tap_features(peer, last)
    head = peer.get_classifier()
    sgd = torch.optim.SGD(peer.parameters(), lr=RATE)
    before = [p.detach().clone() for p in peer.parameters()]
    batch = (images, torch.from_numpy(labels), human)
    total, classification, agreement = published_way.train_step(
        peer, features, head.weight, sgd, batch
    )
    expected = [(b - a.detach()) / RATE for b, a in zip(before, peer.parameters(), strict=True)]

    history, gradients = fast(network, "cyborg", {"alpha": 0.5, "target": "predicted"})
    assert history["loss"] == pytest.approx(total, abs=1e-6)
    assert history["classification"] == pytest.approx(classification, abs=1e-6)
    assert history["saliency"] == pytest.approx(agreement, abs=1e-6)
    largest = max(g.abs().max().item() for g in expected)
    assert largest > 1e-2
    for ours, theirs in zip(gradients, expected, strict=True):
        assert (ours - theirs).abs().max().item() < TOLERANCE * max(largest, 1)
