"""Read tables of gaze, fixations or raw samples in CSV, and check the arrays that they become."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cyborg.common.errors import UserError
from cyborg.saliency.annotation import Annotation
from cyborg.saliency.formats import _csv, _limits

Row = dict[str, str]
_IMAGE = ("image", "filename", "file_name", "stimulus", "img")
_SUBJECT = ("subject", "participant", "observer", "annotator", "worker_id")
# Pairs of columns (x, y) and the number that is added to reach the model's pixels.
_POSITIONS = (("x", "y", 0.0), ("col0", "row0", 0.5), ("col1", "row1", -0.5))
_BARE = {"duration", "time", "timestamp", "t", "start", "end", "row", "col", "column"}
_TIMES = ("time", "timestamp", "t")
# Columns that only a table of gaze has.
_OF_GAZE = frozenset(
    [*_SUBJECT, "order"]
    + [f"{n}_{u}" for n in ("duration", "start", "end", *_TIMES) for u in ("ms", "s")]
)
_SIZES = (("width", "height"), ("w", "h"), ("box_width", "box_height"))
_NOTHING = {"", "nan", "na", "n/a", "null", "none", "."}


def is_gaze_table(columns: frozenset[str]) -> bool:
    """Tell whether these columns are those of a table of gaze."""
    placed = any({x, y} <= columns for x, y, _ in _POSITIONS) or {"row", "col"} <= columns
    return placed and bool(columns & set(_IMAGE)) and "region_shape_attributes" not in columns


def convert_positions(coord: np.ndarray, base: int) -> np.ndarray:
    """Return fixations [n,3] from rows and columns [n,2] that are counted from `base`.

    The columns of the result are x, y (pixels) and the duration, which is unknown (NaN).
    """
    unknown = np.full(len(coord), np.nan)
    return np.stack([coord[:, 1] - base + 0.5, coord[:, 0] - base + 0.5, unknown], axis=1)


def check_fixations(values: np.ndarray, location: str) -> None:
    """Raise UserError for positions beyond any screen and for negative durations.

    NaN is lost gaze, and passes.
    """
    with np.errstate(invalid="ignore"):
        if (np.abs(values[:, :2]) > _limits.MAX_COORDINATE).any():
            raise UserError("has positions far beyond any screen", location=location)
        if (values[:, 2] < 0).any() or np.isinf(values[:, 2]).any():
            raise UserError("has negative or infinite durations", location=location)


def read_table(path: Path) -> Iterator[Annotation]:
    """Yield an Annotation per image and subject of a table, in the order of the file."""
    found: dict[tuple[str, str], list[tuple[float, float, float, float]]] = {}
    sizes: dict[tuple[str, str], tuple[int, int] | None] = {}
    names: set[str] = set()
    columns: frozenset[str] = frozenset()
    samples = False
    for location, row in _csv.read_rows(path, is_gaze_table, "a table of gaze"):
        if not columns:
            columns = frozenset(row)
            _check_units(columns, f"{path}:1")
            _refuse_boxes(columns, f"{path}:1")
            samples = _holds_samples(columns)
        name = _csv.require_cell(row, location, *_IMAGE)
        if name not in names:
            names.add(_limits.check_name(name, location))
        key = name, next((row[c].strip() for c in _SUBJECT if c in row), "")
        size = _read_size(row, location)
        if sizes.setdefault(key, size) != size:
            raise UserError(
                "states another size of the image than the rows before", location=location
            )
        order = _read_number(row, "order", location)
        x, y, third = _read_position(row, samples, location)
        found.setdefault(key, []).append((order, x, y, third))
    for key, rows in found.items():
        values = np.array(rows, dtype=np.float64)
        if "order" in columns:
            values = values[np.argsort(values[:, 0], kind="stable")]
        if not samples:
            check_fixations(values[:, 1:], f"{path}: {_limits.quote_value(key[0])}")
        yield Annotation(
            key[0],
            sizes[key],
            annotator=key[1],
            fixations=None if samples else values[:, 1:],
            samples=values[:, 1:] if samples else None,
        )


def _holds_samples(columns: frozenset[str]) -> bool:
    """Tell whether the rows are raw samples: they have a time, but no duration and no end."""
    timed = any(f"{name}_{unit}" in columns for name in _TIMES for unit in ("ms", "s"))
    return timed and not columns & {"duration_ms", "duration_s", "end_ms", "end_s"}


def _check_units(columns: frozenset[str], location: str) -> None:
    """Raise UserError for a column whose name does not state its unit or origin."""
    bare = sorted(columns & _BARE)
    if bare:
        raise UserError(
            f"the column `{bare[0]}` does not tell its unit or where it counts from",
            location=location,
            hint="times: `duration_ms`, `duration_s`, `start_ms`, `end_ms`, `time_ms`, `time_s`. "
            "Positions: `x`, `y`, or `row1`, `col1` (from 1), `row0`, `col0` (from 0)",
        )


def _refuse_boxes(columns: frozenset[str], location: str) -> None:
    """Raise UserError for a table of boxes: positions with a size, and nothing of gaze."""
    sized = any({width, height} <= columns for width, height in _SIZES)
    if sized and not columns & _OF_GAZE:
        raise UserError(
            "has positions and sizes, but no subject, order, time or duration, so it may be a "
            "table of boxes, which is not read",
            location=location,
            hint="for gaze, add a column such as `duration_ms` or `subject`. For boxes, use a "
            "format of docs/annotations.md",
        )


def _read_size(row: Row, location: str) -> tuple[int, int] | None:
    """Return the size of the image that a row states, or None."""
    if "width" not in row or "height" not in row:
        return None
    width, height = (
        _limits.parse_number(row[key], f"{location}: {key}") for key in ("width", "height")
    )
    return _limits.check_size(width, height, location)


def _read_number(row: Row, column: str, location: str) -> float:
    """Return the number in a column. NaN if it is absent or says that nothing was measured."""
    text = row.get(column, "")
    try:
        value = float(text)
        if -1e15 <= value <= 1e15:
            return value
    except ValueError:
        pass
    if text.strip().lower() in _NOTHING:
        return float("nan")
    return _limits.parse_number(text, f"{location}: {column}", low=-1e15, high=1e15)


def _read_seconds(row: Row, name: str, location: str) -> float:
    """Return a time in seconds from the column that holds it. NaN if there is none."""
    for unit, scale in (("s", 1.0), ("ms", 1000.0)):
        if f"{name}_{unit}" in row:
            return _read_number(row, f"{name}_{unit}", location) / scale
    return float("nan")


def _read_position(row: Row, samples: bool, location: str) -> tuple[float, float, float]:
    """Return x, y (pixels), and the duration of a fixation or time of a sample (seconds)."""
    for x, y, shift in _POSITIONS:
        if x in row and y in row:
            across, down = (
                _read_number(row, x, location) + shift,
                _read_number(row, y, location) + shift,
            )
            break
    else:
        raise UserError("there are no columns `x` and `y`", location=location)
    if max(abs(across), abs(down)) > _limits.MAX_COORDINATE:
        raise UserError("is a position far beyond any screen", location=location)
    if samples:
        times = [_read_seconds(row, name, location) for name in _TIMES]
        return across, down, next((time for time in times if time == time), float("nan"))
    duration = _read_seconds(row, "duration", location)
    if duration != duration:
        duration = _read_seconds(row, "end", location) - _read_seconds(row, "start", location)
    if duration < 0:
        raise UserError("ends before it starts", location=location)
    return across, down, duration
