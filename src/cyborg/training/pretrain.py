"""Train a saliency autoencoder, the first stage of MENTOR: images in, human maps out, no labels.

    L = mean (sigmoid(u(x)) - N(S))²

Source: Boyd et al., arXiv 2310.19545, and the notebook of CVRL/MENTOR: Adam, the epoch of the
lowest validation loss, no augmentation. The encoder of that epoch is the file model.safetensors,
which preparation `mentor` gives to a classifier.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cyborg.common.errors import UserError
from cyborg.common.progress import ReportProgress, ignore_progress
from cyborg.common.seeds import create_numpy_generator, derive_seed
from cyborg.config.pretraining import Pretraining, PretrainSpec
from cyborg.models.autoencoder import Autoencoder
from cyborg.models.cam import normalise_maps
from cyborg.models.network import build_network
from cyborg.pack.dataset import read_images, read_manifest_rows
from cyborg.training.checkpoint import Checkpoint, TrainingState, copy_state
from cyborg.training.guidance import read_guiding_maps
from cyborg.training.machine import (
    choose_device,
    configure_torch,
    describe_environment,
    explain_error,
)
from cyborg.training.outcome import write_outcome

# Images uint8 [N,S,S,3] and their human maps uint8 [N,S,S].
Pairs = tuple[Tensor, Tensor]


def pretrain_cell(
    spec: PretrainSpec,
    out: Path,
    root: Path,
    work: Path | None = None,
    report: ReportProgress = ignore_progress,
) -> None:
    """Train the autoencoder of a cell and write its files into `out` (docs/formats.md#cells).

    The arguments are those of train_cell. Raises UserError if no training or validation image has
    a map, if the loss diverges, and if memory runs out.
    """
    device = choose_device()
    configure_torch(device)
    options = spec.autoencoder
    network = build_network(spec.architecture, classes=len(spec.classes), seed=spec.seed)
    torch.manual_seed(derive_seed(spec.seed, "decoder"))
    autoencoder = Autoencoder(network, options.image_size, options.decoder).to(device)
    training, validation = (
        read_pairs(spec, root, split, network.image_size) for split in ("train", "validation")
    )
    checkpoint = Checkpoint(work / "state.pt" if work else None, spec.compute_digest())
    try:
        state = train_autoencoder(
            autoencoder, training, validation, options, spec.seed, checkpoint, report
        )
    except (MemoryError, RuntimeError) as error:
        raise explain_error(error, "variants: prepare.mentor.batch_size") from error
    counts = {"training_maps": len(training[0]), "validation_maps": len(validation[0])}
    write_outcome(out, spec, state, "loss", counts, describe_environment(device))


def train_autoencoder(
    autoencoder: Autoencoder,
    training: Pairs,
    validation: Pairs,
    options: Pretraining,
    seed: int,
    checkpoint: Checkpoint,
    report: ReportProgress = ignore_progress,
) -> TrainingState:
    """Train, and keep the encoder of the epoch with the lowest validation loss.

    A training that was interrupted goes on after the last finished epoch and ends with the same
    bits.
    """
    trained = [p for p in autoencoder.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=options.learning_rate)
    scaler = torch.amp.GradScaler(enabled=False)
    state = checkpoint.restore_state(autoencoder, optimiser, scaler)
    for epoch in range(state.epoch, options.epochs):
        torch.manual_seed(derive_seed(seed, "autoencoder", epoch))
        autoencoder.train()
        order = create_numpy_generator(seed, "autoencoder order", epoch).permutation(
            len(training[0])
        )
        total = 0.0
        for rows in _split_batches(order, options.batch_size):
            loss = _compute_loss(autoencoder, training, rows, options.image_size)
            torch.autograd.backward(loss)
            optimiser.step()
            optimiser.zero_grad()
            total += loss.item() * len(rows)
        autoencoder.eval()
        with torch.inference_mode():
            every = np.arange(len(validation[0]))
            losses = [
                _compute_loss(autoencoder, validation, rows, options.image_size).item() * len(rows)
                for rows in np.array_split(every, max(1, len(every) // 32))
            ]
        row = {
            "epoch": epoch + 1,
            "loss": total / len(order),
            "validation_loss": sum(losses) / len(every),
        }
        if not math.isfinite(row["loss"] + row["validation_loss"]):
            raise UserError(
                f"the loss is not finite in epoch {epoch + 1}",
                location="params.yaml: variants: prepare.mentor.learning_rate",
                hint=f"lower it (it is {options.learning_rate:g})",
            )
        if state.measures is None or row["validation_loss"] <= state.measures["loss"]:
            state.best, state.selected = copy_state(autoencoder.network), epoch + 1
            state.measures = {"loss": row["validation_loss"]}
        state.epoch = epoch + 1
        state.history.append(row)
        checkpoint.save_state(state, autoencoder, optimiser, scaler)
        report(state.epoch, options.epochs)
    return state


def _split_batches(order: np.ndarray, size: int) -> list[np.ndarray]:
    """Return batches of `size`, without a last one of a single image (batch norm needs two)."""
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    return batches[:-1] if len(batches) > 1 and len(batches[-1]) == 1 else batches


def _compute_loss(autoencoder: Autoencoder, pairs: Pairs, rows: np.ndarray, size: int) -> Tensor:
    """Return the mean squared difference of predicted and human maps, these stretched to 0..1."""
    device = next(autoencoder.parameters()).device
    pictures = pairs[0][rows].to(device).permute(0, 3, 1, 2).float() / 255
    human = pairs[1][rows].to(device)[:, None].float() / 255
    pictures, human = (
        functional.interpolate(values, size=(size, size), mode="bilinear", antialias=True)
        if values.shape[-1] != size
        else values
        for values in (pictures, human)
    )
    predicted = autoencoder(pictures).sigmoid()
    loss: Tensor = (predicted - normalise_maps(human[:, 0])).square().mean()
    return loss


def read_pairs(spec: PretrainSpec, root: Path, split: str, size: int) -> Pairs:
    """Return the images of a split that have a map, and their maps after the cell's control.

    Raises UserError if no image has one.
    """
    rows = read_manifest_rows(root, spec.sources, split, spec.classes)
    human, owners = read_guiding_maps(spec, rows, root, size)
    if not len(owners):
        raise UserError(
            f"no {split} image has a map of `{spec.saliency}`, and an autoencoder learns maps",
            location="params.yaml: variants: prepare.mentor",
            hint="annotate some, or raise split.validation",
        )
    pictures = read_images(root, size, [rows.names[n] for n in owners])
    return torch.from_numpy(pictures), torch.from_numpy(human)
