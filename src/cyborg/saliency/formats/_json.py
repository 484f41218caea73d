"""Read JSON with a location for every value, so that messages name the record and field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cyborg.common.errors import UserError
from cyborg.saliency.annotation import Point
from cyborg.saliency.formats import _limits

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Node:
    """Hold a value of a JSON file and its place, such as `shapes[2].points`.

    The value of a missing key is None, as is null.
    """

    value: Any
    file: Path
    place: str = ""

    @property
    def location(self) -> str:
        """Return the file and place, such as `a.json: shapes[2].points`."""
        return f"{self.file}: {self.place}" if self.place else str(self.file)

    def make_error(self, what: str, hint: str | None = None) -> UserError:
        """Return the error for this value, to be raised."""
        return UserError(replace_surrogates(what), location=self.location, hint=hint)

    @property
    def is_missing(self) -> bool:
        """Tell whether the value is absent or null."""
        return self.value is None

    def get(self, *keys: str) -> Node:
        """Return the value of the first of `keys` that is present. If none is, it is missing."""
        content = self.as_object()
        for key in keys:
            if content.get(key) is not None:
                return Node(content[key], self.file, f"{self.place}.{key}".lstrip("."))
        return Node(None, self.file, f"{self.place}.{keys[0]}".lstrip("."))

    def has_key(self, key: str) -> bool:
        """Tell whether this is an object that has the key."""
        return isinstance(self.value, dict) and key in self.value

    def as_object(self) -> dict[str, Any]:
        """Return the value, which must be an object."""
        value: dict[str, Any] = self._check_type(dict, "an object {…}")
        return value

    def elements(self) -> Iterator[Node]:
        """Yield the elements of the value, which must be an array."""
        for index, item in enumerate(self._check_type(list, "an array […]")):
            yield Node(item, self.file, f"{self.place}[{index}]")

    def items(self) -> Iterator[tuple[str, Node]]:
        """Yield the entries of the value, which must be an object."""
        for key, item in self.as_object().items():
            yield key, Node(item, self.file, f"{self.place}[{_limits.quote_value(key)}]")

    def as_text(self, default: str | None = None) -> str:
        """Return the value, which must be text. `default` stands for a missing value."""
        if self.value is None and default is not None:
            return default
        value: str = self._check_type(str, "text")
        return value

    def as_label(self) -> str:
        """Return the value as a label: text, or a number written as text. Empty if missing."""
        value = self.value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _limits.quote_value(value)
        return replace_surrogates(self.as_text(""))

    def as_flag(self) -> bool:
        """Return the value, which must be true or false."""
        value: bool = self._check_type(bool, "true or false")
        return value

    def as_number(
        self, low: float = -_limits.MAX_COORDINATE, high: float = _limits.MAX_COORDINATE
    ) -> float:
        """Return the value, which must be a finite number between low and high."""
        return _limits.check_number(self.value, self.location, low=low, high=high)

    def as_integer(self, low: int = 0, high: int = _limits.MAX_SIDE) -> int:
        """Return the value, which must be a whole number between low and high."""
        return _limits.check_integer(self.as_number(), self.location, low=low, high=high)

    def as_points(self) -> list[Point]:
        """Return the value, which must be an array of [x, y]."""
        result: list[Point] = []
        limit = _limits.MAX_COORDINATE
        for index, pair in enumerate(self._check_type(list, "an array of points")):
            if not isinstance(pair, list) or len(pair) != 2:
                raise UserError(
                    f"`{_limits.quote_value(pair)}` is not a point [x, y]",
                    location=f"{self.location}[{index}]",
                )
            x, y = pair
            # The usual case first: a place is only put into words where it is needed.
            if type(x) is type(y) is float and -limit <= x <= limit and -limit <= y <= limit:
                result.append((x, y))
            else:
                location = f"{self.location}[{index}]"
                result.append(
                    (_limits.check_number(x, location), _limits.check_number(y, location))
                )
        return result

    def _check_type(self, kind: type, called: str) -> Any:
        if isinstance(self.value, kind):
            return self.value
        if self.value is None:
            raise self.make_error(f"is missing, but {called} is expected")
        raise self.make_error(f"`{_limits.quote_value(self.value)}` is not {called}")


def replace_surrogates(text: str) -> str:
    """Return text without halves of surrogate pairs, which no file can hold."""
    return text.encode("utf-8", "replace").decode()


def read_size(width: Node, height: Node) -> tuple[int, int]:
    """Return (width, height) of an image from two values, checked."""
    return _limits.check_size(width.as_integer(low=1), height.as_integer(low=1), width.location)


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number that JSON knows")


def parse_bytes(data: bytes, path: Path, place: str = "") -> Node:
    """Parse JSON from bytes in UTF-8, 16 or 32, with or without byte order mark.

    place: prefix of the places in messages, if the JSON is part of a larger file.
    Raises UserError if it is not valid.
    """
    location = f"{path}: {place}" if place else str(path)
    try:
        text = data.decode(json.detect_encoding(data))
        return Node(
            json.loads(text.removeprefix("\ufeff"), parse_constant=_refuse_constant), path, place
        )
    except RecursionError:
        raise UserError("is not valid JSON: nested too deeply", location=location) from None
    except ValueError as error:
        reason = _limits.quote_value(str(error)).strip("'\"")
        raise UserError(f"is not valid JSON: {reason}", location=location) from None


def read_file(path: Path) -> Node:
    """Return the root of a JSON file. Raises UserError if it is missing, too large or broken."""
    return parse_bytes(_limits.read_bytes(path), path)


@dataclass(frozen=True)
class Sketch:
    """Hold the key paths at the beginning of a JSON file. It is empty for other files.

    paths: tuples of keys, in which `[]` stands for an element of an array.
    kind: value of the key `type` at the top, if it was seen.
    """

    paths: frozenset[tuple[str, ...]]
    kind: str = ""

    def has_path(self, *pattern: str) -> bool:
        """Tell whether a key path was seen. `*` stands for any key, but not for an element."""
        if "*" not in pattern:
            return pattern in self.paths
        return any(
            len(path) == len(pattern)
            and all(p == q or (p == "*" and q != "[]") for p, q in zip(pattern, path, strict=True))
            for path in self.paths
        )


@lru_cache(maxsize=4)
def sketch_keys(head: bytes) -> Sketch:
    """Return the key paths, up to six deep, in the first bytes of a JSON file.

    The bytes may end anywhere.

    >>> sorted(sketch_keys(b'{"shapes": [{"points": [[1, ').paths)[:2]
    [('shapes',), ('shapes', '[]')]
    """
    try:
        text = head.decode(json.detect_encoding(head), "replace").lstrip("\ufeff \t\r\n")
    except ValueError:
        return Sketch(frozenset())
    if not text or text[0] not in "{[":
        return Sketch(frozenset())
    paths: set[tuple[str, ...]] = set()
    stack: list[str] = []  # the key, or [] for an array, per level
    opened: list[str] = []
    kind, key, is_key = "", "", False
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token[0] == '"':
            if is_key:
                key = token[1:-1]
                if stack and len(stack) <= 6 and opened[-1] == "{":
                    stack[-1] = key
                    paths.add(tuple(stack))
                is_key = False
            elif stack == ["type"]:
                kind = token[1:-1]
        elif token in "{[":
            opened.append(token)
            stack.append("[]" if token == "[" else "")
            is_key = token == "{"
            if token == "[" and len(stack) <= 6:
                paths.add(tuple(stack))
        elif token in "}]":
            if not opened:
                break
            opened.pop()
            stack.pop()
            is_key = False
        elif token == ",":
            is_key = bool(opened) and opened[-1] == "{"
    return Sketch(frozenset(paths), kind)
