"""Phantom: one JSON file per source, several annotators per image, polygons in pixels.

Written by cyborg/phantom/draw.py and described in docs/phantom.md. Points are pixels, x before y,
from the upper left corner of the image. Every polygon is one region; its label is the part of the
face. `truth` (what the generator did) is not read: it is no human's knowledge.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cyborg.common.errors import UserError
from cyborg.common.files import read_json
from cyborg.saliency.annotation import Annotation, Point, Region, Shape
from cyborg.saliency.formats import _limits
from cyborg.saliency.formats._base import Format
from cyborg.saliency.formats._example import Example


def recognise(path: Path, head: bytes) -> bool:
    """Whether a file is of this format, told by the key `format` in its first bytes `head`."""
    return path.suffix.lower() == ".json" and bool(re.search(rb'"format":\s*"phantom"', head))


def read(path: Path, images: Path | None = None) -> Iterator[Annotation]:
    """Yield one Annotation per image and annotator, in the order of the file.

    Raises UserError, with file, image and field, for anything that is not as documented.
    """
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != "phantom":
        raise UserError(
            "is not a phantom annotation file",
            where=path,
            hint='its first key is "format": "phantom"; see docs/phantom.md',
        )
    if content.get("version") != 1:
        raise UserError(
            f"version {content.get('version')!r} is not known",
            where=path,
            hint="this program reads version 1; draw the phantoms again",
        )
    for row, image in enumerate(_list(content, "images", str(path))):
        where = f"{path}: images[{row}]"
        file = _limits.name(_get(image, "file", str, where), where)
        size = _limits.size(
            _get(image, "width", int, where), _get(image, "height", int, where), where
        )
        for number, said in enumerate(_list(image, "annotations", where)):
            place = f"{where}.annotations[{number}]"
            yield Annotation(
                image=file,
                size=size,
                regions=tuple(
                    _region(region, f"{place}.regions[{k}]")
                    for k, region in enumerate(_list(said, "regions", place))
                ),
                annotator=_get(said, "annotator", str, place),
                decision=_get(said, "decision", str, place),
                correct=_get(said, "correct", bool, place),
                seconds=_limits.number(
                    _get(said, "seconds", (int, float), place), f"{place}.seconds", low=0, high=1e12
                ),
            )


def _region(region: Any, where: str) -> Region:
    label = _get(region, "label", str, where)
    points = tuple(_point(point, f"{where}.polygon") for point in _list(region, "polygon", where))
    if len(points) < 3:
        raise UserError(
            f"a polygon of {len(points)} points has no area",
            where=where,
            hint="three points or more are needed",
        )
    return Region((Shape("polygon", points, label=label),), label=label)


def _point(point: Any, where: str) -> Point:
    good = (
        isinstance(point, list)
        and len(point) == 2
        and all(
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and abs(value) <= _limits.MAX_COORDINATE
            for value in point
        )
    )
    if not good:
        raise UserError(
            f"`{json.dumps(point)[:60]}` is not a point",
            where=where,
            hint="a point is [x, y] in pixels",
        )
    return float(point[0]), float(point[1])


def _get(record: Any, key: str, kind: Any, where: str) -> Any:
    value = record.get(key) if isinstance(record, dict) else None
    wrong_bool = isinstance(value, bool) and kind is not bool
    if not isinstance(value, kind) or wrong_bool:
        raise UserError(
            f"`{key}` is missing or of the wrong type: `{value!r}`",
            where=where,
            hint="see docs/phantom.md for the format",
        )
    return value


def _list(record: Any, key: str, where: str) -> list[Any]:
    values: list[Any] = _get(record, key, list, where)
    return values


EXAMPLE = Example(
    {
        "phantom.json": """{
            "format": "phantom",
            "version": 1,
            "images": [{
                "file": "drawing.png",
                "width": 7,
                "height": 5,
                "annotations": [{
                    "annotator": "a1",
                    "decision": "fake",
                    "correct": true,
                    "seconds": 2.5,
                    "regions": [
                        {"label": "eye", "polygon": [[0, 0], [4, 0], [0, 3]]},
                        {"label": "mouth", "polygon": [[4, 3], [6, 3], [6, 5], [4, 5]]}
                    ]
                }]
            }]
        }"""
    }
)

FORMAT = Format(
    recognise,
    read,
    example=EXAMPLE,
    title="Phantom",
    tools="The phantom faces of this project (JSON)",
    reads="Polygons. Also annotator, decision, whether it was correct, and time.",
    size="Stated.",
    skips="What the generator did (`truth`).",
    refuses="Versions other than 1.",
)
