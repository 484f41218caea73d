"""Measure how far annotators agree, for the command `cyborg agreement`.

Every annotator's map (regions, or the density of gaze, with the blur of the recipe) is compared
with the map of every other annotator of the same image:

IoU   intersection over union of the pixels at or above half of each map's maximum
CC    Pearson correlation of the maps
SIM   histogram intersection: the sum of the smaller values, both maps divided by their sum

The ceiling compares each annotator with the mean of all others: a model that knows as much as one
person could reach it. A value that is not defined (neither marked anything, or a map is constant
in CC) is left out of the means.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from cyborg.common.correlation import standardize_rows
from cyborg.common.errors import UserError
from cyborg.common.files import write_text
from cyborg.common.workers import map_in_processes
from cyborg.config.saliency import MapRecipe
from cyborg.saliency.aggregate import blur_map
from cyborg.saliency.annotated import AnnotatedImage
from cyborg.saliency.gather import gather_images
from cyborg.saliency.viewers import collect_viewers, draw_viewer

# Name of the row that holds the means over all images.
ALL_IMAGES = "(all)"
# A map whose Euclidean length after its mean was subtracted is at most this is constant.
CONSTANT = 1e-5


@dataclass(frozen=True)
class Agreement:
    """The mean over the pairs, and over each annotator against the others, of one image."""

    image: str
    annotators: int
    pairs: int
    iou: float
    cc: float
    sim: float
    ceiling_iou: float
    ceiling_cc: float
    ceiling_sim: float


def measure_agreement(
    input: Path,
    images: Path | None = None,
    format: str = "auto",
    recipe: MapRecipe | None = None,
    out: Path | None = None,
) -> list[Agreement]:
    """Return the agreement per image with at least two annotators, and as last row their mean.

    out: CSV file to write, or None. Raises UserError if no image has two annotators.
    """
    recipe = (recipe or MapRecipe()).model_copy(update={"format": format})
    pictures = gather_images(input, images, format, recipe)
    several = [p for p in pictures if len({a.annotator for a in p.annotations}) > 1]
    jobs = [(picture, recipe, str(input)) for picture in several]
    compared = map_in_processes(_compare_annotators, jobs, "agreement")
    rows = [row for row in compared if row.annotators > 1]
    if not rows:
        raise UserError(
            "has no image that two annotators marked",
            location=input,
            hint="agreement needs a format that names annotators, or a folder with "
            "one file per annotator",
        )
    rows.append(average_images(rows))
    if out is not None:
        write_text(out, format_csv(rows))
    return rows


def average_images(rows: list[Agreement]) -> Agreement:
    """Return the mean over images. Each image counts once, however many annotators it has."""
    means = [average_defined([getattr(row, f.name) for row in rows]) for f in fields(Agreement)[3:]]
    pairs = sum(row.pairs for row in rows)
    return Agreement(ALL_IMAGES, sum(row.annotators for row in rows), pairs, *means)


def format_csv(rows: list[Agreement]) -> str:
    """Return all rows as CSV. Values have six decimals and are empty if not defined."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Agreement)])
    for row in rows:
        values = astuple(row)
        writer.writerow([*values[:3], *("" if math.isnan(v) else f"{v:.6f}" for v in values[3:])])
    return text.getvalue()


def _compare_annotators(job: tuple[AnnotatedImage, MapRecipe, str]) -> Agreement:
    picture, recipe, location = job
    viewers = collect_viewers(list(picture.annotations), picture.size, recipe, location)
    stack = []
    for viewer in viewers:
        value = draw_viewer(viewer, picture.size, recipe)
        stack.append(blur_map(value, recipe, value > 0).astype(np.float32).ravel())
    return compare_maps(picture.name, np.array(stack).reshape(len(viewers), -1))


def compare_maps(image: str, stack: np.ndarray) -> Agreement:
    """Return the agreement of the maps, float32 [annotators, pixels], of one image."""
    n = len(stack)
    total = stack.sum(axis=0, dtype=np.float64)
    others = [((total - one) / max(n - 1, 1)).astype(np.float32)[None] for one in stack]
    between: list[float] = []
    ceiling: list[float] = []
    for prepare, compare in MEASURES:
        maps = prepare(stack)
        pairs = np.concatenate([compare(maps[i], maps[:i]) for i in range(n)])
        between.append(average_defined(list(pairs)))
        each = [compare(one, prepare(rest)) for one, rest in zip(maps, others, strict=True)]
        ceiling.append(average_defined(list(np.concatenate(each))))
    return Agreement(image, n, n * (n - 1) // 2, *between, *ceiling)


def average_defined(values: list[float]) -> float:
    """Return the mean of the values that are not NaN, or NaN if there is none."""
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan


def mark_highest(stack: np.ndarray) -> np.ndarray:
    """Return the pixels at or above half of each map's maximum, float32 [n,P] of 0 and 1."""
    highest = stack.max(axis=1, keepdims=True, initial=0)
    # The mean of others is a difference of sums: its last bits are no region.
    marked: np.ndarray = (stack >= highest / 2) & (highest > 1e-6)
    return marked.astype(np.float32)


def measure_overlap(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the intersection over union of maps of `mark_highest`, [P] and [m,P], as [m].

    It is NaN if both are empty.
    """
    both = (others @ one).astype(np.float64)
    union = others.sum(axis=1, dtype=np.float64) + one.sum(dtype=np.float64) - both
    return np.where(union > 0, both / np.maximum(union, 1), np.nan)


def standardize_maps(stack: np.ndarray) -> np.ndarray:
    """Return maps with mean zero and length one, float32 [n,P]. A constant map becomes NaN."""
    return standardize_rows(stack, least_length=CONSTANT)


def correlate_maps(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the Pearson correlation of maps of `standardize_maps`, [P] and [m,P], as [m]."""
    correlation: np.ndarray = others @ one
    return correlation.astype(np.float64)


def divide_by_sum(stack: np.ndarray) -> np.ndarray:
    """Return maps divided by their sum, float32 [n,P]. An empty map becomes zeros."""
    total = stack.sum(axis=1, keepdims=True, dtype=np.float64)
    return np.where(total > 1e-6, stack / np.maximum(total, 1e-6), 0).astype(np.float32)


def intersect_histograms(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the histogram intersection of maps of `divide_by_sum`, [P] and [m,P], as [m], 0..1.

    It is NaN if both are empty.
    """
    common = np.array([np.minimum(one, other).sum(dtype=np.float64) for other in others])
    marked = np.array([one.any() or other.any() for other in others], dtype=bool)
    return np.where(marked, common, np.nan) if len(others) else np.zeros(0)


# How maps are prepared, and how prepared maps are compared: IoU, CC, SIM.
Prepare = Callable[[np.ndarray], np.ndarray]
Compare = Callable[[np.ndarray, np.ndarray], np.ndarray]
MEASURES: tuple[tuple[Prepare, Compare], ...] = (
    (mark_highest, measure_overlap),
    (standardize_maps, correlate_maps),
    (divide_by_sum, intersect_histograms),
)
