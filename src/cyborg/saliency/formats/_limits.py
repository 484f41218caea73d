"""Check values against limits, so that no file can ask for unbounded memory or time."""

from __future__ import annotations

import math
import reprlib
from pathlib import Path
from typing import Any

from cyborg.common.decode import MAX_PIXELS as MAX_PIXELS
from cyborg.common.errors import UserError

# Largest annotation file that is read, bytes.
MAX_BYTES = 512 * 2**20
# Largest width or height that a file may claim.
MAX_SIDE = 1_000_000
# Largest coordinate, pixels, either sign.
MAX_COORDINATE = 1e7
# Largest sum of decoded mask pixels of one annotation.
MAX_MASKS = 1_000_000_000

_short = reprlib.Repr()
_short.maxlevel, _short.maxstring, _short.maxother, _short.maxlong = 2, 60, 60, 40


def quote_value(value: Any) -> str:
    """Return any value as messages quote it: short, and printable.

    >>> quote_value("x" * 100)
    'xxxxxxxxxxxxxxxxxxxxxxxxxxx...xxxxxxxxxxxxxxxxxxxxxxxxxxxx'
    """
    text = _short.repr(value)
    if isinstance(value, str):
        text = text[1:-1]
    return text.encode("utf-8", "backslashreplace").decode()


def read_bytes(path: Path) -> bytes:
    """Return the content of a file. Raises UserError if it is missing or above MAX_BYTES."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UserError(
                f"is {size} bytes long, but annotation files up to {MAX_BYTES} are read",
                location=path,
                hint="export in several parts",
            )
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror or error}", location=path) from error


def check_number(
    value: Any, location: str, *, low: float = -MAX_COORDINATE, high: float = MAX_COORDINATE
) -> float:
    """Return a finite number between low and high, or raise UserError.

    Texts, true and false are not numbers.
    """
    if type(value) is float or type(value) is int:
        try:
            result = float(value)
        except OverflowError:
            result = math.inf
        if low <= result <= high:
            return result
        raise UserError(
            f"{quote_value(value)} is out of range",
            location=location,
            hint=f"use a number from {low:,.10g} to {high:,.10g}",
        )
    raise UserError(f"`{quote_value(value)}` is not a number", location=location)


def parse_number(
    text: str | None, location: str, *, low: float = -MAX_COORDINATE, high: float = MAX_COORDINATE
) -> float:
    """Return the number that a text of XML or CSV states, checked as by `check_number`.

    >>> parse_number(" 2.5 ", "a.csv:2")
    2.5
    """
    try:
        value = float((text or "").strip()[:64])
    except ValueError:
        raise UserError(f"`{quote_value(text or '')}` is not a number", location=location) from None
    return check_number(value, location, low=low, high=high)


def check_integer(value: float, location: str, *, low: int = 0, high: int = MAX_SIDE) -> int:
    """Return a whole number between low and high, or raise UserError."""
    if value != int(value) or not low <= value <= high:
        raise UserError(
            f"{quote_value(value)} is not a whole number from {low} to {high}",
            location=location,
        )
    return int(value)


def check_size(width: float, height: float, location: str) -> tuple[int, int]:
    """Return (width, height) of an image as a file states it, or raise UserError."""
    w, h = check_integer(width, location, low=1), check_integer(height, location, low=1)
    if w * h > MAX_PIXELS:
        raise UserError(
            f"claims an image of {w}×{h} pixels, but up to {MAX_PIXELS} are read",
            location=location,
        )
    return w, h


def check_name(text: str, location: str) -> str:
    """Return the name of an image. Raises UserError if no file can be called so."""
    if (
        not text.strip()
        or len(text) > 4096
        or any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in text)
    ):
        raise UserError(f"`{quote_value(text)}` cannot be the name of an image", location=location)
    return text
