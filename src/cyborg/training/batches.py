"""Batches on the device: the whole training part as uint8, gathered, augmented, maps resized."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cyborg.common.errors import UserError
from cyborg.common.seeds import create_numpy_generator, create_torch_generator
from cyborg.config.training import Training
from cyborg.training.augment import augment_batch, changes_images
from cyborg.training.sampling import draw_epoch


class Batch(NamedTuple):
    """One batch on the device.

    images uint8 [B,3,S,S], labels int64 [B], saliency [B,h,w]: uint8, or float32 in 0..1 once
    resized, zeros where there is no map; present bool [B]: which images have a map; weight
    float32 [B]: weights of the samples, NaN where none were given.
    """

    images: Tensor
    labels: Tensor
    saliency: Tensor
    present: Tensor
    weight: Tensor


class Samples:
    """Images, labels and human maps of a training part, resident on the device as uint8.

    images [N,S,S,3], labels [N]; maps [M,S,S] belong to the images `rows` [M]; weights [N] of the
    samples, for losses that want them.
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
        # A last map of zeros stands for all images without one, so that one gather suits all.
        blank = np.zeros((1, size, size), np.uint8)
        self.maps = torch.from_numpy(np.concatenate([maps, blank])).to(device)
        place = np.full(len(images), len(maps), dtype=np.int64)
        place[rows] = np.arange(len(maps))
        given = np.full(len(images), np.nan) if weights is None else weights
        self.weights = torch.from_numpy(given.astype(np.float32)).to(device)
        self.place = torch.from_numpy(place).to(device)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def maps_given(self) -> int:
        """How many images have a map."""
        return len(self.maps) - 1

    def batch(self, rows: Tensor) -> Batch:
        """The batch of some rows [B]; its images are a view of NHWC memory (channels_last)."""
        place = self.place[rows]
        return Batch(
            self.images[rows].permute(0, 3, 1, 2),
            self.labels[rows],
            self.maps[place],
            place < self.maps_given,
            self.weights[rows],
        )


class Epochs:
    """The course of a training: the images each step of each epoch sees, and how changed.

    samples and their sources [N] (names, for balanced drawing); map_size: height and width of the
    maps that the loss wants. An epoch depends on the seed and its number, not on earlier epochs.
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
            raise UserError("the training part is empty", hint="see `split` and data.training_sets")
        self.samples, self.sources, self.training = samples, sources, training
        self.map_size, self.seed = map_size, seed
        self.augmented = changes_images(training.augmentation)
        if not self.augmented:  # nothing moves a map: resize all of them once
            samples.maps = resized(samples.maps, map_size)
        self.labels = samples.labels.cpu().numpy()
        self.images = training.images_per_epoch or len(samples)
        self.steps = -(-self.images // (training.batch_size * training.accumulate))

    def epoch(self, number: int) -> Iterator[list[Tensor]]:
        """For each step the rows of its batches; all but the last step hold `accumulate`."""
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
        for step in batches.split(self.training.batch_size * self.training.accumulate):
            yield list(step.split(self.training.batch_size))

    def batch(self, rows: Tensor) -> Batch:
        """The batch of some rows [B], augmented, its maps float32 of map_size in 0..1."""
        batch = self.samples.batch(rows)
        images, maps = batch.images, batch.saliency
        if self.augmented:
            images, maps = augment_batch(images, maps, self.training.augmentation, self.generator)
        memory = torch.channels_last if self.training.channels_last else torch.contiguous_format
        return batch._replace(
            images=images.contiguous(memory_format=memory),
            saliency=resized(maps, self.map_size),
        )


def resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps [B,h,w], uint8 or float in 0..1, as float [B,*size] in 0..1.

    Bilinear with antialiasing, as the published code resizes them (there by Pillow).
    """
    unit = maps.float() / 255 if maps.dtype == torch.uint8 else maps
    if unit.shape[-2:] == size:
        return unit
    return functional.interpolate(unit[:, None], size=size, mode="bilinear", antialias=True)[:, 0]
