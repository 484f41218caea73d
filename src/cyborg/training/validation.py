"""Measure accuracy, AUC and loss on the validation images, in large batches without gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from cyborg.common.errors import UserError
from cyborg.common.ranking import compute_auc
from cyborg.pack.dataset import ManifestRows, Pack, locate_images

# Images per batch if nothing is kept for a gradient. A GPU is fastest with many. On a CPU, the
# features of more than a few leave its caches, which costs a third (docs/performance.md).
ON_GPU, ON_CPU = 512, 8


def choose_batch_size(device: torch.device) -> int:
    """Return the number of images per batch that are scored fastest on `device`."""
    return ON_CPU if device.type == "cpu" else ON_GPU


@dataclass(frozen=True)
class PackedImages:
    """Packed images in some order, read batch by batch, so never all in memory at once."""

    pack: Pack
    positions: np.ndarray

    @classmethod
    def find(cls, root: Path, size: int, names: list[str]) -> PackedImages:
        """Find images by name at a size. Raises UserError if one is not packed."""
        pack = Pack(root, "images", size)
        return cls(pack, locate_images(pack, names))

    def __len__(self) -> int:
        return len(self.positions)

    def iterate_batches(self, device: torch.device, size: int) -> Iterator[Tensor]:
        """Yield batches of `size` images, uint8 [B,3,S,S] on the device, in order."""
        for start in range(0, len(self), size):
            batch = torch.from_numpy(self.pack.take(self.positions[start : start + size]))
            if device.type == "cuda":  # from pinned memory the copy need not be waited for
                batch = batch.pin_memory()
            yield batch.to(device, non_blocking=True).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class ValidationData:
    """The validation images and their class numbers int64 [N]."""

    images: PackedImages
    labels: np.ndarray

    @classmethod
    def find(cls, root: Path, size: int, part: ManifestRows) -> ValidationData:
        """Find the images of some rows of the manifest."""
        return cls(PackedImages.find(root, size, part.names), part.labels)

    def __len__(self) -> int:
        return len(self.labels)


def validate_network(
    network: nn.Module,
    validation: ValidationData,
    autocast: Callable[[], AbstractContextManager[None]],
    device: torch.device,
) -> dict[str, float]:
    """Return `accuracy`, `auc` and `loss` (cross-entropy) of the network as it is.

    A measure that does not exist is NaN: all of them without images, and `auc` with one class only.
    """
    network.eval()
    outputs = []
    with torch.inference_mode():
        for images in validation.images.iterate_batches(device, choose_batch_size(device)):
            with autocast():
                outputs.append(network(images).logits.float())
    if not outputs:
        return {"accuracy": math.nan, "auc": math.nan, "loss": math.nan}
    logits = torch.cat(outputs).cpu().double()
    labels = torch.tensor(validation.labels)
    return {
        "accuracy": (logits.argmax(1) == labels).double().mean().item(),
        "auc": average_auc(logits.softmax(1).numpy(), validation.labels),
        "loss": functional.cross_entropy(logits, labels).item(),
    }


def average_auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the area under the ROC curve of scores [N,K] (probabilities) and class numbers [N].

    With two classes it is that of the last one. With more it is the mean over the classes of each
    against the rest. It is NaN if a class is missing, or if a score is not finite.

    >>> average_auc(np.array([[0.9, 0.1], [0.6, 0.4], [0.6, 0.4], [0.1, 0.9]]), np.arange(4) % 2)
    0.875
    """
    if not np.isfinite(scores).all() or len(np.unique(labels)) < scores.shape[1]:
        return math.nan
    classes = [1] if scores.shape[1] == 2 else range(scores.shape[1])
    return float(np.mean([compute_auc(scores[:, k], labels == k) for k in classes]))


def compare_epochs(selection: str, new: dict[str, float], best: dict[str, float] | None) -> int:
    """Return 1 if an epoch's measures are better than the best so far, 0 if equal, -1 if worse.

    selection: the measure that decides, or `last`, for which every new epoch is better. Raises
    UserError if the measure does not exist.

    >>> compare_epochs("loss", {"loss": 0.4}, {"loss": 0.3})
    -1
    """
    if selection == "last":
        return 1
    if math.isnan(new[selection]):
        raise UserError(
            f"the validation part has no {selection}: it is empty or holds one class only",
            location="params.yaml: training.selection",
            hint="raise split.validation, or give `selection: last`",
        )
    if best is None:
        return 1
    higher = (new[selection] > best[selection]) - (new[selection] < best[selection])
    return -higher if selection == "loss" else higher
