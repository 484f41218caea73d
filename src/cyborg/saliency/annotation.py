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

    kind: `polygon` (points are the vertices; `holes` are further outlines cut out of it), `line`
    (open polyline), `point`, `ellipse` (points: centre, then the two semi-axes as one pair;
    rotation clockwise in degrees) or `mask` (a boolean array placed with its upper left corner at
    `points[0]`).
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
