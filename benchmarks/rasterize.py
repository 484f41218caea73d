"""Measure polygons filled per second on one core, beside fillers of other libraries.

    python benchmarks/rasterize.py [--size 1024] [--polygons 400] [--repeats 3]

Three kinds of 50 vertices: hand-drawn outlines (smooth, of all sizes), stars (jagged, of all
sizes) and random vertices over the whole image (each crosses itself hundreds of times). Every
filler paints into one mask, as the union of an image's regions is made. Agreement with the rule of
cyborg/saliency/fill.py (pixel centres, nonzero winding) is shown beside the speed: PIL and
pycocotools follow other rules, so they are yardsticks, not replacements.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from matplotlib.path import Path as Outline
from PIL import Image, ImageDraw
from pycocotools import mask as codec

from cyborg.saliency.fill import fill_polygon

VERTICES = 50
Filler = Callable[[np.ndarray, np.ndarray], None]


def draw_outlines(rng: np.random.Generator, count: int, size: int) -> dict[str, list[np.ndarray]]:
    """Return polygons float64 [50,2] of each kind."""

    def around(jagged: float) -> np.ndarray:
        angles = np.sort(rng.uniform(0, 2 * np.pi, VERTICES))
        waves = sum(rng.normal(0, 0.1) * np.cos(k * angles + rng.uniform(0, 6)) for k in (2, 3, 5))
        radius = rng.uniform(0.05, 0.45) * size * (1 + waves) * rng.uniform(jagged, 1, VERTICES)
        centre = rng.uniform(0.3, 0.7, 2) * size
        return centre + radius[:, None] * np.stack((np.cos(angles), np.sin(angles)), axis=1)

    return {
        "hand-drawn": [around(0.97) for _ in range(count)],
        "stars": [around(0.3) for _ in range(count)],
        "random": [rng.uniform(0, size, (VERTICES, 2)) for _ in range(count)],
    }


def fill_with_cyborg(mask: np.ndarray, polygon: np.ndarray) -> None:
    """Fill with this project's filler."""
    fill_polygon(mask, [polygon])


def fill_with_pillow(mask: np.ndarray, polygon: np.ndarray) -> None:
    """Fill with ImageDraw: even-odd, borders included, made an array for the union."""
    picture = Image.new("L", mask.shape[::-1])
    ImageDraw.Draw(picture).polygon(polygon.ravel().tolist(), fill=1)
    np.logical_or(mask, np.asarray(picture), out=mask)


def fill_with_cocotools(mask: np.ndarray, polygon: np.ndarray) -> None:
    """Fill with pycocotools: run lengths from a five times enlarged outline, then decoded."""
    codes = codec.frPyObjects([polygon.ravel().tolist()], *mask.shape)
    np.logical_or(mask, codec.decode(codes)[..., 0], out=mask)


def fill_with_matplotlib(mask: np.ndarray, polygon: np.ndarray) -> None:
    """Ask for every pixel centre of the bounding box whether it is inside (the plain way)."""
    low = np.clip(np.floor(polygon.min(axis=0)), 0, mask.shape[1]).astype(int)
    high = np.clip(np.ceil(polygon.max(axis=0)), 0, mask.shape[1]).astype(int)
    x, y = np.meshgrid(np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5)
    inside = Outline(polygon).contains_points(np.stack((x.ravel(), y.ravel()), axis=1))
    mask[low[1] : high[1], low[0] : high[0]] |= inside.reshape(x.shape)


def measure_speed(fill: Filler, polygons: list[np.ndarray], size: int, repeats: int) -> float:
    """Return polygons per second of processor time, the best of some repeats."""
    best = np.inf
    for _ in range(repeats):
        mask = np.zeros((size, size), dtype=bool)
        start = time.process_time()
        for polygon in polygons:
            fill(mask, polygon)
        best = min(best, time.process_time() - start)
    return len(polygons) / best


def measure_agreement(fill: Filler, polygons: list[np.ndarray], size: int) -> float:
    """Return the mean intersection over union with this project's filler."""
    values = []
    for polygon in polygons:
        ours, theirs = np.zeros((size, size), dtype=bool), np.zeros((size, size), dtype=bool)
        fill_with_cyborg(ours, polygon)
        fill(theirs, polygon)
        values.append((ours & theirs).sum() / (ours | theirs).sum())
    return float(np.mean(values))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1024, help="side of the image, pixels")
    parser.add_argument("--polygons", type=int, default=400, help="polygons of each kind")
    parser.add_argument("--repeats", type=int, default=3, help="runs; the fastest counts")
    options = parser.parse_args()
    kinds = draw_outlines(np.random.default_rng(0), options.polygons, options.size)
    print(f"{VERTICES} vertices, {options.size} x {options.size} pixels, one core")
    print(f"{'kind':12}{'filler':14}{'polygons/s':>12}{'cyborg is':>12}{'IoU':>8}")
    for kind, polygons in kinds.items():
        ours = measure_speed(fill_with_cyborg, polygons, options.size, options.repeats)
        print(f"{kind:12}{'cyborg':14}{ours:12.0f}{'':12}{1:8.4f}")
        for name, fill, few in (
            ("pillow", fill_with_pillow, 200),
            ("cocotools", fill_with_cocotools, 60),
            ("matplotlib", fill_with_matplotlib, 5),
        ):
            sample = polygons[:few]
            theirs = measure_speed(fill, sample, options.size, 1)
            shared = measure_agreement(fill, sample[:20], options.size)
            print(f"{'':12}{name:14}{theirs:12.0f}{ours / theirs:11.1f}x{shared:8.4f}")


if __name__ == "__main__":
    main()
