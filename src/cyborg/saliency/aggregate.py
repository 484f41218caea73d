"""Make the saliency map of one image from its annotations: draw, aggregate, blur.

The marks of every annotator become a map, 0..1 (viewers.py): regions are drawn, each at the weight
of its category, ready maps are taken as they are, and gaze becomes a density with maximum one. An
annotator who marked nothing is a map of zeros. The maps of all annotators then become one, pixel
by pixel:

mean: weighted mean. union: maximum. intersection: minimum. vote: the k-th largest value, which
for plain regions is one if at least k annotators agree.

Gaze alone under `mean` is the density of all fixations of all viewers, divided by its maximum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from cyborg.common.errors import UserError
from cyborg.config.saliency import MapRecipe
from cyborg.saliency.annotation import Annotation
from cyborg.saliency.viewers import Viewer, collect_viewers, draw_density, draw_viewer


@dataclass(frozen=True)
class SaliencyMap:
    """The map of one image.

    map: uint8 [H,W], 0..255. annotators, regions: number that went into it. marked: pixels that
    any annotator marked.
    """

    map: np.ndarray
    annotators: int
    regions: int
    marked: int


def render_map(
    annotations: list[Annotation],
    size: tuple[int, int],
    recipe: MapRecipe,
    location: str = "annotations",
) -> SaliencyMap:
    """Make the map of one image of `size` (width, height) from all its annotations.

    location: the annotation file, named in errors. An image in which nothing was marked (or
    nothing that the recipe uses) gives a map of zeros with no annotators.

    >>> from cyborg.saliency.annotation import Region, Shape
    >>> eye = Region((Shape("polygon", ((0, 0), (2, 0), (2, 1), (0, 1))),))
    >>> done = render_map([Annotation("a.jpg", (4, 1), (eye,))], (4, 1), MapRecipe())
    >>> done.map.tolist(), done.marked
    ([[255, 255, 0, 0]], 2)
    """
    viewers = collect_viewers(annotations, size, recipe, location)
    regions = sum(viewer.regions for viewer in viewers)
    gaze_only = bool(viewers) and all(viewer.drawn is None for viewer in viewers)
    if gaze_only and recipe.aggregate == "mean":
        weights = _weigh_viewers(viewers, recipe, location)
        fixations = [viewer.fixations for viewer in viewers if viewer.fixations is not None]
        density = draw_density(fixations, weights, size, recipe)
        highest = density.max()
        value = density / highest if highest > 0 else density
        marked = value > 0
    else:
        stack = [draw_viewer(viewer, size, recipe) for viewer in viewers]
        marked = np.zeros(size[::-1], dtype=bool)
        for one in stack:
            marked |= one > 0
        value = combine_maps(stack, recipe, _weigh_viewers(viewers, recipe, location), size)
    picture = quantise_map(blur_map(value, recipe, marked))
    # The tail of a Gaussian has no end: only the part that is left in the picture counts.
    area = np.count_nonzero(picture if gaze_only else marked)
    is_marked = regions > 0 or bool(marked.any())
    return SaliencyMap(picture, len(viewers) if is_marked else 0, regions, int(area))


def combine_maps(
    stack: list[np.ndarray], recipe: MapRecipe, weights: list[float], size: tuple[int, int]
) -> np.ndarray:
    """Return one map, float32 [H,W], 0..1, from those of all annotators, by `recipe.aggregate`.

    weights: of the annotators. They matter for `mean` only.
    """
    if not stack or (recipe.aggregate == "vote" and len(stack) < recipe.votes):
        return np.zeros(size[::-1], dtype=np.float32)
    if recipe.aggregate == "mean":
        total = np.zeros(size[::-1], dtype=np.float32)
        for one, weight in zip(stack, weights, strict=True):
            total += np.float32(weight / sum(weights)) * one
        return total
    result: np.ndarray
    if recipe.aggregate == "union":
        result = np.maximum.reduce(stack)
    elif recipe.aggregate == "intersection":
        result = np.minimum.reduce(stack)
    else:
        rank = len(stack) - recipe.votes
        result = np.partition(np.stack(stack), rank, axis=0)[rank]
    return result


def blur_map(value: np.ndarray, recipe: MapRecipe, marked: np.ndarray) -> np.ndarray:
    """Return a map [H,W] after the blur of the recipe. Beyond its border the image is continued.

    marked: bool [H,W], the pixels whose extent is the unit `marks`.
    """
    sigma = recipe.blur
    if sigma == 0 or not marked.any():
        return value
    if recipe.blur_unit == "marks":
        rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
        sigma *= 1 + max(int(np.ptp(rows)), int(np.ptp(columns)))
    elif recipe.blur_unit == "image":
        sigma *= min(value.shape)
    result: np.ndarray = gaussian_filter(value, sigma, mode="nearest", truncate=4.0)
    return result


def quantise_map(value: np.ndarray) -> np.ndarray:
    """Return 0..1 as uint8 0..255, rounded half up."""
    # Three times a sixth may be the last bit below one half: such bits must not decide.
    levels: np.ndarray = np.clip(value, 0, 1) * np.float32(255) + np.float32(0.5 + 1e-4)
    return levels.astype(np.uint8)


def _weigh_viewers(viewers: list[Viewer], recipe: MapRecipe, location: str) -> list[float]:
    """Return the weight of each annotator. Raises UserError if one needs a time and has none."""
    if recipe.time_weight == "none":
        return [1.0] * len(viewers)
    for viewer in viewers:
        if not viewer.seconds > 0:
            raise UserError(
                f"annotator `{viewer.name}` states no annotation time",
                location=location,
                hint="`time_weight` needs a time for every annotation. Set it to none",
            )
    if recipe.time_weight == "longer":
        return [viewer.seconds for viewer in viewers]
    return [1 / viewer.seconds for viewer in viewers]
