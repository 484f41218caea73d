"""Faults that the phantom generators leave in a part of the face, and the shortcut cue."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from cyborg.phantom.canvas import smooth_noise

Fault = Callable[[np.ndarray, np.random.Generator, float], np.ndarray]


def warping(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Ripples: pixels are displaced by about two pixels along a wave of six to nine."""
    rows, columns = np.meshgrid(*(np.arange(n) for n in image.shape[:2]), indexing="ij")
    moved = []
    for axis in (rows, columns):
        wave = 2 * np.pi / rng.uniform(6, 9)
        angle = rng.uniform(0, np.pi)
        phase = wave * (rows * np.sin(angle) + columns * np.cos(angle)) + rng.uniform(0, 6.3)
        moved.append(axis + strength * 2.0 * np.sin(phase))
    return np.stack(
        [ndimage.map_coordinates(image[..., c], moved, order=1, mode="nearest") for c in range(3)],
        axis=-1,
    )


def blurring(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Smoothing that takes the grain and the fine detail away."""
    sigma = strength * rng.uniform(1.1, 1.7)
    return np.asarray(ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="nearest"))


def blocking(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Squares of four pixels side, each drawn towards its mean."""
    side = 4
    rows = (np.arange(image.shape[0]) + int(rng.integers(side))) // side
    columns = (np.arange(image.shape[1]) + int(rng.integers(side))) // side
    label = rows[:, None] * (columns[-1] + 1) + columns[None, :]
    count = np.bincount(label.ravel())
    squares = np.stack(
        [
            (np.bincount(label.ravel(), image[..., c].ravel()) / np.maximum(count, 1))[label]
            for c in range(3)
        ],
        axis=-1,
    )
    blocked: np.ndarray = image + min(0.85 * strength, 1.0) * (squares - image)
    return blocked


def fringe(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Colour fringe: red and blue are moved against each other by two to three pixels."""
    angle, length = rng.uniform(0, 2 * np.pi), strength * rng.uniform(1.2, 1.8)
    move = (length * np.sin(angle), length * np.cos(angle))
    moved = image.copy()
    moved[..., 0] = ndimage.shift(image[..., 0], move, order=1, mode="nearest")
    moved[..., 2] = ndimage.shift(image[..., 2], (-move[0], -move[1]), order=1, mode="nearest")
    return moved


def ghosting(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """A second, displaced print of the part over the first, sharpened like a bad upscaling."""
    angle, length = rng.uniform(0, 2 * np.pi), strength * rng.uniform(2.5, 4.0)
    move = (length * np.sin(angle), length * np.cos(angle), 0)
    return 0.5 * image + 0.5 * np.asarray(ndimage.shift(image, move, order=1, mode="nearest"))


def mixture(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Two of blocking, fringe and ghosting, one after the other, each somewhat weaker."""
    for kind in rng.permutation(3)[:2]:
        image = (blocking, fringe, ghosting)[kind](image, rng, 0.8 * strength)
    return image


GRAIN = (0.028, 0.044)
"""Standard deviation of the grain under the faults: least and largest, grey values 0..1."""

FAULTS: dict[str, Fault] = {
    "warping": warping,
    "blurring": blurring,
    "blocking": blocking,
    "fringe": fringe,
    "mixture": mixture,
}


def texture(size: int, rng: np.random.Generator) -> np.ndarray:
    """Grain [S,S,3], as of a photograph, to be added to a drawn image."""
    grain = rng.standard_normal((size, size, 1), dtype=np.float32) * rng.uniform(*GRAIN)
    return grain + rng.standard_normal((size, size, 3), dtype=np.float32) * 0.012


def finish(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light, contrast and sensor noise of the whole image; returns uint8 [S,S,3]."""
    size = image.shape[0]
    light = 1 + 0.15 * smooth_noise(rng, size, (2, 2))[..., None]
    cast = rng.uniform(0.9, 1.1, 3).astype(np.float32)
    contrast, offset = rng.uniform(0.8, 1.1), rng.uniform(-0.06, 0.08)
    noisy = 0.5 + contrast * (image * light * cast - 0.5) + offset
    noisy = noisy + rng.standard_normal(image.shape, dtype=np.float32) * 0.008
    return np.clip(noisy * 255 + 0.5, 0, 255).astype(np.uint8)


def hatching(size: int, rng: np.random.Generator) -> np.ndarray:
    """The shortcut cue [S,S]: a faint diagonal grating, -1..1, of about four pixels' period."""
    axis = np.arange(size, dtype=np.float32)
    wave = 2 * np.pi / rng.uniform(3.6, 4.4) / np.sqrt(2)
    phase = wave * (axis[:, None] + axis[None, :]) + rng.uniform(0, 6.3)
    grating: np.ndarray = np.sin(phase).astype(np.float32)
    return grating
