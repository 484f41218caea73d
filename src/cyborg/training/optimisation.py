"""Make the optimiser, and compute the learning rate of every step."""

from __future__ import annotations

import math

import torch
from torch import nn

from cyborg.common.errors import UserError
from cyborg.config.training import Training


def make_optimiser(network: nn.Module, training: Training) -> torch.optim.Optimizer:
    """Return SGD or AdamW over the parameters that require a gradient."""
    trained = [p for p in network.parameters() if p.requires_grad]
    if not trained:
        raise UserError(
            "every parameter of the network is frozen",
            location="architectures: frozen",
            hint="leave out the prefix of the last layers",
        )
    if training.optimiser == "adamw":
        return torch.optim.AdamW(
            trained, lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
        )
    return torch.optim.SGD(
        trained,
        lr=training.learning_rate,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
        fused=True,
    )


def compute_learning_rate(training: Training, step: int, steps: int) -> float:
    """Return the learning rate of a step, counted from 0 over all epochs.

    steps: number of steps in an epoch. The schedules are those of torch:
    - `constant`
    - `step`: times step_factor every step_epochs epochs (StepLR)
    - `cosine`: half a cosine from the full rate to zero (CosineAnnealingLR)
    - `one_cycle`: rises as a cosine from 1/25 of the rate over the first 30 % of the steps, then
      falls to 1/250000 (OneCycleLR with the momentum left as it is)

    >>> training = Training(learning_rate=0.1, schedule="step", step_epochs=12, step_factor=0.1)
    >>> [round(compute_learning_rate(training, epoch * 50, 50), 6) for epoch in (0, 11, 12, 24)]
    [0.1, 0.1, 0.01, 0.001]
    """
    # Not torch's schedulers: StepLR and CosineAnnealingLR multiply the last rate again and again,
    # which gives other last digits, and they have a state that a resumed training would need.
    highest, total = training.learning_rate, training.epochs * steps
    if training.schedule == "step":
        return highest * training.step_factor ** (step // steps // training.step_epochs)
    if training.schedule == "cosine":
        return highest * (1 + math.cos(math.pi * step / total)) / 2
    if training.schedule == "one_cycle":
        first, last = highest / 25, highest / 250_000
        top = 0.3 * total - 1
        if step <= top:
            return _interpolate_cosine(first, highest, step / top)
        return _interpolate_cosine(highest, last, min((step - top) / (total - 1 - top), 1.0))
    return highest


def _interpolate_cosine(start: float, end: float, share: float) -> float:
    """Return the value at a share (0 to 1) of half a cosine from start to end."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
