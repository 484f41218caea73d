"""SALICON results: ready-made maps as base64 pictures in one JSON file, by number of the image.

The file is a list of records with `image_id` and `saliency_map` (grey, 8 or 16 bits, full scale is
1). The number is the name of the image. Source: NUS-VIP/salicon-api, results format.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cyborg.saliency.annotation import Annotation
from cyborg.saliency.formats import _images, _json, _limits
from cyborg.saliency.formats._base import Format
from cyborg.saliency.formats._example import Example, encode_png

_FULL = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0}


def recognise(path: Path, head: bytes) -> bool:
    """Tell whether the beginning of a file shows a list of maps."""
    return _json.sketch_keys(head).has_path("[]", "saliency_map")


def read(path: Path, images: Path | None = None) -> Iterator[Annotation]:
    """Yield an Annotation with `heat` per record, in the order of the file.

    images: not needed. Raises UserError, with file and record, for pictures that are not grey.
    """
    for record in _json.read_file(path).elements():
        number, stored = record.get("image_id"), record.get("saliency_map")
        name = _limits.check_name(number.as_label(), number.location)
        pixels = _images.decode_picture(
            _images.decode_base64(stored.as_text(), stored.location),
            stored.location,
            ("PNG", "JPEG"),
        )
        if pixels.ndim != 2 or pixels.dtype not in _FULL:
            raise stored.make_error("is not a grey picture of 8 or 16 bits")
        heat = (pixels / _FULL[pixels.dtype]).astype(np.float32)
        yield Annotation(name, (heat.shape[1], heat.shape[0]), heat=heat)


_HEIGHTS = [[0, 51, 102, 51, 0], [0, 102, 204, 102, 0], [0, 0, 51, 0, 0]]
_PICTURE = base64.b64encode(encode_png(np.array(_HEIGHTS, dtype=np.uint8))).decode()
EXAMPLE = Example(
    {"results.json": json.dumps([{"image_id": 7, "saliency_map": _PICTURE}])},
    marked=".111.\n.111.\n..1..\n",
    labels=(),
    image="7",
)

FORMAT = Format(
    recognise,
    read,
    example=EXAMPLE,
    title="SALICON results",
    tools="SALICON results: maps as base64 pictures in one file (JSON)",
    reads="The map itself, 8 or 16 bits.",
    size="That of the map.",
    refuses="Pictures that are not grey.",
)
