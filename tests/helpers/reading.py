"""Help the tests of the annotation readers: sample files, areas, and pixels by brute force."""

from __future__ import annotations

import math
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cyborg.common.errors import UserError
from cyborg.common.families import FORMATS
from cyborg.saliency.annotation import Annotation, Point, Shape
from paths import REPOSITORY, SHARED

# Files besides the example in each format's module, in a folder per format.
EXAMPLES = REPOSITORY / "tests" / "saliency" / "formats" / "examples"
# Real files of many tools, which are not part of the repository.
SAMPLES = SHARED / "data" / "annotations"


def find_sample(*parts: str) -> Path:
    """Return a file of the real samples; skip the test if they are not on this machine."""
    if not SAMPLES.is_dir():
        pytest.skip("the folder of real annotation files is not here")
    return SAMPLES.joinpath(*parts)


def list_samples(*patterns: str) -> list[Any]:
    """Return the real samples that match, as parameters of a test."""
    paths = [path for pattern in patterns for path in sorted(SAMPLES.glob(pattern))]
    return [pytest.param(path, id=path.relative_to(SAMPLES).as_posix()) for path in paths]


def read(name: str, path: Path, images: Path | None = None) -> list[Annotation]:
    """Return what the reader of a format finds in a file or folder."""
    return list(FORMATS.find(name).read(path, images))


def recognise(path: Path) -> list[str]:
    """Return the formats that recognise a file; the general ones only if no other does."""
    head = path.read_bytes()[: 64 * 1024] if path.is_file() else b""
    records = {name: FORMATS.find(name) for name in FORMATS.list_names()}
    found = [name for name, record in records.items() if record.recognise(path, head)]
    return [name for name in found if not records[name].general] or found


def fill_shapes(shapes: Iterable[Shape], width: int, height: int) -> np.ndarray:
    """Return the union of shapes, bool [H,W]; the centre of each pixel is tested on its own."""
    result = np.zeros((height, width), bool)
    for shape in shapes:
        for row in range(height):
            for column in range(width):
                result[row, column] |= is_inside(shape, column + 0.5, row + 0.5)
    return result


def is_inside(shape: Shape, x: float, y: float) -> bool:
    """Tell whether a shape covers a point (polygons by the even-odd rule)."""
    if shape.kind == "polygon":
        odd = False
        for (ax, ay), (bx, by) in zip(
            shape.points, shape.points[1:] + shape.points[:1], strict=True
        ):
            if (ay > y) != (by > y) and x < ax + (y - ay) * (bx - ax) / (by - ay):
                odd = not odd
        return odd
    if shape.kind == "ellipse":
        (cx, cy), (rx, ry) = shape.points
        turn = math.radians(-shape.rotation)
        u = math.cos(turn) * (x - cx) - math.sin(turn) * (y - cy)
        v = math.sin(turn) * (x - cx) + math.cos(turn) * (y - cy)
        return (u / rx) ** 2 + (v / ry) ** 2 <= 1
    if shape.kind == "mask" and shape.mask is not None:
        row, column = int(y - shape.points[0][1]), int(x - shape.points[0][0])
        height, width = shape.mask.shape
        before = y < shape.points[0][1] or x < shape.points[0][0]
        return not before and row < height and column < width and bool(shape.mask[row, column])
    if shape.kind == "line":
        pairs = zip(shape.points[:-1], shape.points[1:], strict=True)
        return shape.width > 0 and any(
            distance_to_segment((x, y), a, b) <= shape.width / 2 for a, b in pairs
        )
    return False


def distance_to_segment(point: Point, start: Point, end: Point) -> float:
    """Return the distance between a point and the nearest point of a straight segment."""
    p, a, b = (np.array(place, dtype=float) for place in (point, start, end))
    length = float((b - a) @ (b - a))
    share = min(max(float((p - a) @ (b - a)) / length, 0.0), 1.0) if length else 0.0
    return float(np.linalg.norm(p - a - share * (b - a)))


def polygon_area(points: Iterable[tuple[float, float]]) -> float:
    """Return the area inside an outline (shoelace formula)."""
    p = np.asarray(list(points), dtype=float)
    x, y = p[:, 0], p[:, 1]
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def shape_area(shape: Shape) -> float:
    """Return the exact area of a shape; 0 for lines and points."""
    if shape.kind == "polygon":
        return polygon_area(shape.points)
    if shape.kind == "ellipse":
        return math.pi * shape.points[1][0] * shape.points[1][1]
    return float(shape.mask.sum()) if shape.mask is not None else 0.0


def region_areas(annotations: Iterable[Annotation]) -> list[float]:
    """Return the area of every region (sum over its shapes), in the order of the file."""
    return [sum(map(shape_area, region.shapes)) for a in annotations for region in a.regions]


@contextmanager
def limit_time_and_memory(seconds: float = 5.0, megabytes: float = 100.0) -> Iterator[None]:
    """Fail if the block takes more than this time and Python memory."""
    tracemalloc.start()
    started = time.process_time()
    try:
        yield
    finally:
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
    assert time.process_time() - started < seconds
    assert peak < megabytes


def catch_error(
    name: str, path: Path, content: str | bytes, images: Path | None = None
) -> UserError:
    """Write a file that the reader must refuse, within limits, and return the error."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    FORMATS.find(name)  # importing it does not count
    with limit_time_and_memory(), pytest.raises(UserError) as caught:
        read(name, path, images)
    assert str(path) in str(caught.value.location)
    return caught.value
