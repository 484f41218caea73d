"""Train one network with one loss from one seed."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cyborg.common.errors import UserError
from cyborg.common.families import LOSSES, PREPARATIONS
from cyborg.common.progress import ReportProgress, ignore_progress
from cyborg.common.seeds import derive_seed
from cyborg.config.training import Training, TrainSpec
from cyborg.models.network import Network, NetworkOutput, build_network
from cyborg.pack.dataset import ManifestRows, read_images, read_manifest_rows
from cyborg.training.batches import Epochs, Samples
from cyborg.training.checkpoint import Checkpoint, TrainingState, copy_state
from cyborg.training.guidance import read_guiding_maps
from cyborg.training.machine import (
    choose_device,
    configure_torch,
    describe_environment,
    explain_error,
)
from cyborg.training.objective import Objective
from cyborg.training.optimisation import compute_learning_rate, make_optimiser
from cyborg.training.outcome import write_outcome
from cyborg.training.preparations._base import Context, TrainingData
from cyborg.training.validation import ValidationData, compare_epochs, validate_network

PRECISION = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Measures of the validation images, in the order of their columns in history.csv.
MEASURES = ("accuracy", "auc", "loss")


def train_network(
    network: Network,
    objective: Objective,
    data: Epochs,
    validation: ValidationData,
    training: Training,
    seed: int,
    checkpoint: Checkpoint,
    report: ReportProgress = ignore_progress,
) -> TrainingState:
    """Train, validate after each epoch and keep the best one, the later of equals (published).

    A training that was interrupted goes on after the last finished epoch and ends with the same
    bits. Raises UserError if the loss stops being finite.
    """
    device = next(network.parameters()).device
    half = training.precision != "float32"
    autocast = partial(torch.autocast, device.type, PRECISION[training.precision], half)
    forward = network.forward_normalised
    if training.compile:
        forward = torch.compile(forward)
    trained = nn.ModuleList([network, objective])  # a few losses learn something, too
    optimiser = make_optimiser(trained, training)
    scaler = torch.amp.GradScaler(device.type, enabled=training.precision == "float16")
    state = checkpoint.restore_state(trained, optimiser, scaler)

    def compute_output(normalised: Tensor) -> NetworkOutput:
        with autocast():
            output: NetworkOutput = forward(normalised)
        return output

    for epoch in range(state.epoch, training.epochs):
        if training.early_stopping and epoch >= state.improved + training.early_stopping:
            break
        # Every epoch has its own seeds, so that no random state need be kept to resume.
        torch.manual_seed(derive_seed(seed, "network", epoch))
        trained.train()
        sums = torch.zeros(3, device=device)

        for step, batches in enumerate(data.draw_steps(epoch), start=epoch * data.steps):
            rate = compute_learning_rate(training, step, data.steps)
            for group in optimiser.param_groups:
                group["lr"] = rate
            count = sum(len(rows) for rows in batches)
            for rows in batches:
                batch = data.make_batch(rows)
                inputs = objective.prepare_inputs(network.normalise_images(batch.images))
                output = compute_output(inputs)  # once: the loss makes its map from the features
                loss = objective(output, batch, inputs, compute_output)
                scaler.scale(loss.total * (len(rows) / count)).backward()
                # Added up on the device: to read a value here would be to wait in every step.
                sums += torch.stack([value.detach() for value in loss[:3]]).float() * len(rows)
            scaler.step(optimiser)
            scaler.update()
            optimiser.zero_grad()

        total, classification, saliency = (sums / data.images).tolist()
        if not math.isfinite(total):
            raise _explain_divergence(epoch, training)
        measures = validate_network(network, validation, autocast, device)
        better = compare_epochs(training.selection, measures, state.measures)
        if better >= 0:
            state.best, state.selected, state.measures = copy_state(network), epoch + 1, measures
        if better > 0:
            state.improved = epoch + 1
        state.epoch = epoch + 1
        state.history.append(
            {
                "epoch": state.epoch,
                "learning_rate": rate,
                "loss": total,
                "classification": classification,
                "saliency": saliency,
                **{f"validation_{name}": measures[name] for name in MEASURES},
            }
        )
        checkpoint.save_state(state, trained, optimiser, scaler)
        report(state.epoch, training.epochs)
    return state


def train_cell(
    spec: TrainSpec,
    out: Path,
    root: Path,
    work: Path | None = None,
    report: ReportProgress = ignore_progress,
) -> None:
    """Train a cell and write its files into the folder `out` (docs/formats.md#cells).

    root: the project folder, with manifest and packs. work: a folder that keeps the state of an
    interrupted training, or None to keep none. report: called after each epoch. Raises UserError
    for errors in data or parameters, if the loss diverges, and if memory runs out.
    """
    device = choose_device()
    configure_torch(device)
    training, seed = spec.training, spec.seed
    network = build_network(spec.architecture, classes=len(spec.classes), seed=seed)
    size = network.image_size
    loss = LOSSES.find(spec.loss.name)
    objective = Objective(loss, spec.loss.options, size, network.map_size, seed)
    _check_compatible(training, objective, spec.loss.name)
    memory = torch.channels_last if training.channels_last else torch.contiguous_format
    network.to(memory_format=memory)
    network.to(device)
    objective.to(device)
    rows = read_manifest_rows(root, spec.sources, "train", spec.classes)
    validation_rows = read_manifest_rows(root, spec.sources, "validation", spec.classes)
    validation = ValidationData.find(root, size, validation_rows)
    checkpoint = Checkpoint(work / "state.pt" if work else None, spec.compute_digest())
    try:
        prepared = prepare_data(spec, rows, root, network, device)
        samples = Samples(
            prepared.images,
            prepared.labels,
            prepared.maps,
            prepared.owners,
            prepared.weights,
            device,
        )
        data = Epochs(samples, prepared.sources, training, objective.map_size, seed)
        if "sample_weight" in objective.extras and np.isnan(prepared.weights).all():
            raise UserError(
                f"`{spec.loss.name}` needs weights of samples, and no training image has one",
                location=root / "data/manifest.parquet",
                hint="the column `weights` of data/sources.csv names them (docs/data.md)",
            )
        state = train_network(
            network, objective, data, validation, training, seed, checkpoint, report
        )
    except (MemoryError, RuntimeError) as error:
        raise explain_error(error, "training.batch_size") from error
    counts = {
        "training_images": len(samples),
        "training_maps": samples.map_count,
        "validation_images": len(validation),
    }
    write_outcome(out, spec, state, training.selection, counts, describe_environment(device))


def prepare_data(
    spec: TrainSpec, rows: ManifestRows, root: Path, network: Network, device: torch.device
) -> TrainingData:
    """Read the training images and the maps that guide the cell, and run its preparations.

    A preparation may change the network too.
    """
    size = network.image_size
    human, owners = read_guiding_maps(spec, rows, root, size)
    data = TrainingData(
        read_images(root, size, rows.names), rows.labels, rows.sources, rows.weights, human, owners
    )
    for step in spec.prepare:
        preparation = PREPARATIONS.find(step.name)
        parent = root / "runs" / step.parent if step.parent else None
        options = preparation.options.model_validate(step.options)
        data = preparation.prepare(data, options, Context(network, spec, parent, device))
    return data


def _check_compatible(training: Training, objective: Objective, name: str) -> None:
    """Refuse parameters that contradict each other."""
    if training.compile and objective.extras & {"images", "network"}:
        raise UserError(
            f"`{name}` needs derivatives that a compiled network does not have",
            location="params.yaml: training.compile",
            hint=f"give `training: {{compile: false}}` to the variants with `loss: {name}`",
        )
    if training.early_stopping and training.selection == "last":
        raise UserError(
            "early_stopping waits for a better epoch, but with `selection: last` there is none",
            location="params.yaml: training.early_stopping",
            hint="select by accuracy, auc or loss, or leave early_stopping null",
        )


def _explain_divergence(epoch: int, training: Training) -> UserError:
    half = training.precision == "float16"
    return UserError(
        f"the loss is not finite in epoch {epoch + 1}",
        location="params.yaml: training.learning_rate",
        hint=f"lower it (it is {training.learning_rate:g})"
        + (", or use `precision: bfloat16` or float32" if half else ""),
    )
