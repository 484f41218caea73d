"""Read MATLAB files (version 5 to 7): numbers, text, cells and structs, each checked first.

SciPy's reader is not used, because it crashes the whole process on some broken files. No handler
can turn that into a message. The tests compare this reader with it on real files.
Source: MathWorks, "MAT-File Format", level 5.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cyborg.common.errors import UserError
from cyborg.saliency.formats import _limits

# Most bytes that the compressed parts of a file may have together.
EXPANDED = 2**30
_COMPRESSED, _MATRIX = 15, 14
_CELL, _STRUCT, _CHAR = 1, 2, 4
_DEPTH = 20
# Type codes of stored numbers. Classes 6 to 15 are arrays of numbers.
_STORED = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
_NUMERIC = range(6, 16)
_TEXTS = {1: "latin-1", 2: "latin-1", 16: "utf-8", 4: "utf-16", 17: "utf-16", 18: "utf-32"}


@dataclass(frozen=True)
class Struct:
    """Hold a struct array: the fields of each element, in column order."""

    elements: list[dict[str, Any]]


Value = np.ndarray | str | list[Any] | Struct
"""Numbers with their shape, text, the entries of a cell array in column order, or a struct."""


class _Broken(ValueError):
    pass


def is_matlab_file(head: bytes) -> bool:
    """Tell whether a file begins as MATLAB files of version 5 to 7.3 do."""
    return head.startswith(b"MATLAB ")


def read_variables(path: Path) -> dict[str, Value]:
    """Return the variables of a .mat file by name.

    Raises UserError if the file is broken, is of version 7.3 (HDF5), or holds anything but
    numbers, text, cells and structs.
    """
    data = _limits.read_bytes(path)
    if data.startswith(b"MATLAB 7.3"):
        raise UserError(
            "is of MATLAB's version 7.3", location=path, hint="save it with `save(…, '-v7')`"
        )
    try:
        if len(data) < 128 or data[126:128] not in (b"IM", b"MI"):
            raise _Broken("it has no header of version 5")
        return _read_variables(data, "<" if data[126:128] == b"IM" else ">")
    # Broken bytes lead to struct.error, zlib.error, UnicodeDecodeError and MemoryError.
    except (_Broken, struct.error, zlib.error, ValueError, MemoryError) as error:
        raise UserError(
            f"is not a readable MATLAB file: {_limits.quote_value(str(error))}", location=path
        ) from None


def _read_variables(data: bytes, order: str) -> dict[str, Value]:
    found: dict[str, Value] = {}
    at, left = 128, EXPANDED
    while at < len(data):
        kind, start, stop, at = _read_element(data, at, len(data), order)
        inside, first, last = data, start, stop
        if kind == _COMPRESSED:
            inside = zlib.decompressobj().decompress(data[start:stop], left + 1)
            left -= len(inside)
            if left < 0:
                raise _Broken(f"it expands to more than {EXPANDED} bytes")
            kind, first, last, _ = _read_element(inside, 0, len(inside), order)
        if kind != _MATRIX:
            raise _Broken("it holds something else than variables")
        name, value = _read_array(inside, first, last, order, 0)
        found[name] = value
    return found


def _read_array(data: bytes, at: int, end: int, order: str, depth: int) -> tuple[str, Value]:
    """Return the name and value of the array in data[at:end]."""
    if at == end:
        return "", np.zeros((0, 0))
    if depth > _DEPTH:
        raise _Broken("nested too deeply")
    _, start, stop, at = _read_element(data, at, end, order)
    kind = struct.unpack_from(order + "I", data[start:stop])[0] & 0xFF
    _, start, stop, at = _read_element(data, at, end, order)
    shape = struct.unpack(f"{order}{(stop - start) // 4}i", data[start:stop])
    if len(shape) < 2 or len(shape) > 8 or min(shape) < 0:
        raise _Broken("an array of a shape that cannot be")
    entries = 1
    for length in shape:
        entries *= length
    if entries > end:  # every entry takes a byte or more
        raise _Broken("an array is larger than the file")
    _, start, stop, at = _read_element(data, at, end, order)
    name = data[start:stop].decode("latin-1")
    if kind == _CELL:
        cells: list[Value] = []
        for _ in range(entries):
            value, at = _read_inner_array(data, at, end, order, depth)
            cells.append(value)
        return name, cells
    if kind == _STRUCT:
        return name, _read_struct(data, at, end, order, depth, entries)
    if kind == _CHAR:
        return name, _read_text(data, at, end, order)
    if kind not in _NUMERIC:
        raise _Broken("it holds something else than numbers, text, cells and structs")
    return name, _read_numbers(data, at, end, order, shape, entries)


def _read_inner_array(data: bytes, at: int, end: int, order: str, depth: int) -> tuple[Value, int]:
    kind, start, stop, at = _read_element(data, at, end, order)
    if kind != _MATRIX:
        raise _Broken("a cell or field that is no array")
    return _read_array(data, start, stop, order, depth + 1)[1], at


def _read_struct(data: bytes, at: int, end: int, order: str, depth: int, entries: int) -> Struct:
    _, start, stop, at = _read_element(data, at, end, order)
    (length,) = struct.unpack(order + "i", data[start:stop])
    _, start, stop, at = _read_element(data, at, end, order)
    if length < 1 or stop - start > 2**20:
        raise _Broken("a struct whose fields have no names")
    names = [
        data[k : min(k + length, stop)].split(b"\0")[0].decode("latin-1")
        for k in range(start, stop, length)
    ]
    elements = []
    for _ in range(entries):
        fields = {}
        for name in names:
            fields[name], at = _read_inner_array(data, at, end, order, depth)
        elements.append(fields)
    return Struct(elements)


def _read_text(data: bytes, at: int, end: int, order: str) -> str:
    if at == end:
        return ""
    kind, start, stop, _ = _read_element(data, at, end, order)
    if kind not in _TEXTS:
        raise _Broken("text in an unknown code")
    code = _TEXTS[kind]
    if code in ("utf-16", "utf-32"):
        code += "-le" if order == "<" else "-be"
    return data[start:stop].decode(code)


def _read_numbers(
    data: bytes, at: int, end: int, order: str, shape: tuple[int, ...], entries: int
) -> np.ndarray:
    kind, start, stop, _ = _read_element(data, at, end, order)
    if kind not in _STORED:
        raise _Broken("numbers of an unknown type")
    values = np.frombuffer(data[start:stop], np.dtype(order + _STORED[kind]))
    if values.size != entries:
        raise _Broken("an array that has not as many numbers as it claims")
    return values.astype(np.float64).reshape(shape, order="F")


def _read_element(data: bytes, at: int, end: int, order: str) -> tuple[int, int, int, int]:
    """Return (type, first byte, end, place of the next element) of the element at `at`."""
    if at + 8 > end:
        raise _Broken("cut short")
    kind, size = struct.unpack_from(order + "II", data, at)
    if kind >> 16:  # small element: size and type in four bytes, content in the next four
        if kind >> 16 > 4:
            raise _Broken("a small element of more than four bytes")
        return kind & 0xFFFF, at + 4, at + 4 + (kind >> 16), at + 8
    if size > end - at - 8:
        raise _Broken("an element is longer than what holds it")
    stop = at + 8 + size
    # Elements are padded to eight bytes, compressed ones are not.
    return kind, at + 8, stop, stop if kind == _COMPRESSED else min(stop + (-size) % 8, end)


def unwrap_cells(value: Value | None, location: str) -> Value:
    """Return the content of a cell or list of one entry, however often it is wrapped."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None:
        raise UserError("is missing", location=location)
    return value


def read_field(value: Value | None, name: str, location: str) -> Value:
    """Return a field of a struct of one element, or raise UserError."""
    value = unwrap_cells(value, location)
    if not isinstance(value, Struct) or len(value.elements) != 1 or name not in value.elements[0]:
        raise UserError(f"has no field `{name}`", location=location)
    found: Value = value.elements[0][name]
    return found


def as_numbers(value: Value, location: str) -> np.ndarray:
    """Return an array of numbers, float64, or raise UserError."""
    value = unwrap_cells(value, location)
    if not isinstance(value, np.ndarray):
        raise UserError("is not an array of numbers", location=location)
    return value


def as_text(value: Value, location: str) -> str:
    """Return a text, or raise UserError."""
    value = unwrap_cells(value, location)
    if not isinstance(value, str):
        raise UserError("is not text", location=location)
    return value
