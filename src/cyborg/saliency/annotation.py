"""Define the one form that every annotation format is read into."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

Point = tuple[float, float]


@dataclass(frozen=True)
class Shape:
    """One drawn shape, in pixels of the original image: x before y, from its upper left corner.

    The centre of the upper left pixel is at (0.5, 0.5).

    The kinds are:

    polygon: `points` are its vertices, and `holes` are further outlines cut out of it.
    line: `points` are the vertices of an open polyline.
    point: each of `points` is one.
    ellipse: `points` are its centre, then its two semi-axes as one pair. `rotation` is clockwise,
    in degrees.
    mask: `mask` is a boolean array [h,w] whose upper left corner is at `points[0]`.

    width: of lines and points, in pixels, or 0 if the format does not state it.
    """

    kind: Literal["polygon", "line", "point", "ellipse", "mask"]
    points: tuple[Point, ...]
    label: str = ""
    rotation: float = 0.0
    width: float = 0.0
    holes: tuple[tuple[Point, ...], ...] = ()
    mask: np.ndarray | None = None


@dataclass(frozen=True)
class Region:
    """One thing that one annotator marked: the union of its shapes."""

    shapes: tuple[Shape, ...]
    label: str = ""


@dataclass(frozen=True)
class Annotation:
    """Everything that one annotator recorded for one image.

    image: the name as the file states it.
    size: (width, height) in pixels, or None if the format does not state it.
    decision: the class the annotator chose, or "" if nobody asked. correct: whether it was right,
    None if that is not known.
    heat: a ready-made map [H,W], float32, 0..1, instead of regions. heat_file: a grey picture that
    holds it and is decoded only when it is needed.
    seconds: time spent on the annotation, NaN if unknown.
    fixations: float64 [n,3]: x, y in pixels and duration in seconds (NaN if unknown), in the order
    of viewing. samples: float64 [n,3]: x, y in pixels and time in seconds. This is raw gaze from
    which fixations are found. Both may hold points off the image or NaN (lost gaze), which are
    left out when maps are made.
    left_out: what the file holds for this image and no map can show, one reason for each part, such
    as "cuboid". The commands and the pipeline count and print them.
    """

    image: str
    size: tuple[int, int] | None
    regions: tuple[Region, ...] = ()
    annotator: str = ""
    decision: str = ""
    correct: bool | None = None
    heat: np.ndarray | None = field(default=None, compare=False)
    seconds: float = float("nan")
    heat_file: Path | None = None
    fixations: np.ndarray | None = field(default=None, compare=False)
    samples: np.ndarray | None = field(default=None, compare=False)
    left_out: tuple[str, ...] = ()
