"""Check an annotation against its image: the same size, and nothing far outside."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from cyborg.common.errors import UserError
from cyborg.config.saliency import MapRecipe
from cyborg.saliency.annotation import Annotation, Point, Shape

# Marks may leave the image by this share of its longer side, and by a pixel in any case: hands
# and rounding do so. They are clipped. A mark further out was drawn on another image.
TOLERANCE = 0.02
# Two sizes whose aspect ratios differ by more are not scaled copies of one image.
ASPECT_TOLERANCE = 0.01


def fit_annotation(
    annotation: Annotation, size: tuple[int, int], recipe: MapRecipe, location: str
) -> Annotation:
    """Return the annotation in pixels of an image of `size` (width, height).

    Raises UserError, naming `location` (the file) and the image, if the annotation was made on
    another size. `on_size: scale` scales it instead, if the aspect is the same. Raises UserError,
    naming the region, if a region leaves the image too far. `on_outside: clip` accepts it.
    """
    place = f"{location}: {annotation.image}"
    if annotation.size is not None and annotation.size != size:
        annotation = _scale_annotation(annotation, annotation.size, size, recipe, place)
    if recipe.on_outside == "refuse":
        for number, region in enumerate(annotation.regions, 1):
            for shape in region.shapes:
                _check_inside(shape, size, f"{place}: region {number} `{region.label}`")
    return annotation


def _scale_annotation(
    annotation: Annotation,
    stated: tuple[int, int],
    size: tuple[int, int],
    recipe: MapRecipe,
    place: str,
) -> Annotation:
    sx, sy = size[0] / stated[0], size[1] / stated[1]
    sizes = f"made on {stated[0]} x {stated[1]} pixels, the image has {size[0]} x {size[1]}"
    if stated == size[::-1]:
        raise UserError(
            sizes,
            where=place,
            hint="one of the two ignores the EXIF rotation. Store the image upright",
        )
    if recipe.on_size == "refuse":
        raise UserError(
            sizes, where=place, hint="give the images that were annotated, or set `on_size: scale`"
        )
    if abs(sx / sy - 1) > ASPECT_TOLERANCE:
        raise UserError(
            sizes, where=place, hint="the aspect differs: the image was cropped, not scaled"
        )
    regions = tuple(
        replace(region, shapes=tuple(scale_shape(shape, sx, sy) for shape in region.shapes))
        for region in annotation.regions
    )
    factors = np.array([sx, sy, 1.0])
    fixations, samples = annotation.fixations, annotation.samples
    return replace(
        annotation,
        size=size,
        regions=regions,
        fixations=None if fixations is None else fixations * factors,
        samples=None if samples is None else samples * factors,
    )


def scale_shape(shape: Shape, sx: float, sy: float) -> Shape:
    """Return a shape for an image that is enlarged by `sx` and `sy`.

    Rotated ellipses keep their form, because `sx` and `sy` are nearly equal (ASPECT_TOLERANCE).

    >>> scale_shape(Shape("line", ((1.0, 2.0), (3.0, 4.0)), width=1.0), 2.0, 2.0).points
    ((2.0, 4.0), (6.0, 8.0))
    """

    def move(points: tuple[Point, ...]) -> tuple[Point, ...]:
        return tuple((x * sx, y * sy) for x, y in points)

    mask = shape.mask
    if mask is not None:
        height, width = (max(1, round(n * s)) for n, s in zip(mask.shape, (sy, sx), strict=True))
        # Nearest neighbour: the centre of each new pixel, in pixels of the old mask.
        rows = np.minimum(((np.arange(height) + 0.5) / sy).astype(int), mask.shape[0] - 1)
        columns = np.minimum(((np.arange(width) + 0.5) / sx).astype(int), mask.shape[1] - 1)
        mask = mask[rows][:, columns]
    return replace(
        shape,
        points=move(shape.points),
        holes=tuple(move(hole) for hole in shape.holes),
        width=shape.width * math.sqrt(sx * sy),
        mask=mask,
    )


def _check_inside(shape: Shape, size: tuple[int, int], place: str) -> None:
    """Refuse vertices, the centre of an ellipse, or the box of a mask far outside the image."""
    points = np.asarray(shape.points[:1] if shape.kind == "ellipse" else shape.points)
    if shape.kind == "mask" and shape.mask is not None:
        height, width = shape.mask.shape
        points = np.concatenate((points[:1], points[:1] + np.array((width, height))))
    if not len(points):
        return
    slack = max(1.0, TOLERANCE * max(size))
    low, high = points.min(axis=0), points.max(axis=0)
    if (low < -slack).any() or (high > np.array(size) + slack).any():
        extent = f"x {low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g}"
        raise UserError(
            f"lies outside the image ({extent}, the image has {size[0]} x {size[1]} pixels)",
            where=place,
            hint="the annotation belongs to another image or size. `on_outside: clip` accepts it",
        )
