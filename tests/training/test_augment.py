"""Augmentation: images and maps move together, JPEG and blur are real ones."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from cyborg.config.training import Augmentation
from cyborg.training import jpeg
from cyborg.training.augment import augment_batch, blur_images, changes_images


def scene(count: int = 16, size: int = 48) -> tuple[torch.Tensor, torch.Tensor]:
    """Dark images with one bright rectangle off the centre; the map marks the rectangle."""
    pixels = torch.full((count, 3, size, size), 20, dtype=torch.uint8)
    human = torch.zeros((count, size, size), dtype=torch.uint8)
    pixels[:, :, 12:20, 28:40] = 220
    human[:, 12:20, 28:40] = 255
    return pixels, human


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def centre(mass: torch.Tensor) -> torch.Tensor:
    """Centre of mass (x, y) in pixels of [B,H,W]."""
    places = torch.arange(mass.shape[-1], dtype=torch.float64)
    mass = mass.double()
    total = mass.sum((1, 2))
    return (
        torch.stack([(mass.sum(1) * places).sum(1), (mass.sum(2) * places).sum(1)], 1)
        / total[:, None]
    )


@pytest.mark.parametrize(
    "change",
    [
        {"flip": 0.5},
        {"scale": 0.2},
        {"rotation": 20},
        {"shift": 0.1},
        {"flip": 0.5, "scale": 0.1, "rotation": 10, "shift": 0.05},
    ],
)
def test_image_and_map_move_together(change: dict[str, float]) -> None:
    pixels, human = scene()
    moved, marked = augment_batch(pixels, human, Augmentation(**change), draw())
    assert moved.dtype == marked.dtype == torch.uint8
    assert not torch.equal(moved, pixels)
    bright = (moved[:, 0].float() - 20) / 200
    assert (bright - marked / 255).abs().max() < 0.02
    assert len({tuple(row) for row in centre(marked).round(decimals=3).tolist()}) > 1


def test_a_flip_is_exact_and_happens_as_often_as_said() -> None:
    pixels, human = scene(2000, 8)
    pixels = torch.randint(0, 256, (2000, 3, 8, 8), dtype=torch.uint8, generator=draw())
    moved, marked = augment_batch(pixels, human, Augmentation(flip=0.3), draw())
    flipped = (moved == pixels.flip(-1)).flatten(1).all(1)
    kept = (moved == pixels).flatten(1).all(1)
    assert (flipped ^ kept).all()
    assert 0.26 < flipped.float().mean() < 0.34
    assert torch.equal(marked[flipped], human[flipped].flip(-1))


def test_geometry_stays_within_its_limits() -> None:
    pixels, human = scene(400, 48)
    start = centre(human)[0]
    _, shifted = augment_batch(pixels, human, Augmentation(shift=0.1), draw())
    offset = centre(shifted) - start
    assert 4.5 < offset.abs().max() <= 4.85  # a tenth of 48 pixels
    assert offset.mean(0).abs().max() < 0.5
    _, turned = augment_batch(pixels, human, Augmentation(rotation=20), draw())
    arm, before = centre(turned) - 23.5, (start - 23.5).expand(400, 2)
    angle = torch.atan2(arm[:, 1], arm[:, 0]) - torch.atan2(before[:, 1], before[:, 0])
    assert 18 < torch.rad2deg(angle).abs().max() <= 20.5
    assert torch.allclose(arm.norm(dim=1), before.norm(dim=1), atol=0.2)
    _, scaled = augment_batch(pixels, human, Augmentation(scale=0.2), draw())
    factor = (centre(scaled) - 23.5)[:, 0] / (start - 23.5)[0]
    assert 1.18 < factor.max() <= 1.21
    assert 0.79 <= factor.min() < 0.82
    area = scaled.float().sum((1, 2)) / human[0].float().sum()
    assert torch.allclose(area, factor.float() ** 2, atol=0.06)


@pytest.mark.parametrize("change", [{"blur": 1.0}, {"colour": 0.3}, {"jpeg": 1.0}])
def test_looks_change_the_image_and_not_the_map(change: dict[str, float]) -> None:
    pixels, human = scene()
    moved, marked = augment_batch(pixels, human, Augmentation(**change), draw())
    assert torch.equal(marked, human)
    assert ((moved != pixels).flatten(1).any(1)).all()


def test_nothing_is_changed_by_default() -> None:
    assert not changes_images(Augmentation())
    assert changes_images(Augmentation(jpeg=0.1))
    pixels, human = scene(3)
    moved, marked = augment_batch(pixels, human, Augmentation(), draw())
    assert torch.equal(moved, pixels)
    assert torch.equal(marked, human)


def test_blur_is_a_gaussian() -> None:
    pixels = torch.rand(2, 3, 40, 30, generator=draw()) * 255
    ours = blur_images(pixels, torch.tensor([0.5, 1.4]))
    for image, result, sigma in zip(pixels, ours, (0.5, 1.4), strict=True):
        expected = gaussian_filter(image.numpy(), (0, sigma, sigma), mode="nearest", radius=5)
        assert np.abs(result.numpy() - expected).max() < 0.01


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_quantisation_is_that_of_libjpeg(quality: int) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "JPEG", quality=quality)
    tables = Image.open(io.BytesIO(buffer.getvalue())).quantization
    wanted = torch.tensor([float(quality)])
    for number, base in enumerate((jpeg.LUMA, jpeg.CHROMA)):
        ours = jpeg.scale_table(base, wanted)[0].int().flatten().tolist()
        assert ours == list(tables[number])


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_compression_looks_like_a_real_jpeg(quality: int) -> None:
    rng = np.random.default_rng(quality)
    smooth = gaussian_filter(rng.uniform(0, 255, (70, 54, 3)), (3, 3, 0))
    pixels = ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)
    pixels[20:40, 10:30] = 255 - pixels[20:40, 10:30]  # some hard edges
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    real = np.asarray(Image.open(io.BytesIO(buffer.getvalue())), dtype=float)
    batch = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    ours = jpeg.compress_images(batch, torch.tensor([float(quality)]))[0].permute(1, 2, 0).numpy()
    loss = np.abs(real - pixels).mean()
    assert np.abs(ours - real).mean() < 0.25 * loss + 0.3
    assert ours.shape == pixels.shape


def test_the_same_seed_gives_the_same_batch() -> None:
    everything = Augmentation(
        flip=0.5, scale=0.1, rotation=5, shift=0.05, blur=0.5, colour=0.2, jpeg=0.5
    )
    pixels, human = scene()
    one, again, other = (augment_batch(pixels, human, everything, draw(s))[0] for s in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    counts = Counter((one == pixels).flatten(1).all(1).tolist())
    assert counts[False] == len(pixels)
