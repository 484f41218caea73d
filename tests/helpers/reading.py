"""What the tests of the annotation readers share: files, and pixels by brute force."""

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
from cyborg.saliency.annotation import Annotation, Shape
from paths import REPOSITORY, SHARED

HERE = REPOSITORY / "tests" / "saliency" / "formats" / "examples"
ANNOTATIONS = SHARED / "data" / "annotations"


def real(*parts: str) -> Path:
    """A file of the shared annotation samples; skips the test where they are absent."""
    if not ANNOTATIONS.is_dir():
        pytest.skip("the folder of real annotation files is not here")
    return ANNOTATIONS.joinpath(*parts)


def files(*patterns: str) -> list[Any]:
    paths = [path for pattern in patterns for path in sorted(ANNOTATIONS.glob(pattern))]
    return [pytest.param(path, id=path.relative_to(ANNOTATIONS).as_posix()) for path in paths]


def read(name: str, path: Path, images: Path | None = None) -> list[Annotation]:
    reader = FORMATS.find(name)
    return list(reader.read(path, images))


def recognised(path: Path) -> list[str]:
    """Names of the formats that recognise a file, the general ones only where no other does."""
    head = path.read_bytes()[: 64 * 1024] if path.is_file() else b""
    readers = {name: FORMATS.find(name) for name in FORMATS.names()}
    found = [name for name, reader in readers.items() if reader.recognise(path, head)]
    return [name for name in found if not readers[name].general] or found


def filled(shapes: Iterable[Shape], width: int, height: int) -> np.ndarray:
    """Union of shapes, bool [H,W], each pixel's centre tested on its own (even-odd)."""
    result = np.zeros((height, width), bool)
    for shape in shapes:
        for row in range(height):
            for column in range(width):
                result[row, column] |= inside(shape, column + 0.5, row + 0.5)
    return result


def inside(shape: Shape, x: float, y: float) -> bool:
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
    return False


def shoelace(points: Iterable[tuple[float, float]]) -> float:
    p = np.asarray(list(points), dtype=float)
    x, y = p[:, 0], p[:, 1]
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def area(shape: Shape) -> float:
    """Exact area of a shape; 0 for lines and points."""
    if shape.kind == "polygon":
        return shoelace(shape.points)
    if shape.kind == "ellipse":
        return math.pi * shape.points[1][0] * shape.points[1][1]
    return float(shape.mask.sum()) if shape.mask is not None else 0.0


def areas(annotations: Iterable[Annotation]) -> list[float]:
    """Area of every region (sum over its shapes), in the order of the file."""
    return [sum(map(area, region.shapes)) for a in annotations for region in a.regions]


@contextmanager
def bounded(seconds: float = 5.0, megabytes: float = 100.0) -> Iterator[None]:
    """The block takes no more than this time and Python memory."""
    tracemalloc.start()
    started = time.process_time()
    try:
        yield
    finally:
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
    assert time.process_time() - started < seconds
    assert peak < megabytes


def refused(name: str, path: Path, content: str | bytes, images: Path | None = None) -> UserError:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    FORMATS.find(name)  # importing it does not count
    with bounded(), pytest.raises(UserError) as caught:
        read(name, path, images)
    assert str(path) in str(caught.value.where)
    return caught.value
