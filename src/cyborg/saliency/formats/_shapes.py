"""Make the shapes of the program's model from shapes as tools state them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cyborg.common.errors import UserError
from cyborg.saliency.annotation import Point, Shape
from cyborg.saliency.formats import _limits


def make_polygon(points: Sequence[Point], label: str, location: str) -> Shape:
    """Return a polygon. A last vertex that repeats the first is left out.

    Raises UserError for fewer than three points.

    >>> make_polygon([(0, 0), (4, 0), (0, 3), (0, 0)], "eye", "a.json").points
    ((0, 0), (4, 0), (0, 3))
    """
    points = tuple(points)
    if len(points) > 1 and points[0] == points[-1]:
        points = points[:-1]
    if len(points) < 3:
        raise UserError(
            f"a polygon of {len(points)} points has no area",
            location=location,
            hint="three points or more are needed: complete it in the tool, or delete it",
        )
    return Shape("polygon", points, label=label)


def make_line(points: Sequence[Point], label: str, location: str, width: float = 0.0) -> Shape:
    """Return an open line. If its end is exactly its beginning, it is a polygon."""
    points = tuple(points)
    if len(points) > 3 and points[0] == points[-1]:
        return make_polygon(points, label, location)
    if not points:
        raise UserError("a line without points", location=location)
    return Shape("line", points, label=label, width=width)


def rotate_points(points: Sequence[Point], degrees: float, about: Point) -> tuple[Point, ...]:
    """Return points turned clockwise (as seen, y downwards) about a centre."""
    if degrees % 360 == 0:
        return tuple(points)
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x0, y0 = about
    return tuple(
        (x0 + c * (x - x0) - s * (y - y0), y0 + s * (x - x0) + c * (y - y0)) for x, y in points
    )


def make_box(
    x0: float,
    y0: float,
    x1: float,
    y1: float,
    label: str,
    rotation: float = 0.0,
    about: Point | None = None,
) -> Shape:
    """Return a rectangle between two opposite corners.

    rotation: degrees, clockwise. about: the point that stays, by default the centre.

    >>> make_box(6, 5, 4, 3, "mouth").points
    ((4, 3), (6, 3), (6, 5), (4, 5))
    """
    x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    corners = ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
    about = about or ((x0 + x1) / 2, (y0 + y1) / 2)
    return Shape("polygon", rotate_points(corners, rotation, about), label=label)


def make_ellipse(
    x: float, y: float, rx: float, ry: float, label: str, rotation: float = 0.0
) -> Shape:
    """Return an ellipse from its centre and semi-axes, turned clockwise (degrees)."""
    return Shape("ellipse", ((x, y), (rx, ry)), label=label, rotation=rotation)


def make_point(x: float, y: float, label: str) -> Shape:
    """Return a point."""
    return Shape("point", ((x, y),), label=label)


def make_mask(
    pixels: np.ndarray,
    left: int,
    top: int,
    label: str,
    location: str,
    size: tuple[int, int] | None,
) -> Shape:
    """Return a mask, bool [h,w], placed at (left, top) and cut to the pixels that are set.

    Raises UserError if the mask leaves an image of `size`.
    """
    height, width = pixels.shape
    if left < 0 or top < 0 or (size and (left + width > size[0] or top + height > size[1])):
        inside = f"the image of {size[0]}×{size[1]}" if size else "the image"
        raise UserError(
            f"a mask of {width}×{height} pixels at ({left}, {top}) leaves {inside}",
            location=location,
        )
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    if rows.size == 0:
        return Shape("mask", ((float(left), float(top)),), label=label, mask=np.zeros((1, 1), bool))
    crop = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
    corner = (float(left + columns[0]), float(top + rows[0]))
    return Shape("mask", (corner,), label=label, mask=crop)


class MaskBudget:
    """Count the mask pixels of one annotation, so that small codes cannot fill the memory."""

    def __init__(self) -> None:
        self.left = _limits.MAX_MASKS

    def count_pixels(self, pixels: int, location: str) -> None:
        """Count the pixels of a mask. Raises UserError if the sum passes the limit."""
        self.left -= pixels
        if self.left < 0:
            raise UserError(
                f"the masks of one image have more than {_limits.MAX_MASKS} pixels together",
                location=location,
            )
