"""The optimiser and the course of the learning rate, as a function of the step alone."""

from __future__ import annotations

import math

import torch
from torch import nn

from cyborg.common.errors import UserError
from cyborg.config.training import Training


def optimiser(network: nn.Module, training: Training) -> torch.optim.Optimizer:
    """SGD or AdamW over the parameters that are trained (those that require a gradient)."""
    trained = [p for p in network.parameters() if p.requires_grad]
    if not trained:
        raise UserError(
            "every parameter of the network is frozen",
            where="architectures: frozen",
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


def learning_rate(training: Training, step: int, steps: int) -> float:
    """Learning rate of a step (0, 1, ... over all epochs); `steps` is the number in an epoch.

    `constant`; `step`: times step_factor every step_epochs epochs (StepLR); `cosine`: half a
    cosine from the full rate to zero; `one_cycle`: rises as a cosine from 1/25 over the first 30 %
    of the steps, then falls to 1/250000 (torch's OneCycleLR, the momentum left as it is).
    """
    highest, total = training.learning_rate, training.epochs * steps
    if training.schedule == "step":
        return highest * training.step_factor ** (step // steps // training.step_epochs)
    if training.schedule == "cosine":
        return highest * (1 + math.cos(math.pi * step / total)) / 2
    if training.schedule == "one_cycle":
        first, last = highest / 25, highest / 250_000
        top = 0.3 * total - 1
        if step <= top:
            return _cosine(first, highest, step / top)
        return _cosine(highest, last, min((step - top) / (total - 1 - top), 1.0))
    return highest


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
