"""Train one network with one loss from one seed: what is done, in the order in which it is done."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cyborg.common.errors import UserError
from cyborg.common.families import LOSSES, PREPARATIONS
from cyborg.common.files import encode_canonically, sha256_bytes
from cyborg.common.seeds import derive_seed
from cyborg.config.networks import NetworkSpec
from cyborg.config.training import Training
from cyborg.models.network import Network, NetworkOutput, build
from cyborg.pack.dataset import ManifestRows, read_images, read_manifest_rows
from cyborg.training.batches import Epochs, Samples
from cyborg.training.checkpoint import Checkpoint, Progress, copied
from cyborg.training.guidance import guiding_maps
from cyborg.training.machine import device, environment, explained, prepare
from cyborg.training.objective import Objective
from cyborg.training.optimisation import learning_rate, optimiser
from cyborg.training.outcome import write_outcome
from cyborg.training.preparations._base import Context, Material
from cyborg.training.validation import Validation, gain, validate

PRECISION = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
MEASURES = ("accuracy", "auc", "loss")
SPLITS = ("train", "validation")


def train(
    network: Network,
    objective: Objective,
    data: Epochs,
    validation: Validation,
    training: Training,
    seed: int,
    checkpoint: Checkpoint,
    progress: Callable[[dict[str, Any]], None] = lambda state: None,
) -> Progress:
    """Train, validate after each epoch and keep the best one, the later of equals (published).

    Interrupted at any moment and called again, training goes on after the last finished epoch and
    ends with the same bits. Raises UserError where the loss stops being finite.
    """
    where = next(network.parameters()).device
    half = training.precision != "float32"
    autocast = partial(torch.autocast, where.type, PRECISION[training.precision], half)
    forward = torch.compile(network.outputs) if training.compile else network.outputs
    trained = nn.ModuleList([network, objective])  # a few losses learn something, too
    optimise = optimiser(trained, training)
    scaler = torch.amp.GradScaler(where.type, enabled=training.precision == "float16")
    run = checkpoint.restore(trained, optimise, scaler)

    def through(normalised: Tensor) -> NetworkOutput:
        with autocast():
            output: NetworkOutput = forward(normalised)
        return output

    for epoch in range(run.epoch, training.epochs):
        if training.early_stopping and epoch >= run.improved + training.early_stopping:
            break
        # Every epoch has its own seeds, so that no random state need be kept to resume.
        torch.manual_seed(derive_seed(seed, "network", epoch))
        trained.train()
        sums = torch.zeros(3, device=where)

        for step, batches in enumerate(data.epoch(epoch), start=epoch * data.steps):
            rate = learning_rate(training, step, data.steps)
            for group in optimise.param_groups:
                group["lr"] = rate
            count = sum(len(rows) for rows in batches)
            for rows in batches:
                batch = data.batch(rows)
                inputs = objective.prepared(network.normalise(batch.images))
                output = through(inputs)  # once: the loss makes its map from the features
                loss = objective(output, batch, inputs, through)
                scaler.scale(loss.total * (len(rows) / count)).backward()
                # Added up on the device: to read a value here would be to wait in every step.
                sums += torch.stack([part.detach() for part in loss[:3]]).float() * len(rows)
            scaler.step(optimise)
            scaler.update()
            optimise.zero_grad()

        total, classification, saliency = (sums / data.images).tolist()
        if not math.isfinite(total):
            raise _diverged(epoch, training)
        measures = validate(network, validation, autocast, where)
        better = gain(training.selection, measures, run.measures)
        if better >= 0:
            run.best, run.selected, run.measures = copied(network), epoch + 1, measures
        if better > 0:
            run.improved = epoch + 1
        run.epoch = epoch + 1
        row = {
            "epoch": run.epoch,
            "learning_rate": rate,
            "loss": total,
            "classification": classification,
            "saliency": saliency,
            **{f"validation_{name}": measures[name] for name in MEASURES},
        }
        run.history.append(row)
        checkpoint.save(run, trained, optimise, scaler)
        progress({**row, "epochs": training.epochs})
    return run


def train_cell(
    spec: dict[str, Any],
    out: Path,
    root: Path,
    work: Path | None = None,
    progress: Callable[[dict[str, Any]], None] = lambda state: None,
) -> None:
    """Train the cell of a specification (docs/formats.md#cells) and write its files into `out`.

    root: the project folder, with manifest and packs; work: folder that keeps the state of an
    interrupted training (None: none is kept); progress: called after each epoch with its row of
    history.csv and `epochs`, their number. Raises UserError for what is wrong with
    data or parameters, when the loss diverges, and when memory runs out.
    """
    where = device()
    prepare(where)
    classes, seed = spec["classes"], spec["seed"]
    training = Training.model_validate(spec["training"])
    network = build(
        NetworkSpec.model_validate(spec["architecture"]), classes=len(classes), seed=seed
    )
    size = network.image_size
    loss = LOSSES.find(spec["loss"]["name"])
    objective = Objective(loss, spec["loss"]["options"], size, network.map_size, seed)
    _compatible(training, objective, spec["loss"]["name"])
    memory = torch.channels_last if training.channels_last else torch.contiguous_format
    network.to(memory_format=memory)
    network.to(where)
    objective.to(where)
    parts = {split: read_manifest_rows(root, spec["sources"], split, classes) for split in SPLITS}
    validation = Validation.of(root, size, parts["validation"])
    checkpoint = Checkpoint(
        work / "state.pt" if work else None, sha256_bytes(encode_canonically(spec))
    )

    try:
        material = _material(spec, parts["train"], root, network, where)
        samples = Samples(
            material.images,
            material.labels,
            material.maps,
            material.owners,
            material.weights,
            where,
        )
        data = Epochs(samples, material.sources, training, objective.map_size, seed)
        if "sample_weight" in objective.extras and np.isnan(material.weights).all():
            raise UserError(
                f"`{spec['loss']['name']}` needs weights of samples, and no training image has one",
                where=root / "data/manifest.parquet",
                hint="the column `weights` of data/sources.csv names them (docs/data.md)",
            )
        run = train(network, objective, data, validation, training, seed, checkpoint, progress)
    except (MemoryError, RuntimeError) as error:
        raise explained(error, "training.batch_size") from error
    counts = {
        "training_images": len(samples),
        "training_maps": samples.maps_given,
        "validation_images": len(validation),
    }
    write_outcome(out, run, training.selection, counts, environment(where))


def _compatible(training: Training, objective: Objective, name: str) -> None:
    """Refuse parameters that contradict each other."""
    if training.compile and objective.extras & {"images", "network"}:
        raise UserError(
            f"`{name}` needs derivatives that a compiled network does not have",
            where="params.yaml: training.compile",
            hint=f"give `training: {{compile: false}}` to the variants with `loss: {name}`",
        )
    if training.early_stopping and training.selection == "last":
        raise UserError(
            "early_stopping waits for a better epoch, `selection: last` knows none",
            where="params.yaml: training.early_stopping",
            hint="select by accuracy, auc or loss, or leave early_stopping null",
        )


def _material(
    spec: dict[str, Any], rows: ManifestRows, root: Path, network: Network, where: torch.device
) -> Material:
    """The training part, with the maps that guide the variant, after its preparations."""
    size = network.image_size
    human, owners = guiding_maps(spec, rows, root, size)
    material = Material(
        read_images(root, size, rows.names), rows.labels, rows.sources, rows.weights, human, owners
    )
    for step in spec["prepare"]:
        member = PREPARATIONS.find(step["name"])
        parent = root / "runs" / step["parent"] if step["parent"] else None
        options = member.options.model_validate(step["options"])
        material = member.prepare(material, options, Context(network, spec, parent, where))
    return material


def _diverged(epoch: int, training: Training) -> UserError:
    half = training.precision == "float16"
    return UserError(
        f"the loss is not finite in epoch {epoch + 1}",
        where="params.yaml: training.learning_rate",
        hint=f"lower it (it is {training.learning_rate:g})"
        + (", or use `precision: bfloat16` or float32" if half else ""),
    )
