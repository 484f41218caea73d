"""How far annotators agree: the command `cyborg agreement`.

Every annotator's map (regions, or the density of gaze, with the blur of the recipe) is compared
with every other one's of the same image:

IoU   intersection over union of the pixels at or above half of each map's maximum;
CC    Pearson correlation of the maps;
SIM   histogram intersection: the sum of the smaller values, both maps divided by their sum.

The ceiling compares each annotator with the mean of all others: what a model that knows as much
as one person could reach. A value that is not defined (nothing marked by either; a constant map
in CC) is left out of the means.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from cyborg.common.correlation import standardize_rows
from cyborg.common.errors import UserError
from cyborg.common.files import write_text
from cyborg.common.workers import map_in_processes
from cyborg.config.saliency import Maps
from cyborg.saliency.aggregate import blurred, person_map, viewers
from cyborg.saliency.gather import Annotated, gather

OVERALL = "(all)"


@dataclass(frozen=True)
class Agreement:
    """Mean over the pairs, and over each annotator against the others, of one image."""

    image: str
    annotators: int
    pairs: int
    iou: float
    cc: float
    sim: float
    ceiling_iou: float
    ceiling_cc: float
    ceiling_sim: float


def agreement(
    input: Path,
    images: Path | None = None,
    format: str = "auto",
    maps: Maps | None = None,
    out: Path | None = None,
) -> list[Agreement]:
    """Agreement per image that at least two annotators saw, and as last row their mean.

    out: CSV file to write, or None. Raises UserError where no image has two annotators.
    """
    maps = Maps() if maps is None else maps
    pictures = gather(input, images, format, maps)
    several = [p for p in pictures if len({a.annotator for a in p.annotations}) > 1]
    rows = [
        row
        for row in map_in_processes(_compare, [(p, maps, str(input)) for p in several], "agreement")
        if row.annotators > 1
    ]
    if not rows:
        raise UserError(
            "has no image that two annotators marked",
            where=input,
            hint="agreement needs a format that names annotators, or a folder with "
            "one file per annotator",
        )
    rows.append(overall(rows))
    if out is not None:
        write_text(out, table(rows))
    return rows


def overall(rows: list[Agreement]) -> Agreement:
    """The mean over images; each image counts once, however many saw it."""
    means = [mean([getattr(row, f.name) for row in rows]) for f in fields(Agreement)[3:]]
    pairs = sum(row.pairs for row in rows)
    return Agreement(OVERALL, sum(row.annotators for row in rows), pairs, *means)


def table(rows: list[Agreement]) -> str:
    """CSV of all rows, values with six decimals, empty where not defined."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Agreement)])
    for row in rows:
        values = astuple(row)
        writer.writerow([*values[:3], *("" if math.isnan(v) else f"{v:.6f}" for v in values[3:])])
    return text.getvalue()


def _compare(job: tuple[Annotated, Maps, str]) -> Agreement:
    picture, maps, where = job
    people = viewers(list(picture.annotations), picture.size, maps, where)
    stack = []
    for person in people:
        value = person_map(person, picture.size, maps)
        stack.append(blurred(value, maps, value > 0).astype(np.float32).ravel())
    return compare(picture.name, np.array(stack).reshape(len(people), -1))


def compare(image: str, stack: np.ndarray) -> Agreement:
    """Agreement of the maps, float32 [annotators, pixels], of one image."""
    n = len(stack)
    total = stack.sum(axis=0, dtype=np.float64)
    between: list[np.ndarray] = []
    ceiling: list[np.ndarray] = []
    forms = (halves, standardised, shares)
    measures = (overlap, correlation, similarity)
    for form, measure in zip(forms, measures, strict=True):
        each = form(stack)
        between.append(np.concatenate([measure(each[i], each[:i]) for i in range(n)]))
        others = (form(((total - one) / max(n - 1, 1)).astype(np.float32)[None]) for one in stack)
        pairs = zip(each, others, strict=True)
        ceiling.append(np.concatenate([measure(one, rest) for one, rest in pairs]))
    values = [mean(list(v)) for v in (*between, *ceiling)]
    return Agreement(image, n, n * (n - 1) // 2, *values)


def mean(values: list[float]) -> float:
    """Mean of the defined values; NaN where there is none."""
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan


def halves(stack: np.ndarray) -> np.ndarray:
    """Pixels at or above half of each map's maximum, float32 [n,P] of 0 and 1."""
    highest = stack.max(axis=1, keepdims=True, initial=0)
    # The mean of others is a difference of sums: its last bits are no region.
    return ((stack >= highest / 2) & (highest > 1e-6)).astype(np.float32)


def overlap(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of `halves` [P] and [m,P]: [m], NaN where both are empty."""
    both = (others @ one).astype(np.float64)
    union = others.sum(axis=1, dtype=np.float64) + one.sum(dtype=np.float64) - both
    return _ratio(both, union)


def standardised(stack: np.ndarray) -> np.ndarray:
    """Maps with mean zero and length one, float32 [n,P]; NaN where a map is constant."""
    return standardize_rows(stack, least_length=1e-5)


def correlation(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Pearson correlation of `standardised` maps [P] and [m,P]: [m]."""
    return (others @ one).astype(np.float64)


def shares(stack: np.ndarray) -> np.ndarray:
    """Maps divided by their sum, float32 [n,P]; zeros where a map is empty."""
    total = stack.sum(axis=1, keepdims=True, dtype=np.float64)
    return np.where(total > 1e-6, stack / np.maximum(total, 1e-6), 0).astype(np.float32)


def similarity(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Histogram intersection of `shares` [P] and [m,P]: [m], 0..1; NaN where both are empty."""
    common = np.array([np.minimum(one, other).sum(dtype=np.float64) for other in others])
    marked = np.array([one.any() or other.any() for other in others], dtype=bool)
    return np.where(marked, common, np.nan) if len(others) else np.zeros(0)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
