"""Granularity: what of a region becomes part of the map: area, outline, box, hull, fine strokes.

Each is a change of shapes into shapes; filling them is fill.py's work.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy.ndimage import distance_transform_edt

from cyborg.saliency.annotation import Point, Region, Shape

# Vertices by which an ellipse is drawn where a polygon is needed: off by 0.03 % of its radius.
VERTICES = 128


def granular(region: Region, kind: str, line_width: float = 0.0) -> tuple[Shape, ...]:
    """The shapes to fill for a region.

    kind: `area`: the shapes as drawn; `outline`: the closed outlines as strokes of `line_width`
    pixels (open lines and points stay); `box`: the upright rectangle around the whole region;
    `hull`: the convex hull of the whole region; `fine`: open lines and points only.
    """
    if kind == "area":
        return region.shapes
    if kind == "fine":
        return tuple(shape for shape in region.shapes if shape.kind in ("line", "point"))
    if kind == "outline":
        return tuple(part for shape in region.shapes for part in _outline(shape, line_width))
    corners = np.concatenate([extreme_points(shape, line_width) for shape in region.shapes])
    if not len(corners):
        return ()
    if kind == "box":
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        points: tuple[Point, ...] = ((left, top), (right, top), (right, bottom), (left, bottom))
    else:
        points = tuple(convex_hull(corners))
    return (Shape("polygon", points, label=region.label),)


def extreme_points(shape: Shape, line_width: float = 0.0) -> np.ndarray:
    """Points, float64 [n,2], whose box and convex hull are those of the shape.

    Lines and points are widened to the sides by half their width.
    """
    points = np.asarray(shape.points, dtype=np.float64).reshape(-1, 2)
    if shape.kind == "ellipse":
        return ellipse_points(shape)
    if shape.kind == "mask":
        return _mask_corners(shape)
    if shape.kind == "polygon":
        return points
    reach = (shape.width or line_width) / 2
    steps = np.array([(-reach, 0), (reach, 0), (0, -reach), (0, reach)])
    return (points[:, None, :] + steps).reshape(-1, 2) if reach else points


def ellipse_points(shape: Shape) -> np.ndarray:
    """Vertices, float64 [VERTICES + 4,2], on an ellipse, its four extreme points among them."""
    (cx, cy), (rx, ry) = shape.points
    angle = math.radians(shape.rotation)
    cos, sin = math.cos(angle), math.sin(angle)
    rightmost, lowest = math.atan2(-ry * sin, rx * cos), math.atan2(ry * cos, rx * sin)
    extremes = [rightmost, rightmost + math.pi, lowest, lowest + math.pi]
    steps = np.linspace(0, 2 * math.pi, VERTICES, endpoint=False)
    turns = np.sort(np.concatenate((steps, np.mod(extremes, 2 * math.pi))))
    along, across = rx * np.cos(turns), ry * np.sin(turns)
    return np.stack((cx + along * cos - across * sin, cy + along * sin + across * cos), axis=1)


def convex_hull(points: np.ndarray) -> list[Point]:
    """Vertices of the convex hull of points [n,2], in order (Andrew's monotone chain)."""
    ordered = [(float(x), float(y)) for x, y in np.unique(points, axis=0)]
    if len(ordered) < 3:
        return ordered
    return _chain(ordered)[:-1] + _chain(ordered[::-1])[:-1]


def _chain(points: list[Point]) -> list[Point]:
    chain: list[Point] = []
    for x, y in points:
        while len(chain) > 1:
            (ax, ay), (bx, by) = chain[-2], chain[-1]
            if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                break
            chain.pop()
        chain.append((x, y))
    return chain


def _outline(shape: Shape, width: float) -> list[Shape]:
    if shape.kind == "polygon":
        rings = [ring for ring in (shape.points, *shape.holes) if ring]
        return [Shape("line", (*ring, ring[0]), label=shape.label, width=width) for ring in rings]
    if shape.kind == "ellipse":
        ring = tuple((float(x), float(y)) for x, y in ellipse_points(shape))
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


def _mask_corners(shape: Shape) -> np.ndarray:
    """Outer corners of the first and last set pixel of each row of a mask."""
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
    return np.asarray(corners, dtype=np.float64) + np.array((left, top))
