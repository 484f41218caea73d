"""Choose how much of a region is drawn: its area, outline, box, convex hull or strokes.

Each granularity turns shapes into shapes. Filling them is the work of fill.py.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial import ConvexHull, QhullError

from cyborg.saliency.annotation import Point, Region, Shape

# Vertices of an ellipse that is drawn as a polygon: off by 0.03 % of its radius.
ELLIPSE_VERTICES = 128


def select_granularity(region: Region, kind: str, line_width: float = 0.0) -> tuple[Shape, ...]:
    """Return the shapes to fill for a region.

    kind: `area`: the shapes as drawn. `outline`: the closed outlines as strokes of `line_width`
    pixels (open lines and points stay). `box`: the upright rectangle around the whole region.
    `hull`: the convex hull of the whole region. `fine`: open lines and points only.

    >>> mouth = Region((Shape("polygon", ((1, 1), (5, 2), (3, 4))),))
    >>> select_granularity(mouth, "box")[0].points[::2]
    ((1.0, 1.0), (5.0, 4.0))
    """
    if kind == "area":
        return region.shapes
    if kind == "fine":
        return tuple(shape for shape in region.shapes if shape.kind in ("line", "point"))
    if kind == "outline":
        return tuple(part for shape in region.shapes for part in _trace_outline(shape, line_width))
    corners = np.concatenate([find_extreme_points(shape, line_width) for shape in region.shapes])
    if not len(corners):
        return ()
    if kind == "box":
        left, top = corners.min(axis=0).tolist()
        right, bottom = corners.max(axis=0).tolist()
        points: tuple[Point, ...] = ((left, top), (right, top), (right, bottom), (left, bottom))
    else:
        points = tuple(find_convex_hull(corners))
    return (Shape("polygon", points, label=region.label),)


def find_extreme_points(shape: Shape, line_width: float = 0.0) -> np.ndarray:
    """Return points, float64 [n,2], whose box and convex hull are those of the shape.

    Lines and points are widened to the sides by half their width.
    """
    points = np.asarray(shape.points, dtype=np.float64).reshape(-1, 2)
    if shape.kind == "ellipse":
        return trace_ellipse(shape)
    if shape.kind == "mask":
        return _find_mask_corners(shape)
    if shape.kind == "polygon":
        return points
    reach = (shape.width or line_width) / 2
    steps = np.array([(-reach, 0), (reach, 0), (0, -reach), (0, reach)])
    return (points[:, None, :] + steps).reshape(-1, 2) if reach else points


def trace_ellipse(shape: Shape) -> np.ndarray:
    """Return vertices, float64 [ELLIPSE_VERTICES + 4, 2], on an ellipse, in order.

    Its four extreme points (left, right, top, bottom) are among them.
    """
    (cx, cy), (rx, ry) = shape.points
    angle = math.radians(shape.rotation)
    cos, sin = math.cos(angle), math.sin(angle)
    rightmost, lowest = math.atan2(-ry * sin, rx * cos), math.atan2(ry * cos, rx * sin)
    extremes = [rightmost, rightmost + math.pi, lowest, lowest + math.pi]
    steps = np.linspace(0, 2 * math.pi, ELLIPSE_VERTICES, endpoint=False)
    turns = np.sort(np.concatenate((steps, np.mod(extremes, 2 * math.pi))))
    along, across = rx * np.cos(turns), ry * np.sin(turns)
    return np.stack((cx + along * cos - across * sin, cy + along * sin + across * cos), axis=1)


def find_convex_hull(points: np.ndarray) -> list[Point]:
    """Return the vertices of the convex hull of points [n,2], in order.

    The hull of points on one line has no area. Its ends are returned.

    >>> find_convex_hull(np.array([[0, 0], [4, 0], [2, 1], [2, 3]]))
    [(0.0, 0.0), (4.0, 0.0), (2.0, 3.0)]
    """
    distinct = np.unique(points, axis=0)
    try:
        corners = distinct[ConvexHull(distinct).vertices]
    except QhullError:
        corners = distinct[[0, -1]] if len(distinct) > 1 else distinct
    return [(float(x), float(y)) for x, y in corners]


def _trace_outline(shape: Shape, width: float) -> list[Shape]:
    if shape.kind == "polygon":
        rings = [ring for ring in (shape.points, *shape.holes) if ring]
        return [Shape("line", (*ring, ring[0]), label=shape.label, width=width) for ring in rings]
    if shape.kind == "ellipse":
        ring = tuple((float(x), float(y)) for x, y in trace_ellipse(shape))
        return [Shape("line", (*ring, ring[0]), label=shape.label, width=width)]
    if shape.kind == "mask" and shape.mask is not None and shape.mask.any():
        margin = math.ceil(width / 2) + 1
        area = np.pad(shape.mask.astype(bool), margin)
        # Pixel centres are half a pixel from the border of their pixel.
        near = np.where(area, distance_transform_edt(area), distance_transform_edt(~area))
        ((left, top),) = shape.points[:1]
        corner = ((left - margin, top - margin),)
        return [replace(shape, points=corner, mask=near - 0.5 <= width / 2)]
    return [] if shape.kind == "mask" else [shape]


def _find_mask_corners(shape: Shape) -> np.ndarray:
    """Return the outer corners, float64 [n,2], of the first and last set pixel of each row."""
    if shape.mask is None or not shape.mask.any():
        return np.zeros((0, 2))
    area = shape.mask.astype(bool)
    rows = np.flatnonzero(area.any(axis=1))
    first = area[rows].argmax(axis=1)
    last = area.shape[1] - area[rows, ::-1].argmax(axis=1)
    corners = [
        (x, y)
        for side in (first, last)
        for lower in (0, 1)
        for x, y in zip(side, rows + lower, strict=True)
    ]
    left, top = (math.floor(value + 0.5) for value in shape.points[0])
    outer: np.ndarray = np.asarray(corners, dtype=np.float64) + np.array((left, top))
    return outer
