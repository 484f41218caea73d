"""Fill shapes: decide which pixels of an image lie inside a polygon, ellipse, stroke or mask.

There is one rule for all shapes: a pixel belongs to a shape if its centre does. The centre of
pixel (column c, row r) is at (c + 0.5, r + 0.5). Polygons are filled by the nonzero winding rule,
so that an outline which crosses itself stays filled, and holes are cut out. A centre that lies
exactly on an edge belongs to the polygon whose left or upper edge it is: neighbours that share an
edge neither overlap nor leave a gap. Strokes have round ends and joins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from cyborg.saliency.annotation import Point, Shape

Mask = np.ndarray
# Rows are worked on in bands of about this many crossings, to bound memory.
CROSSINGS = 4_000_000


def fill_polygon(mask: Mask, rings: Sequence[np.ndarray | Sequence[Point]]) -> None:
    """Set the pixels of `mask` (bool [H,W], C order) that lie inside the union of closed rings.

    rings: each float [n,2], x before y, in pixels. The last vertex is joined with the first. The
    winding number is the sum over all rings: a ring of opposite direction cuts a hole. Parts
    outside the mask are clipped exactly.

    >>> mask = np.zeros((3, 5), dtype=bool)
    >>> fill_polygon(mask, [[(1, 0), (4, 0), (4, 2), (1, 2)]])
    >>> mask.astype(int).tolist()
    [[0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]]
    """
    if not mask.flags.c_contiguous:
        raise ValueError("the mask must be in C order: a view of part of one is not painted")
    height, width = mask.shape
    x0, y0, x1, y1 = _list_edges(rings)
    low, high = np.minimum(y0, y1), np.maximum(y0, y1)
    # Row r is crossed if low <= r + 0.5 < high: half open, so that a vertex counts once.
    first = np.clip(np.ceil(low - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(high - 0.5), 0, height).astype(np.int64)
    used = last > first
    if not used.any() or width == 0:
        return
    x0, y0, x1, y1, first, last = (a[used] for a in (x0, y0, x1, y1, first, last))
    slope = (x1 - x0) / (y1 - y0)
    downward = (y1 > y0).astype(np.int64)
    top, bottom = int(first.min()), int(last.max())
    step = max(1, CROSSINGS // len(first))
    for start in range(top, bottom, step):
        stop = min(start + step, bottom)
        rows = np.clip(last, start, stop) - np.clip(first, start, stop)
        _fill_rows(mask, x0, y0, slope, downward, np.maximum(first, start), np.maximum(rows, 0))


def _list_edges(rings: Sequence[np.ndarray | Sequence[Point]]) -> tuple[np.ndarray, ...]:
    """Return x0, y0, x1, y1 of all edges of closed rings, float64 [n] each."""
    starts = [np.asarray(ring, dtype=np.float64).reshape(-1, 2) for ring in rings]
    ends = [np.concatenate((ring[1:], ring[:1])) for ring in starts]
    start = np.concatenate(starts) if starts else np.zeros((0, 2))
    end = np.concatenate(ends) if ends else np.zeros((0, 2))
    return start[:, 0], start[:, 1], end[:, 0], end[:, 1]


def _fill_rows(
    mask: Mask,
    x0: np.ndarray,
    y0: np.ndarray,
    slope: np.ndarray,
    downward: np.ndarray,
    first: np.ndarray,
    rows: np.ndarray,
) -> None:
    """Fill between edges, in the rows that they cross. All arguments but `mask` are [edges].

    x0, y0, slope: the line of each edge. downward: 1 if the edge leads down, 0 if it leads up.
    first, rows: the edge crosses the line through the pixel centres in the rows `first` to
    `first + rows - 1`.

    Going along a row, a crossing adds 1 to the winding number if the edge leads down, and takes 1
    away if it leads up. Pixels are inside while the number is not zero, as in this row that four
    edges cross:

        edges            |down       |down |up         |up
        number     0  0  | 1  1  1  1| 2  2| 1  1  1  1| 0  0
        pixels     .  .  [ #  #  #  #  #  #  #  #  #  #] .  .

    The number is zero again at the end of every row. Therefore all rows of the mask are treated
    as one long row, in which a pixel's position is `row * width + column`.
    """
    width = mask.shape[1]
    total = int(rows.sum())
    if total == 0:
        return
    # One entry for every crossing of an edge with a row.
    row = np.arange(total) + np.repeat(first - (np.cumsum(rows) - rows), rows)
    x = row + 0.5
    x -= np.repeat(y0, rows)
    x *= np.repeat(slope, rows)
    x += np.repeat(x0, rows)
    # First column whose centre is at or right of the crossing, exact for any clipping.
    x -= 0.5
    column = np.clip(np.ceil(x, out=x), 0, width, out=x).astype(np.int64)
    position, change = _sort_crossings(row * width + column, np.repeat(downward, rows), mask.size)
    inside = np.cumsum(change, dtype=np.int32) != 0
    # Spans begin and end at the crossings at which `inside` changes, in turn.
    borders = position[np.concatenate((inside[:1], inside[1:] != inside[:-1]))]
    if not len(borders):
        return
    within = np.zeros(len(borders) - 1, dtype=bool)
    within[::2] = True
    mask.reshape(-1)[borders[0] : borders[-1]] |= np.repeat(within, np.diff(borders))


def _sort_crossings(
    position: np.ndarray, downward: np.ndarray, pixels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the crossings sorted by position, and the change of the winding number at each.

    A single array of integers, with the direction as lowest bit, sorts several times faster than
    an order of two arrays. The order of crossings at one position does not matter: no pixel lies
    between them.
    """
    key = 2 * position + downward
    if 2 * pixels + 1 < 2**31:  # smaller integers sort twice as fast
        key = key.astype(np.int32)
    key.sort()
    return key >> 1, 2 * (key & 1) - 1


def fill_ellipse(mask: Mask, centre: Point, radii: Point, rotation: float = 0.0) -> None:
    """Set the pixels of `mask` whose centre is in an ellipse.

    centre, radii (semi-axes along x and y before the rotation): pixels. rotation: clockwise, in
    degrees. An ellipse with a semi-axis of zero has no area.
    """
    rx, ry = abs(radii[0]), abs(radii[1])
    if rx == 0 or ry == 0:
        return
    angle = math.radians(rotation)
    cos, sin = math.cos(angle), math.sin(angle)
    reach = (math.hypot(rx * cos, ry * sin), math.hypot(rx * sin, ry * cos))

    def inside(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        dx, dy = x - centre[0], y - centre[1]
        along, across = dx * cos + dy * sin, dy * cos - dx * sin
        result: np.ndarray = (along / rx) ** 2 + (across / ry) ** 2 <= 1
        return result

    _fill_box(
        mask,
        centre[0] - reach[0],
        centre[1] - reach[1],
        centre[0] + reach[0],
        centre[1] + reach[1],
        inside,
    )


def fill_stroke(mask: Mask, points: Sequence[Point] | np.ndarray, width: float) -> None:
    """Set the pixels of `mask` whose centre is at most `width` / 2 from a polyline.

    One point alone gives a disc. A width of zero has no area.
    """
    if width <= 0 or len(points) == 0:
        return
    radius = width / 2
    line = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    if len(line) == 1:
        line = np.concatenate((line, line))
    for (ax, ay), (bx, by) in zip(line[:-1].tolist(), line[1:].tolist(), strict=True):
        fill_segment(mask, (ax, ay), (bx, by), radius)


def fill_segment(mask: Mask, start: Point, end: Point, radius: float) -> None:
    """Set the pixels of `mask` whose centre is at most `radius` from a straight segment."""
    (ax, ay), (bx, by) = start, end
    dx, dy = bx - ax, by - ay
    length = dx * dx + dy * dy

    def near(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        share = np.clip(((x - ax) * dx + (y - ay) * dy) / length, 0, 1) if length else 0.0
        result: np.ndarray = (x - ax - share * dx) ** 2 + (y - ay - share * dy) ** 2 <= radius**2
        return result

    _fill_box(
        mask,
        min(ax, bx) - radius,
        min(ay, by) - radius,
        max(ax, bx) + radius,
        max(ay, by) + radius,
        near,
    )


def fill_mask(mask: Mask, part: Mask, corner: Point) -> None:
    """Set the pixels of `mask` that `part` (bool [h,w]) sets, its upper left corner at `corner`.

    A fractional corner is rounded to the nearest pixel border (halves up).
    """
    left, top = (math.floor(value + 0.5) for value in corner)
    height, width = mask.shape
    y0, y1 = max(top, 0), min(top + part.shape[0], height)
    x0, x1 = max(left, 0), min(left + part.shape[1], width)
    if y1 > y0 and x1 > x0:
        mask[y0:y1, x0:x1] |= part[y0 - top : y1 - top, x0 - left : x1 - left].astype(bool)


def fill_shape(mask: Mask, shape: Shape, line_width: float = 0.0) -> None:
    """Set the pixels of `mask` (bool [H,W]) that belong to a shape.

    line_width: width, in pixels, of lines and points that state none of their own.
    """
    if shape.kind == "polygon":
        if not shape.holes:
            fill_polygon(mask, [shape.points])
            return
        outer, inner = np.zeros_like(mask), np.zeros_like(mask)
        fill_polygon(outer, [shape.points])
        for hole in shape.holes:
            fill_polygon(inner, [hole])
        mask |= outer & ~inner
    elif shape.kind == "ellipse":
        fill_ellipse(mask, shape.points[0], shape.points[1], shape.rotation)
    elif shape.kind == "mask":
        if shape.mask is not None:
            fill_mask(mask, shape.mask, shape.points[0])
    elif shape.kind == "line":
        fill_stroke(mask, shape.points, shape.width or line_width)
    else:
        for point in shape.points:
            fill_stroke(mask, [point], shape.width or line_width)


def _fill_box(
    mask: Mask,
    left: float,
    top: float,
    right: float,
    bottom: float,
    inside: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> None:
    """Set the pixels inside a box whose centre (x, y) fulfils `inside(x, y)`."""
    height, width = mask.shape
    x0, x1 = (int(np.clip(math.floor(v), 0, width)) for v in (left, right + 1))
    y0, y1 = (int(np.clip(math.floor(v), 0, height)) for v in (top, bottom + 1))
    if x1 > x0 and y1 > y0:
        x = np.arange(x0, x1)[None, :] + 0.5
        y = np.arange(y0, y1)[:, None] + 0.5
        mask[y0:y1, x0:x1] |= inside(x, y)
