"""Check an annotation against its image: the same size, and nothing far outside."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from cyborg.common.errors import UserError
from cyborg.config.saliency import MapRecipe
from cyborg.saliency.annotation import Annotation, Point, Shape
from cyborg.saliency.positions import OFF_IMAGE, count_positions, place_gaze

# Marks may leave the image by this share of its longer side, and by a pixel in any case: hands
# and rounding do so. They are clipped. A mark further out was drawn on another image.
TOLERANCE = 0.02
# Two sizes whose aspect ratios differ by more are not scaled copies of one image.
ASPECT_TOLERANCE = 0.01
# Vertices of the polygon that stands for a squeezed ellipse.
ELLIPSE_VERTICES = 360


def fit_annotation(
    annotation: Annotation, size: tuple[int, int], recipe: MapRecipe, location: str
) -> Annotation:
    """Return the annotation in pixels of an image of `size` (width, height).

    Raises UserError, naming `location` (the file) and the image, if the annotation was made on
    another size. `on_size: scale` scales it instead, if the aspect is the same, and `squeeze` with
    any aspect. Raises UserError, naming the region, if a region leaves the image too far.
    `on_outside: clip` accepts it. Positions of gaze off the image are counted in `left_out`.
    """
    place = f"{location}: {annotation.image}"
    annotation = place_gaze(annotation, annotation.size or size, recipe.gaze)
    if annotation.size is not None and annotation.size != size:
        annotation = _scale_annotation(annotation, annotation.size, size, recipe, place)
    if recipe.on_outside == "refuse":
        for number, region in enumerate(annotation.regions, 1):
            for shape in region.shapes:
                _check_inside(shape, size, f"{place}: region {number} `{region.label}`")
    off = count_positions(annotation, size)[1]
    return replace(annotation, left_out=(*annotation.left_out, *[OFF_IMAGE] * off))


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
            location=place,
            hint="one of the two ignores the EXIF rotation. Store the image upright",
        )
    if recipe.on_size == "refuse":
        raise UserError(
            sizes,
            location=place,
            hint="give the images that were annotated, or set `on_size: scale`",
        )
    if recipe.on_size == "scale" and abs(sx / sy - 1) > ASPECT_TOLERANCE:
        raise UserError(
            sizes,
            location=place,
            hint="the aspect differs, so the image was cropped or squeezed. If it was squeezed, "
            "set `on_size: squeeze`",
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

    A rotated ellipse keeps its form if `sx` and `sy` are nearly equal (ASPECT_TOLERANCE). If they
    are not, it becomes a polygon.

    >>> scale_shape(Shape("line", ((1.0, 2.0), (3.0, 4.0)), width=1.0), 2.0, 2.0).points
    ((2.0, 4.0), (6.0, 8.0))
    """

    def move(points: tuple[Point, ...]) -> tuple[Point, ...]:
        return tuple((x * sx, y * sy) for x, y in points)

    if shape.kind == "ellipse" and shape.rotation % 180 and abs(sx / sy - 1) > ASPECT_TOLERANCE:
        return replace(shape, kind="polygon", points=move(_trace_ellipse(shape)), rotation=0.0)
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


def _trace_ellipse(shape: Shape) -> tuple[Point, ...]:
    """Return the outline of an ellipse as vertices of a polygon."""
    (x, y), (rx, ry) = shape.points
    turn = math.radians(shape.rotation)
    angles = np.linspace(0, 2 * math.pi, ELLIPSE_VERTICES, endpoint=False)
    across, down = rx * np.cos(angles), ry * np.sin(angles)
    xs = x + across * math.cos(turn) - down * math.sin(turn)
    ys = y + across * math.sin(turn) + down * math.cos(turn)
    return tuple(zip(xs.tolist(), ys.tolist(), strict=True))


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
            location=place,
            hint="the annotation belongs to another image or size. `on_outside: clip` accepts it",
        )
