"""Batches: images, labels and maps stay together and have the size that is asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from cyborg.common.errors import UserError
from cyborg.config.training import Training
from cyborg.training.batches import Epochs, Samples, resize_unit_maps


def samples(count: int = 10) -> Samples:
    """Image n is grey n; images 2, 5 and 7 have a map of value 10·n."""
    pixels = np.tile(np.arange(count, dtype=np.uint8)[:, None, None, None], (1, 8, 8, 3))
    owners = np.array([2, 5, 7])
    human = np.tile((10 * owners).astype(np.uint8)[:, None, None], (1, 8, 8))
    return Samples(pixels, np.arange(count) % 2, human, owners)


def epochs(**changes: object) -> Epochs:
    training = Training.model_validate({"batch_size": 4} | changes)
    return Epochs(samples(), np.array(["a"] * 10), training, (4, 4), seed=0)


@pytest.mark.parametrize("augmentation", [{}, {"flip": 0.5, "shift": 1e-6}])
def test_each_image_keeps_its_label_and_map(augmentation: dict[str, float]) -> None:
    data = epochs(augmentation=augmentation)
    seen = []
    for step in data.draw_steps(0):
        for rows in step:
            batch = data.make_batch(rows)
            assert batch.images.shape[1:] == (3, 8, 8)
            numbers = batch.images[:, 0, 4, 4].long()
            seen += numbers.tolist()
            assert torch.equal(batch.labels, numbers % 2)
            assert batch.present.tolist() == [n in (2, 5, 7) for n in numbers.tolist()]
            expected = torch.where(batch.present, numbers * 10 / 255, torch.zeros(()))
            assert batch.saliency.shape[1:] == (4, 4)
            assert torch.allclose(batch.saliency[:, 1:3, 1:3].mean((1, 2)), expected, atol=1e-6)
    assert sorted(seen) == list(range(10))


def test_steps_gather_batches_for_accumulation() -> None:
    data = epochs(batch_size=2, accumulate=2)
    sizes = [[len(rows) for rows in step] for step in data.draw_steps(0)]
    assert sizes == [[2, 2], [2, 2], [2]]
    assert data.steps == 3


def test_an_epoch_depends_on_its_number_alone() -> None:
    one, other = epochs(augmentation={"flip": 0.5}), epochs(augmentation={"flip": 0.5})
    list(one.draw_steps(0))
    first = [one.make_batch(rows).images for step in one.draw_steps(1) for rows in step]
    second = [other.make_batch(rows).images for step in other.draw_steps(1) for rows in step]
    assert all(map(torch.equal, first, second))
    rows = [torch.cat(step) for step in one.draw_steps(2)]
    assert not torch.equal(torch.cat(rows), torch.cat([torch.cat(s) for s in one.draw_steps(1)]))


@pytest.mark.parametrize("channels_last", [True, False])
def test_memory_format_is_as_asked(channels_last: bool) -> None:
    data = epochs(channels_last=channels_last)
    batch = data.make_batch(torch.arange(4))
    memory = torch.channels_last if channels_last else torch.contiguous_format
    assert batch.images.is_contiguous(memory_format=memory)


def test_maps_of_another_size_and_no_images_are_errors() -> None:
    pixels = np.zeros((2, 8, 8, 3), np.uint8)
    with pytest.raises(UserError, match="human maps are 4x4, images 8x8"):
        Samples(pixels, np.zeros(2), np.zeros((1, 4, 4), np.uint8), np.array([0]))
    with pytest.raises(UserError, match="the training split is empty"):
        Epochs(Samples(pixels[:0], np.zeros(0)), np.zeros(0), Training(), (2, 2), 0)


def test_maps_are_resized_as_pillow_does() -> None:
    rng = np.random.default_rng(0)
    human = gaussian_filter(rng.uniform(0, 255, (37, 37)), 2).astype(np.uint8)
    expected = np.asarray(Image.fromarray(human).resize((7, 7), Image.Resampling.BILINEAR))
    ours = resize_unit_maps(torch.from_numpy(human)[None], (7, 7))[0] * 255
    assert np.abs(ours.numpy() - expected).max() < 1  # Pillow rounds to whole numbers
