"""Make batches on the device: gather images and maps, augment them, and resize the maps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cyborg.common.errors import UserError
from cyborg.common.seeds import create_numpy_generator, create_torch_generator
from cyborg.config.training import Training
from cyborg.losses._base import resize_maps
from cyborg.training.augment import augment_batch, changes_images
from cyborg.training.sampling import draw_epoch


class Batch(NamedTuple):
    """One batch on the device.

    images: uint8 [B,3,S,S].
    labels: int64 [B].
    saliency: human maps [B,h,w], uint8, or float32 in 0..1 once resized. Zeros for images without.
    present: bool [B], true for images that have a map.
    weight: float32 [B], weights of the samples, NaN if none are known.
    """

    images: Tensor
    labels: Tensor
    saliency: Tensor
    present: Tensor
    weight: Tensor


class Samples:
    """Images, labels, and human maps of the training split, kept on the device as uint8.

    images [N,S,S,3], labels [N]. maps [M,S,S] belong to the images at `rows` [M]. weights [N] of
    the samples are for losses that use them. Raises UserError if maps and images differ in size.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        maps: np.ndarray | None = None,
        rows: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        device: torch.device | str = "cpu",
    ):
        self.images = torch.from_numpy(images).to(device)
        self.labels = torch.tensor(labels, device=device)
        size = images.shape[1]
        if maps is not None and maps.shape[1:] != (size, size):
            raise UserError(
                f"human maps are {maps.shape[1]}x{maps.shape[2]}, images {size}x{size}",
                hint="run `dvc repro pack --force`",
            )
        if maps is None or rows is None:
            maps, rows = np.zeros((0, size, size), np.uint8), np.zeros(0, np.int64)
        # A last map of zeros stands for all images without one, so that one gather is enough.
        blank = np.zeros((1, size, size), np.uint8)
        self.maps = torch.from_numpy(np.concatenate([maps, blank])).to(device)
        map_index = np.full(len(images), len(maps), dtype=np.int64)
        map_index[rows] = np.arange(len(maps))
        given = np.full(len(images), np.nan) if weights is None else weights
        self.weights = torch.from_numpy(given.astype(np.float32)).to(device)
        self.map_index = torch.from_numpy(map_index).to(device)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def map_count(self) -> int:
        """Number of images that have a map."""
        return len(self.maps) - 1

    def gather_batch(self, rows: Tensor) -> Batch:
        """Return the batch of some rows [B], its images a view of NHWC memory (channels_last)."""
        map_index = self.map_index[rows]
        return Batch(
            self.images[rows].permute(0, 3, 1, 2),
            self.labels[rows],
            self.maps[map_index],
            map_index < self.map_count,
            self.weights[rows],
        )


class Epochs:
    """The epochs of a training: which images each step sees, and how they are augmented.

    sources [N]: names of the samples' sources, for balanced drawing. map_size: height and width of
    the maps that the loss compares. An epoch depends on the seed and its number, and not on earlier
    epochs. Raises UserError if there are no samples.
    """

    def __init__(
        self,
        samples: Samples,
        sources: np.ndarray,
        training: Training,
        map_size: tuple[int, int],
        seed: int,
    ):
        if not len(samples):
            raise UserError(
                "the training split is empty", hint="see `split` and data.training_sets"
            )
        self.samples, self.sources, self.training = samples, sources, training
        self.map_size, self.seed = map_size, seed
        self.augmented = changes_images(training.augmentation)
        if not self.augmented:  # nothing moves a map, so all of them are resized once
            samples.maps = resize_unit_maps(samples.maps, map_size)
        self.labels = samples.labels.cpu().numpy()
        self.images = training.images_per_epoch or len(samples)
        self.steps = -(-self.images // (training.batch_size * training.accumulate))

    def draw_steps(self, number: int) -> Iterator[list[Tensor]]:
        """Yield for each step of epoch `number` the rows of its batches.

        All steps but the last have `training.accumulate` batches.
        """
        generator = create_numpy_generator(self.seed, "order", number)
        self.generator = create_torch_generator(self.seed, "augmentation", number)
        rows = draw_epoch(
            self.labels,
            self.sources,
            self.images,
            self.training.balance,
            generator,
        )
        batches = torch.from_numpy(rows).to(self.samples.images.device)
        for step in torch.split(batches, self.training.batch_size * self.training.accumulate):
            yield list(torch.split(step, self.training.batch_size))

    def make_batch(self, rows: Tensor) -> Batch:
        """Return the batch of some rows [B], augmented, its maps float32 of map_size in 0..1."""
        batch = self.samples.gather_batch(rows)
        images, maps = batch.images, batch.saliency
        if self.augmented:
            images, maps = augment_batch(images, maps, self.training.augmentation, self.generator)
        memory = torch.channels_last if self.training.channels_last else torch.contiguous_format
        return batch._replace(
            images=images.contiguous(memory_format=memory),
            saliency=resize_unit_maps(maps, self.map_size),
        )


def resize_unit_maps(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return maps [B,h,w], uint8 or float in 0..1, as float [B,*size] in 0..1.

    Resizing is bilinear with antialiasing, as in the published code, which uses Pillow.

    >>> resize_unit_maps(torch.full((1, 8, 8), 255, dtype=torch.uint8), (2, 2)).round(decimals=3)
    tensor([[[1., 1.],
             [1., 1.]]])
    """
    return resize_maps(maps.float() / 255 if maps.dtype == torch.uint8 else maps, size)
