"""Train a saliency autoencoder, the first stage of MENTOR: images in, human maps out, no labels.

    L = mean (sigmoid(u(x)) - N(S))²

Source: Boyd et al., arXiv 2310.19545, and the notebook of CVRL/MENTOR: Adam, the epoch of the
lowest validation loss, no augmentation. The encoder of that epoch is the file model.safetensors,
which preparation `mentor` gives to a classifier.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cyborg.common.errors import UserError
from cyborg.common.files import encode_canonically, sha256_bytes
from cyborg.common.seeds import create_numpy_generator, derive_seed
from cyborg.config.networks import NetworkSpec
from cyborg.models.autoencoder import Autoencoder
from cyborg.models.cam import normalise_maps
from cyborg.models.network import build
from cyborg.pack.dataset import read_images, read_manifest_rows
from cyborg.training.checkpoint import Checkpoint, Progress, copied
from cyborg.training.guidance import guiding_maps
from cyborg.training.machine import device, environment, explained, prepare
from cyborg.training.outcome import write_outcome
from cyborg.training.preparations.mentor import Options

Pairs = tuple[Tensor, Tensor]
"""Images uint8 [N,S,S,3] and their human maps uint8 [N,S,S]."""


def pretrain_cell(
    spec: dict[str, Any],
    out: Path,
    root: Path,
    work: Path | None = None,
    progress: Callable[[dict[str, Any]], None] = lambda state: None,
) -> None:
    """Train the autoencoder of a specification (docs/formats.md#cells), write its files to `out`.

    The arguments are those of train_cell. Raises UserError where no training or
    validation image has a map, when the loss diverges, and when memory runs out.
    """
    where = device()
    prepare(where)
    options = Options.model_validate(spec["autoencoder"])
    network = build(
        NetworkSpec.model_validate(spec["architecture"]),
        classes=len(spec["classes"]),
        seed=spec["seed"],
    )
    size = network.image_size
    torch.manual_seed(derive_seed(spec["seed"], "decoder"))
    autoencoder = Autoencoder(network, options.image_size, options.decoder).to(where)
    training, validation = (_pairs(spec, root, split, size) for split in ("train", "validation"))
    checkpoint = Checkpoint(
        work / "state.pt" if work else None, sha256_bytes(encode_canonically(spec))
    )

    try:
        run = pretrain(
            autoencoder, training, validation, options, spec["seed"], checkpoint, progress
        )
    except (MemoryError, RuntimeError) as error:
        raise explained(error, "variants: prepare.mentor.batch_size") from error
    counts = {"training_maps": len(training[0]), "validation_maps": len(validation[0])}
    write_outcome(out, run, "loss", counts, environment(where))


def pretrain(
    autoencoder: Autoencoder,
    training: Pairs,
    validation: Pairs,
    options: Options,
    seed: int,
    checkpoint: Checkpoint,
    progress: Callable[[dict[str, Any]], None] = lambda state: None,
) -> Progress:
    """Train and keep the encoder of the epoch with the lowest validation loss.

    Interrupted and called again, it goes on after the last finished epoch with the same bits.
    """
    trained = [p for p in autoencoder.parameters() if p.requires_grad]
    optimise = torch.optim.Adam(trained, lr=options.learning_rate)
    scaler = torch.amp.GradScaler(enabled=False)
    run = checkpoint.restore(autoencoder, optimise, scaler)
    for epoch in range(run.epoch, options.epochs):
        torch.manual_seed(derive_seed(seed, "autoencoder", epoch))
        autoencoder.train()
        order = create_numpy_generator(seed, "autoencoder order", epoch).permutation(
            len(training[0])
        )
        total = 0.0
        for rows in _batches(order, options.batch_size):
            loss = _loss(autoencoder, training, rows, options.image_size)
            loss.backward()
            optimise.step()
            optimise.zero_grad()
            total += loss.item() * len(rows)
        autoencoder.eval()
        with torch.inference_mode():
            every = np.arange(len(validation[0]))
            parts = [
                _loss(autoencoder, validation, rows, options.image_size).item() * len(rows)
                for rows in np.array_split(every, max(1, len(every) // 32))
            ]
        row = {
            "epoch": epoch + 1,
            "loss": total / len(order),
            "validation_loss": sum(parts) / len(every),
        }
        if not math.isfinite(row["loss"] + row["validation_loss"]):
            raise UserError(
                f"the loss is not finite in epoch {epoch + 1}",
                where="params.yaml: variants: prepare.mentor.learning_rate",
                hint=f"lower it (it is {options.learning_rate:g})",
            )
        if run.measures is None or row["validation_loss"] <= run.measures["loss"]:
            run.best, run.selected = copied(autoencoder.network), epoch + 1
            run.measures = {"loss": row["validation_loss"]}
        run.epoch = epoch + 1
        run.history.append(row)
        checkpoint.save(run, autoencoder, optimise, scaler)
        progress({**row, "epochs": options.epochs})
    return run


def _batches(order: np.ndarray, size: int) -> list[np.ndarray]:
    """Batches of `size`; a last one of a single image is left out (batch norm needs two)."""
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    return batches[:-1] if len(batches) > 1 and len(batches[-1]) == 1 else batches


def _loss(autoencoder: Autoencoder, pairs: Pairs, rows: np.ndarray, size: int) -> Tensor:
    """Mean squared difference of predicted and human maps, each human map stretched to 0..1."""
    where = next(autoencoder.parameters()).device
    pictures = pairs[0][rows].to(where).permute(0, 3, 1, 2).float() / 255
    human = pairs[1][rows].to(where)[:, None].float() / 255
    pictures, human = (
        functional.interpolate(values, size=(size, size), mode="bilinear", antialias=True)
        if values.shape[-1] != size
        else values
        for values in (pictures, human)
    )
    predicted = autoencoder(pictures).sigmoid()
    return (predicted - normalise_maps(human[:, 0])).square().mean()


def _pairs(spec: dict[str, Any], root: Path, split: str, size: int) -> Pairs:
    """Images of one part that have a map, with their maps, changed as the control says."""
    rows = read_manifest_rows(root, spec["sources"], split, spec["classes"])
    human, owners = guiding_maps(spec, rows, root, size)
    if not len(owners):
        raise UserError(
            f"no {split} image has a map of `{spec['saliency']}`; an autoencoder learns maps",
            where="params.yaml: variants: prepare.mentor",
            hint="annotate some, or raise split.validation",
        )
    pictures = read_images(root, size, [rows.names[n] for n in owners])
    return torch.from_numpy(pictures), torch.from_numpy(human)
