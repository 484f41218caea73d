"""Annotation against image: same size, nothing far outside; refused, scaled or clipped."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from cyborg.common.errors import UserError
from cyborg.config.saliency import Maps
from cyborg.saliency.annotation import Annotation, Point, Shape

# Marks may leave the image by this share of its longer side, and by a pixel in any case: hands
# and rounding do so. They are clipped; what lies further out was drawn on another image.
TOLERANCE = 0.02
# Aspect ratios that differ by more are no scaled copies of one image.
ASPECT = 0.01


def fit(annotation: Annotation, size: tuple[int, int], maps: Maps, where: str) -> Annotation:
    """The annotation in pixels of an image of `size` (width, height).

    Raises UserError, naming `where` (file) and the image, where the annotation was made on
    another size (`on_size: scale` scales it if the aspect is the same), and, naming the region,
    where a region leaves the image too far (`on_outside: clip` accepts it).
    """
    place = f"{where}: {annotation.image}"
    if annotation.size is not None and annotation.size != size:
        annotation = _scale(annotation, size, maps, place)
    if maps.on_outside == "refuse":
        for number, region in enumerate(annotation.regions, 1):
            for shape in region.shapes:
                _inside(shape, size, f"{place}: region {number} `{region.label}`")
    return annotation


def _scale(annotation: Annotation, size: tuple[int, int], maps: Maps, place: str) -> Annotation:
    stated = annotation.size
    assert stated is not None
    sx, sy = size[0] / stated[0], size[1] / stated[1]
    texts = f"made on {stated[0]} x {stated[1]} pixels, the image has {size[0]} x {size[1]}"
    if stated == size[::-1]:
        raise UserError(
            texts,
            where=place,
            hint="one of the two ignores the EXIF rotation; store the image upright",
        )
    if maps.on_size == "refuse":
        raise UserError(
            texts, where=place, hint="give the images that were annotated, or set `on_size: scale`"
        )
    if abs(sx / sy - 1) > ASPECT:
        raise UserError(texts, where=place, hint="other aspect: it was cropped, not scaled")
    regions = tuple(
        replace(region, shapes=tuple(scaled(shape, sx, sy) for shape in region.shapes))
        for region in annotation.regions
    )
    gaze = {
        name: values * np.array([sx, sy, 1.0])
        for name in ("fixations", "samples")
        if (values := getattr(annotation, name)) is not None
    }
    return replace(annotation, size=size, regions=regions, **gaze)


def scaled(shape: Shape, sx: float, sy: float) -> Shape:
    """A shape on an image that is enlarged by sx and sy.

    Rotated ellipses and masks keep their form: sx and sy are nearly equal (see `fit`).
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


def _inside(shape: Shape, size: tuple[int, int], place: str) -> None:
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
        far = f"x {low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g}"
        raise UserError(
            f"lies outside the image ({far}; the image has {size[0]} x {size[1]} pixels)",
            where=place,
            hint="the annotation belongs to another image or size; `on_outside: clip` accepts it",
        )
