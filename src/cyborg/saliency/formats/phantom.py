"""Phantom: one JSON file per source, several annotators per image, polygons in pixels.

cyborg/phantom/draw.py writes it, and docs/phantom.md describes it. Points are pixels, x before y,
from the upper left corner of the image. Every polygon is one region, and its label is the part of
the face. `truth` is not read: it records the work of the generator, which no human knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from cyborg.common.errors import UserError
from cyborg.saliency.annotation import Annotation, Region
from cyborg.saliency.formats import _json, _limits, _shapes
from cyborg.saliency.formats._base import Format
from cyborg.saliency.formats._example import Example
from cyborg.saliency.formats._json import Node


def recognise(path: Path, head: bytes) -> bool:
    """Tell whether the key `format` in the first bytes names this format."""
    return path.suffix.lower() == ".json" and bool(re.search(rb'"format":\s*"phantom"', head))


def read(path: Path, images: Path | None = None) -> Iterator[Annotation]:
    """Yield one Annotation per image and annotator, in the order of the file.

    images: not needed. Raises UserError, with file, image and field, for anything that is not as
    documented.
    """
    try:
        yield from _read_images(_json.read_file(path))
    except UserError as error:
        hint = error.hint or "docs/phantom.md describes the format"
        raise UserError(error.what, location=error.location, hint=hint) from None


def _read_images(root: Node) -> Iterator[Annotation]:
    if root.get("format").value != "phantom":
        raise root.make_error(
            "is not a phantom annotation file",
            hint='its first key is "format": "phantom" (see docs/phantom.md)',
        )
    if root.get("version").value != 1:
        raise root.make_error(
            f"version {_limits.quote_value(root.get('version').value)} is not known",
            hint="this program reads version 1: draw the phantoms again",
        )
    for image in root.get("images").elements():
        file = image.get("file")
        name = _limits.check_name(file.as_text(), file.location)
        size = _json.read_size(image.get("width"), image.get("height"))
        for said in image.get("annotations").elements():
            yield Annotation(
                image=name,
                size=size,
                regions=tuple(_read_region(region) for region in said.get("regions").elements()),
                annotator=said.get("annotator").as_text(),
                decision=said.get("decision").as_text(),
                correct=said.get("correct").as_flag(),
                seconds=said.get("seconds").as_number(0, 1e12),
            )


def _read_region(region: Node) -> Region:
    label, outline = region.get("label").as_text(), region.get("polygon")
    return Region((_shapes.make_polygon(outline.as_points(), label, outline.location),), label)


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
