"""Write the segmentation of phantom faces: the outline of each part, as a face parser gives it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from cyborg.phantom.canvas import Ellipse, Pose
from cyborg.phantom.face import PARTS

VERTICES = 16


def trace_parts(pose: Pose, parts: dict[str, Ellipse], size: int) -> dict[str, list[float]]:
    """Return the outline of each visible part: x0, y0, x1, y1, … in pixels, inside the image."""
    angles = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    drawn = {
        name: pose.trace_ellipse(parts[name], angles, np.ones(VERTICES)).clip(0, size).round(1)
        for name in sorted(parts)
    }
    return {name: [float(value) for value in points.ravel()] for name, points in drawn.items()}


def format_segmentation(
    records: list[dict[str, Any]], segments: list[dict[str, list[float]]]
) -> str:
    """Return the text of a COCO file of all parts of all images, one line per annotation.

    records: with `file`, `width` and `height`. segments: the result of `trace_parts` for each.
    """
    numbers = {name: number for number, name in enumerate(sorted(PARTS), start=1)}
    images = [
        {"id": n, "file_name": one["file"], "width": one["width"], "height": one["height"]}
        for n, one in enumerate(records)
    ]
    annotations = [
        {"image_id": image, "category_id": numbers[name], "segmentation": [points], "iscrowd": 0}
        for image, parts in enumerate(segments)
        for name, points in parts.items()
    ]
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    lines = [json.dumps({"id": n, **record}) for n, record in enumerate(annotations)]
    head = json.dumps({"categories": categories, "images": images})[:-1]
    return f'{head},\n"annotations": [\n' + ",\n".join(lines) + "\n]}\n"
