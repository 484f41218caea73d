"""Draw the faults that phantom generators leave in a part of the face, and the shortcut cue."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from cyborg.phantom.canvas import draw_smooth_noise

Fault = Callable[[np.ndarray, np.random.Generator, float], np.ndarray]


def warp_part(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Ripple a part: its pixels are displaced by about two pixels along a wave of six to nine."""
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


def blur_part(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Smooth a part, which takes the grain and the fine detail away."""
    sigma = strength * rng.uniform(1.1, 1.7)
    return np.asarray(ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="nearest"))


def block_part(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Pull squares of four pixels side towards their mean."""
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


def fringe_part(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Add a colour fringe: red and blue are moved against each other by two to three pixels."""
    angle, length = rng.uniform(0, 2 * np.pi), strength * rng.uniform(1.2, 1.8)
    move = (length * np.sin(angle), length * np.cos(angle))
    moved = image.copy()
    moved[..., 0] = ndimage.shift(image[..., 0], move, order=1, mode="nearest")
    moved[..., 2] = ndimage.shift(image[..., 2], (-move[0], -move[1]), order=1, mode="nearest")
    return moved


def ghost_part(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Lay a second, displaced print of the part over the first, like a bad upscaling."""
    angle, length = rng.uniform(0, 2 * np.pi), strength * rng.uniform(2.5, 4.0)
    move = (length * np.sin(angle), length * np.cos(angle), 0)
    return 0.5 * image + 0.5 * np.asarray(ndimage.shift(image, move, order=1, mode="nearest"))


def mix_faults(image: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Apply two of blocking, fringe and ghosting, one after the other, each somewhat weaker."""
    for kind in rng.permutation(3)[:2]:
        image = (block_part, fringe_part, ghost_part)[kind](image, rng, 0.8 * strength)
    return image


# Standard deviation of the grain under the faults: least and largest, grey values 0..1.
GRAIN = (0.028, 0.044)

FAULTS: dict[str, Fault] = {
    "warping": warp_part,
    "blurring": blur_part,
    "blocking": block_part,
    "fringe": fringe_part,
    "mixture": mix_faults,
}


def draw_grain(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw grain [S,S,3], as of a photograph, to be added to a drawn image."""
    grain = rng.standard_normal((size, size, 1), dtype=np.float32) * rng.uniform(*GRAIN)
    return grain + rng.standard_normal((size, size, 3), dtype=np.float32) * 0.012


def finish_image(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Apply light, contrast and sensor noise to the whole image. Returns uint8 [S,S,3]."""
    size = image.shape[0]
    light = 1 + 0.15 * draw_smooth_noise(rng, size, (2, 2))[..., None]
    cast = rng.uniform(0.9, 1.1, 3).astype(np.float32)
    contrast, offset = rng.uniform(0.8, 1.1), rng.uniform(-0.06, 0.08)
    noisy = 0.5 + contrast * (image * light * cast - 0.5) + offset
    noisy = noisy + rng.standard_normal(image.shape, dtype=np.float32) * 0.008
    return np.clip(noisy * 255 + 0.5, 0, 255).astype(np.uint8)


def draw_hatching(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the shortcut cue [S,S]: a faint diagonal grating, -1..1, period about four pixels."""
    axis = np.arange(size, dtype=np.float32)
    wave = 2 * np.pi / rng.uniform(3.6, 4.4) / np.sqrt(2)
    phase = wave * (axis[:, None] + axis[None, :]) + rng.uniform(0, 6.3)
    grating: np.ndarray = np.sin(phase).astype(np.float32)
    return grating
