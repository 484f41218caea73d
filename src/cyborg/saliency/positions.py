"""Bring recorded positions of gaze from the unit and origin they were stated in to pixels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from cyborg.common.errors import UserError
from cyborg.config.saliency import GazeRecipe, MapRecipe
from cyborg.saliency.annotation import Annotation

OFF_IMAGE = "position of gaze off the image"
# Positions that are all within this of zero are shares or units of height, not pixels.
LARGEST_SHARE = 1.0
# An image of at most this many pixels to a side may be seen in its upper left pixel only.
SMALL_IMAGE = 2
_HINT = (
    "say how positions are stated: --unit (`gaze.position_unit`), --origin (`gaze.origin`), "
    "--screen (`gaze.screen`)"
)


def convert_positions(
    positions: np.ndarray, size: tuple[int, int], recipe: GazeRecipe
) -> np.ndarray:
    """Return positions, float64 [n,3], in pixels of an image of `size` (width, height).

    The first two columns are x and y in the unit and origin that the recipe states. They are
    positions on the screen if the recipe has one, which shows the image in its middle.

    >>> recipe = GazeRecipe(position_unit="shares")
    >>> convert_positions(np.array([[0.25, 0.5, 0.2]]), (400, 300), recipe).tolist()
    [[100.0, 150.0, 0.2]]
    """
    field = recipe.screen or size
    x, y = positions[:, 0], positions[:, 1]
    if recipe.position_unit == "shares":
        x, y = x * field[0], y * field[1]
    elif recipe.position_unit == "height":
        x, y = x * field[1], y * field[1]
    if recipe.origin in ("centre", "centre_up"):
        x = x + field[0] / 2
    if recipe.origin == "centre":
        y = y + field[1] / 2
    elif recipe.origin == "centre_up":
        y = field[1] / 2 - y
    elif recipe.origin == "bottom_left":
        y = field[1] - y
    if recipe.screen:
        scale = 1.0
        if recipe.shown == "fit":
            scale = min(recipe.screen[0] / size[0], recipe.screen[1] / size[1])
        x = (x - recipe.screen[0] / 2) / scale + size[0] / 2
        y = (y - recipe.screen[1] / 2) / scale + size[1] / 2
    return np.column_stack((x, y, positions[:, 2]))


def place_gaze(annotation: Annotation, size: tuple[int, int], recipe: GazeRecipe) -> Annotation:
    """Return the annotation with its gaze in pixels of an image of `size`."""
    fixations, samples = annotation.fixations, annotation.samples
    if fixations is None and samples is None:
        return annotation
    return replace(
        annotation,
        fixations=None if fixations is None else convert_positions(fixations, size, recipe),
        samples=None if samples is None else convert_positions(samples, size, recipe),
    )


def count_positions(annotation: Annotation, size: tuple[int, int]) -> tuple[int, int]:
    """Return how many positions an annotation has, and how many of them are off the image."""
    points = collect_positions(annotation)
    x, y = points[:, 0], points[:, 1]
    inside = (x >= 0) & (x < size[0]) & (y >= 0) & (y < size[1])
    return len(points), len(points) - int(np.count_nonzero(inside))


def collect_positions(annotation: Annotation) -> np.ndarray:
    """Return all positions of an annotation that were not lost, float64 [n,2]."""
    found = [a[:, :2] for a in (annotation.fixations, annotation.samples) if a is not None]
    points = np.concatenate(found) if found else np.zeros((0, 2))
    kept: np.ndarray = points[np.isfinite(points).all(axis=1)]
    return kept


def check_gaze(
    marks: Iterable[tuple[Annotation, tuple[int, int]]], recipe: MapRecipe, path: Path
) -> None:
    """Refuse gaze of a file that cannot be in pixels of its images.

    marks: the annotations as read, and the sizes of their images. Raises UserError if all
    positions are shares although pixels are expected, if all lie off the image, and if more than
    half do. `on_outside: clip` accepts the last.
    """
    total = off = 0
    farthest = 0.0
    largest = 0
    for annotation, size in marks:
        points = collect_positions(annotation)
        if not len(points):
            continue
        stated = annotation.size or size
        farthest = max(farthest, float(np.abs(points).max()))
        largest = max(largest, *stated)
        count, outside = count_positions(place_gaze(annotation, stated, recipe.gaze), stated)
        total, off = total + count, off + outside
    if not total:
        return
    in_pixels = recipe.gaze.position_unit == "pixels"
    if in_pixels and farthest <= LARGEST_SHARE and largest > SMALL_IMAGE:
        raise UserError(
            "all positions of gaze lie between -1 and 1, so they look like shares, not pixels",
            location=path,
            hint=f"for shares of the image, use --unit shares. {_HINT}",
        )
    if off == total or (off > total / 2 and recipe.on_outside == "refuse"):
        hint = _HINT if off == total else f"{_HINT}. `on_outside: clip` leaves them out"
        raise UserError(
            f"{off} of {total} positions of gaze lie off their image. They may be positions on a "
            "screen, or have another origin",
            location=path,
            hint=hint,
        )
