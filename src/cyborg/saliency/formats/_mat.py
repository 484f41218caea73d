"""MATLAB files (version 5 to 7) read by SciPy, after a check that they hold what they claim.

SciPy allocates what a file's header asks for; a broken header can ask for any amount. So the
elements are walked first: every array must fit into the bytes that it comes with, and compressed
parts must not expand beyond a limit.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from cyborg.errors import UserError
from cyborg.saliency.formats import _limits

_EXPANDED = 2**30
_COMPRESSED, _MATRIX = 15, 14
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMERIC = range(6, 16)
_DEPTH = 20
# Bytes that the smallest element takes: its tag. An array needs one for each of its entries.
_TAG = 8


class _Broken(ValueError):
    pass


def recognise(head: bytes) -> bool:
    """Whether the file begins as MATLAB files of version 5 to 7.3 do."""
    return head.startswith(b"MATLAB ")


def read(path: Path) -> dict[str, Any]:
    """The variables of a .mat file, as scipy.io.loadmat gives them (structs as records, 2-D).

    Raises UserError where it is broken, of version 7.3 (HDF5), or holds other things than
    numbers, text, cells and structs.
    """
    data = _limits.read_bytes(path)
    if data.startswith(b"MATLAB 7.3"):
        raise UserError(
            "is of MATLAB's version 7.3", where=path, hint="save it with `save(…, '-v7')`"
        )
    try:
        if len(data) < 128 or data[126:128] not in (b"IM", b"MI"):
            raise _Broken("it has no header of version 5")
        order = "<" if data[126:128] == b"IM" else ">"
        _walk(data, 128, len(data), order, [_EXPANDED], 0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = scipy.io.loadmat(io.BytesIO(data), chars_as_strings=True)
    # SciPy raises almost anything on broken files (TypeError, IndexError, KeyError, zlib.error …).
    except Exception as error:
        raise UserError(
            f"is not a readable MATLAB file: {_limits.show(str(error))}", where=path
        ) from None
    return {key: value for key, value in found.items() if not key.startswith("__")}


def _walk(data: bytes, at: int, end: int, order: str, left: list[int], depth: int) -> None:
    """Check the elements in data[at:end]; `left`: bytes that may still be expanded."""
    if depth > _DEPTH:
        raise _Broken("nested too deeply")
    while at < end:
        kind, start, stop, at = _element(data, at, end, order)
        if kind == _COMPRESSED:
            expander = zlib.decompressobj()
            inside = expander.decompress(data[start:stop], left[0] + 1)
            left[0] -= len(inside)
            if left[0] < 0:
                raise _Broken(f"it expands to more than {_EXPANDED} bytes")
            _walk(inside, 0, len(inside), order, left, depth + 1)
            at = stop
        elif kind == _MATRIX:
            _matrix(data, start, stop, order, left, depth)


def _matrix(data: bytes, at: int, end: int, order: str, left: list[int], depth: int) -> None:
    if at == end:
        return
    _, start, stop, at = _element(data, at, end, order)
    if stop - start < 4:
        raise _Broken("an array without type")
    shape_class = struct.unpack_from(order + "I", data, start)[0] & 0xFF
    _, start, stop, at = _element(data, at, end, order)
    shape = struct.unpack_from(f"{order}{(stop - start) // 4}i", data, start)
    entries = 1
    for length in shape:
        if length < 0:
            raise _Broken("an array of negative size")
        entries = min(entries * length, 2**62)
    if shape_class not in (_CELL, _STRUCT, _CHAR) and shape_class not in _NUMERIC:
        raise _Broken("it holds something else than numbers, text, cells and structs")
    if shape_class == _STRUCT:
        for _ in range(2):  # the name of the array, the length of the names of the fields
            _, start, stop, at = _element(data, at, end, order)
        length = struct.unpack_from(order + "i", data, start)[0] if stop - start >= 4 else 0
        _, start, stop, _ = _element(data, at, end, order)
        entries *= max(1, (stop - start) // length) if length > 0 else 1
    if entries > (end - at) // (_TAG if shape_class in (_CELL, _STRUCT) else 1):
        raise _Broken("an array is larger than the file")
    if shape_class in (_CELL, _STRUCT):
        _walk(data, at, end, order, left, depth + 1)


def _element(data: bytes, at: int, end: int, order: str) -> tuple[int, int, int, int]:
    """(type, first byte, end, place of the next element) of the element at `at`."""
    if at + 8 > end:
        raise _Broken("cut short")
    kind, size = struct.unpack_from(order + "II", data, at)
    if kind >> 16:  # small element: size and type in four bytes, content in the next four
        if kind >> 16 > 4:
            raise _Broken("a small element of more than four bytes")
        return kind & 0xFFFF, at + 4, at + 4 + (kind >> 16), at + 8
    if size > end - at - 8:
        raise _Broken("an element is longer than the file")
    stop = at + 8 + size
    following = stop if kind == _COMPRESSED else stop + (-size) % 8
    return kind, at + 8, stop, min(following, end) if following > end else following


def field(value: Any, name: str, where: str) -> np.ndarray:
    """A field of a 1×1 struct (SciPy's record array); UserError where there is none."""
    while isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
        value = value.reshape(-1)[0]
    names = getattr(getattr(value, "dtype", None), "names", None) or ()
    if name not in names or value.size != 1:
        raise UserError(f"has no field `{name}`", where=where)
    return np.asarray(value.reshape(-1)[0][name])


def numbers(value: np.ndarray, where: str) -> np.ndarray:
    """A numeric array as float64, any shape; UserError for others."""
    while value.dtype == object and value.size == 1:
        value = np.asarray(value.reshape(-1)[0])
    if value.dtype.kind not in "iufb":
        raise UserError("is not an array of numbers", where=where)
    return value.astype(np.float64)


def text(value: np.ndarray, where: str) -> str:
    """Text; UserError for others."""
    while value.dtype == object and value.size == 1:
        value = np.asarray(value.reshape(-1)[0])
    if value.dtype.kind != "U" or value.size != 1:
        raise UserError("is not text", where=where)
    return str(value.reshape(-1)[0])
