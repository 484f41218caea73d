"""Human-guided blurring: copies of the training images, sharp only where people looked.

    x' = S · x + (1 - S) · G_σ(x)

S is the human map in 0..1 and G_σ a Gaussian blur. There is one copy for every level σ. The copies
are held in memory. With n levels an epoch is n + 1 times as long, unless `images_per_epoch` is set.

Source: Boyd et al., "Human-Aided Saliency Maps Improve Generalization of Deep Learning",
arXiv 2105.03492, whose code (CVRL/CYBORG, script_gen/train_script_gen.py) lists the levels 2, 4,
..., 16. That the map blends sharp and blurred image, and that a level is a standard deviation in
pixels of the network's input, is inferred.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from cyborg.common.schema import Parameters
from cyborg.training.preparations._base import Context, Preparation, TrainingData

# Images blurred at a time.
CHUNK = 64


class Options(Parameters):
    """Options of `blur`."""

    levels: list[float] = Field(
        [2, 4, 6, 8, 10, 12, 14, 16],
        min_length=1,
        description="standard deviations of the blur, pixels of the network's input; one copy each",
    )
    originals: bool = Field(True, description="keep the unblurred images beside their copies")

    @field_validator("levels")
    @classmethod
    def _check_positive(cls, levels: list[float]) -> list[float]:
        if any(not level > 0 for level in levels):
            raise ValueError("every level must be above 0; `originals` keeps the sharp images")
        return levels


def add_blurred_copies(data: TrainingData, options: Options, context: Context) -> TrainingData:
    """Add a copy for every level of every image that has a map. Other images stay as they are."""
    rows = data.owners
    copies = [
        blur_outside(data.images[rows], data.maps, level, context.device)
        for level in options.levels
    ]
    kept = np.arange(len(data.images))
    if not options.originals:
        kept = np.setdiff1d(kept, rows)
    order = np.concatenate([kept, *[rows] * len(copies)])
    images = np.concatenate([data.images[kept], *copies])
    # Every image that has a map, copies included, has the map of its original.
    map_of = np.full(len(data.images), -1)
    map_of[rows] = np.arange(len(rows))
    maps = map_of[order]
    owners = np.flatnonzero(maps >= 0)
    return TrainingData(
        images,
        data.labels[order],
        data.sources[order],
        data.weights[order],
        data.maps[maps[owners]],
        owners,
    )


def blur_outside(
    images: np.ndarray, maps: np.ndarray, sigma: float, device: torch.device | str = "cpu"
) -> np.ndarray:
    """Return images uint8 [N,S,S,3], blurred where their maps uint8 [N,S,S] are dark."""
    out = np.empty_like(images)
    for start in range(0, len(images), CHUNK):
        part = slice(start, start + CHUNK)
        sharp = torch.from_numpy(images[part]).to(device).permute(0, 3, 1, 2).float()
        share = torch.from_numpy(maps[part]).to(device)[:, None].float() / 255
        mixed = share * sharp + (1 - share) * _blur_images(sharp, sigma)
        out[part] = mixed.round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    return out


def _blur_images(images: Tensor, sigma: float) -> Tensor:
    # Three standard deviations to each side. The reflected border must not exceed the image.
    reach = min(math.ceil(3 * sigma), images.shape[-1] - 1)
    result: Tensor = gaussian_blur(images, [2 * reach + 1] * 2, [sigma] * 2)
    return result


PREPARATION = Preparation(Options, add_blurred_copies, needs_maps=True)
