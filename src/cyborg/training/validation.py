"""Accuracy, AUC and loss on the validation part, in large batches, without gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from cyborg.common.errors import UserError
from cyborg.common.ranking import compute_auc
from cyborg.pack.dataset import ManifestRows, Pack, locate_images

# Images per batch where nothing is kept for a gradient. A GPU wants many; on a CPU the features of
# more than a few leave its caches, which costs a third (docs/performance.md).
ON_GPU, ON_CPU = 512, 8


def suitable(device: torch.device) -> int:
    """Images per batch that are scored fastest on a device."""
    return ON_CPU if device.type == "cpu" else ON_GPU


@dataclass(frozen=True)
class Images:
    """Packed images in some order, read batch by batch: what is never all in memory at once."""

    pack: Pack
    positions: np.ndarray

    @classmethod
    def of(cls, root: Path, size: int, names: list[str]) -> Images:
        """Images by name at a size; UserError where one is not packed."""
        pack = Pack(root, "images", size)
        return cls(pack, locate_images(pack, names))

    def batches(self, device: torch.device, size: int | None = None) -> Iterator[Tensor]:
        """uint8 [B,3,S,S] on the device, in order; size: images per batch, None what suits it."""
        size = size or suitable(device)
        for start in range(0, len(self.positions), size):
            batch = torch.from_numpy(self.pack.take(self.positions[start : start + size]))
            if device.type == "cuda":  # from pinned memory the copy need not be waited for
                batch = batch.pin_memory()
            yield batch.to(device, non_blocking=True).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Validation:
    """The validation part: images and class numbers int64 [N]."""

    images: Images
    labels: np.ndarray

    @classmethod
    def of(cls, root: Path, size: int, part: ManifestRows) -> Validation:
        """The images and labels of a part of the manifest."""
        return cls(Images.of(root, size, part.names), part.labels)

    def __len__(self) -> int:
        return len(self.labels)


def validate(
    network: nn.Module, validation: Validation, autocast: Callable, device: torch.device
) -> dict[str, float]:
    """`accuracy`, `auc` and `loss` (cross-entropy) of the network as it stands.

    NaN where a measure does not exist: all of them without images, `auc` with one class only.
    """
    network.eval()
    outputs = []
    with torch.inference_mode():
        for images in validation.images.batches(device):
            with autocast():
                outputs.append(network(images).logits.float())
    if not outputs:
        return {"accuracy": math.nan, "auc": math.nan, "loss": math.nan}
    logits = torch.cat(outputs).cpu().double()
    labels = torch.tensor(validation.labels)
    return {
        "accuracy": (logits.argmax(1) == labels).double().mean().item(),
        "auc": auc(logits.softmax(1).numpy(), validation.labels),
        "loss": functional.cross_entropy(logits, labels).item(),
    }


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Area under the ROC curve of scores [N,K] (probabilities) and class numbers [N].

    Two classes: of the last one. More: the mean over the classes of each against the rest. NaN
    where a class is missing.
    """
    classes = [1] if scores.shape[1] == 2 else range(scores.shape[1])
    if not np.isfinite(scores).all() or len(np.unique(labels)) < scores.shape[1]:
        return math.nan
    return float(np.mean([compute_auc(scores[:, k], labels == k) for k in classes]))


def gain(selection: str, new: dict[str, float], best: dict[str, float] | None) -> float:
    """By how much an epoch's measures surpass the best so far: 0 if equal, negative if worse.

    Infinite where there is nothing to compare with, and always for `last`. Raises UserError where
    the measure does not exist.
    """
    if selection == "last":
        return math.inf
    if math.isnan(new[selection]):
        raise UserError(
            f"the validation part has no {selection}: it is empty or holds one class only",
            where="params.yaml: training.selection",
            hint="raise split.validation, or give `selection: last`",
        )
    if best is None:
        return math.inf
    difference = new[selection] - best[selection]
    return -difference if selection == "loss" else difference
