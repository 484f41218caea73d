"""Recorded gaze and mouse: fixations or raw samples as CSV, OSIE (.mat), SALICON (.json).

A CSV table has one row per fixation or sample. Its columns are `image`, `x` and `y` (pixels, the
centre of the upper left one is at 0.5, 0.5) and, if known, `subject`, `width`, `height`, `order`.
Fixations have `duration_ms` or `duration_s`, or `start_ms` and `end_ms` (or `_s`). Raw samples have
`time_ms` or `time_s`, and NaN or nothing if the gaze was lost. Instead of x and y there may be
`row1`, `col1` (pixels counted from 1) or `row0`, `col0` (from 0). Units and bases are part of the
name, so that nothing is guessed.

OSIE and SALICON count rows and columns from 1, row first. Eye fixations of OSIE are x, y on
800×600. Source: NUS-VIP/predicting-human-gaze-beyond-pixels, NUS-VIP/salicon-api.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cyborg.common.errors import UserError
from cyborg.saliency.annotation import Annotation
from cyborg.saliency.formats import _csv, _gaze, _json, _limits, _mat
from cyborg.saliency.formats._base import Format
from cyborg.saliency.formats._example import Example
from cyborg.saliency.formats._json import Node

# Size of every image of OSIE. The files do not state it.
OSIE = (800, 600)


def recognise(path: Path, head: bytes) -> bool:
    """Tell whether a file begins as a MATLAB file, SALICON's JSON or a table of gaze."""
    if _mat.is_matlab_file(head):
        return True
    seen = _json.sketch_keys(head)
    if seen.paths:
        return seen.kind == "fixations" or seen.has_path("annotations", "[]", "fixations")
    return _gaze.is_gaze_table(_csv.sketch_columns(head))


def read(path: Path, images: Path | None = None) -> Iterator[Annotation]:
    """Yield an Annotation per image and subject, in the order of the file.

    images: not needed. Raises UserError, with file, record and field, for anything that cannot be
    read.
    """
    with path.open("rb") as handle:
        start = handle.read(4096)
    if _mat.is_matlab_file(start):
        yield from _read_osie(path)
    elif start.lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n")[:1] in (b"{", b"["):
        yield from _read_salicon(path)
    else:
        yield from _gaze.read_table(path)


def _read_osie(path: Path) -> Iterator[Annotation]:
    content = _mat.read_variables(path)
    found = content.get("fixations")
    if isinstance(found, _mat.Struct):
        yield from _read_osie_mouse(found, path)
        return
    if not isinstance(found, list):
        raise UserError("has no cell array or struct `fixations`", location=path)
    for number, cell in enumerate(found, start=1):
        location = f"{path}: fixations{{{number}}}"
        name = _limits.check_name(
            _mat.as_text(_mat.read_field(cell, "img", location), f"{location}.img"), location
        )
        subjects = _mat.read_field(cell, "subjects", location)
        records = subjects if isinstance(subjects, list) else [subjects]
        for subject, record in enumerate(records, start=1):
            place = f"{location}.subjects{{{subject}}}"
            columns = [
                _mat.as_numbers(_mat.read_field(record, key, place), f"{place}.{key}").reshape(-1)
                for key in ("fix_x", "fix_y", "fix_duration")
            ]
            if len({len(column) for column in columns}) != 1:
                raise UserError("has arrays of different lengths", location=place)
            values = np.stack(columns, axis=1)
            values[:, 2] /= 1000
            _gaze.check_fixations(values, place)
            yield Annotation(name, OSIE, annotator=str(subject), fixations=values)


def _read_osie_mouse(record: _mat.Struct, path: Path) -> Iterator[Annotation]:
    """Yield the mouse positions of OSIE, row and column of each sample, per subject.

    There is one file per image, which bears its name.
    """
    location = f"{path}: fixations"
    coord = _mat.as_numbers(_mat.read_field(record, "coord", location), f"{location}.coord")
    subject, order = (
        _mat.as_numbers(_mat.read_field(record, key, location), f"{location}.{key}").reshape(-1)
        for key in ("subj", "order")
    )
    if coord.ndim != 2 or coord.shape[1] != 2 or not len(coord) == len(subject) == len(order):
        raise UserError("has arrays that do not fit together", location=location)
    for who in np.unique(subject[np.isfinite(subject)]):
        chosen = np.flatnonzero(subject == who)
        chosen = chosen[np.argsort(order[chosen], kind="stable")]
        values = _gaze.convert_positions(coord[chosen], base=1)
        _gaze.check_fixations(values, location)
        yield Annotation(path.stem, OSIE, annotator=f"{who:g}", fixations=values)


def _read_salicon(path: Path) -> Iterator[Annotation]:
    root = _json.read_file(path)
    images: dict[object, Node] = {}
    for image in root.get("images").elements():
        images[image.get("id").as_label()] = image
    seen = set()
    for said in root.get("annotations").elements():
        key = said.get("image_id").as_label()
        if key not in images:
            raise said.get("image_id").make_error(f"there is no image {_limits.quote_value(key)}")
        seen.add(key)
        place = said.get("fixations")
        points = np.array(place.as_points(), dtype=np.float64).reshape(-1, 2)
        worker = said.get("worker_id")
        yield Annotation(
            *_read_image(images[key]),
            annotator=(said.get("id") if worker.is_missing else worker).as_label(),
            fixations=_gaze.convert_positions(points, base=1),
        )
    for number, image in images.items():
        if number not in seen:
            yield Annotation(*_read_image(image), fixations=np.zeros((0, 3)))


def _read_image(image: Node) -> tuple[str, tuple[int, int]]:
    stated = image.get("file_name")
    return (
        _limits.check_name(stated.as_text(), stated.location),
        _json.read_size(image.get("width"), image.get("height")),
    )


EXAMPLE = Example(
    {
        "gaze.csv": (
            "image,width,height,subject,x,y,duration_ms\n"
            "drawing.png,7,5,anna,0.5,1.5,100\n"
            "drawing.png,7,5,anna,4.5,3.5,250\n"
        )
    },
    marked=".......\n1......\n.......\n....1..\n.......\n",
    labels=(),
)

FORMAT = Format(
    recognise,
    read,
    example=EXAMPLE,
    title="Recorded gaze",
    tools="Eye trackers and mouse tracking: tables (CSV), OSIE (.mat) and SALICON (.json)",
    reads="Fixations or raw samples, per subject, with times if the file has them.",
    size=(
        "Stated in the columns `width` and `height` of a table and in SALICON. Images of OSIE "
        "have 800×600 pixels."
    ),
    skips="Lost gaze (empty cells and NaN).",
    refuses=(
        "Columns whose name does not tell the unit, negative durations, and positions far beyond "
        "any screen."
    ),
)
