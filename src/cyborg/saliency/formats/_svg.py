"""Read the strokes of a drawing that fabric.js wrote as SVG: open lines with a width, in pixels."""

from __future__ import annotations

import math
import re
from xml.etree.ElementTree import Element

from cyborg.common.errors import UserError
from cyborg.saliency.annotation import Point, Shape
from cyborg.saliency.formats import _limits, _xml

Matrix = tuple[float, float, float, float, float, float]
IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
# Elements that may stand beside strokes and mark nothing.
_NOTHING = {"desc", "defs", "title", "metadata", "style", "image", "rect", "text"}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_ARGUMENTS = {"M": 2, "L": 2, "H": 1, "V": 1, "Q": 4, "C": 6, "Z": 0}
# Number of pieces of a curve. The brush's curves are a few pixels long.
_PIECES = 8


def read_strokes(
    data: bytes, location: str
) -> tuple[tuple[int, int] | None, list[tuple[Shape, ...]]]:
    """Return the size of the drawing, if it is stated, and the lines of each path.

    A path has several lines if it jumps. Transforms of groups and paths are applied. Raises
    UserError for entities, deep nesting, and anything that the brush does not draw.
    """
    root = _xml.parse_bytes(data, location)
    if _strip_namespace(root) != "svg":
        raise UserError(f"<{_limits.quote_value(root.tag)}> is not <svg>", location=location)
    size = None
    if root.get("width") and root.get("height"):
        width, height = (
            _limits.parse_number((root.get(side) or "").removesuffix("px"), f"{location}: {side}")
            for side in ("width", "height")
        )
        size = _limits.check_size(width, height, location)
    return size, _read_group(root, IDENTITY, location)


def _read_group(element: Element, matrix: Matrix, location: str) -> list[tuple[Shape, ...]]:
    found: list[tuple[Shape, ...]] = []
    for child in element:
        kind = _strip_namespace(child)
        if kind in _NOTHING:
            continue
        inner = _multiply(matrix, _parse_transform(child.get("transform", ""), location))
        if kind == "g":
            found += _read_group(child, inner, location)
        elif kind == "path":
            shapes = _read_path(child, inner, f"{location}: path {len(found)}")
            if shapes:
                found.append(shapes)
        else:
            raise UserError(
                f"<{_limits.quote_value(kind)}> is not a stroke of the brush", location=location
            )
    return found


def _strip_namespace(element: Element) -> str:
    return str(element.tag).rsplit("}", 1)[-1]


def _read_path(element: Element, matrix: Matrix, location: str) -> tuple[Shape, ...]:
    style = {
        key.strip(): value.strip()
        for key, _, value in (p.partition(":") for p in element.get("style", "").split(";"))
    }
    stroke = style.get("stroke", element.get("stroke", "none"))
    if stroke == "none":
        return ()
    width = _limits.parse_number(
        style.get("stroke-width", element.get("stroke-width", "1")).removesuffix("px"),
        f"{location}: stroke-width",
        low=0,
    )
    a, b, c, d, _, _ = matrix
    width *= math.sqrt(abs(a * d - b * c))
    shapes = []
    for points in _parse_lines(element.get("d", ""), location):
        moved = [_transform_point(matrix, point) for point in points]
        if not all(abs(v) <= _limits.MAX_COORDINATE for point in moved for v in point):
            raise UserError("has points far outside any image", location=location)
        # Not _shapes.make_line: a stroke that ends where it began is drawn, not filled.
        shapes.append(Shape("line", tuple(moved), width=width))
    return tuple(shapes)


def _parse_lines(text: str, location: str) -> list[list[Point]]:
    """Return the lines of a path's `d`. Curves become pieces of straight lines."""
    lines: list[list[Point]] = []
    tokens = re.findall(rf"[A-Za-z]|{_NUMBER}|[^\s,]", text)
    position, command, at = (0.0, 0.0), "", 0
    while at < len(tokens):
        if tokens[at].isalpha():
            command, at = tokens[at], at + 1
        kind = command.upper()
        if kind not in _ARGUMENTS or (
            kind == "Z" and at < len(tokens) and not tokens[at].isalpha()
        ):
            raise UserError(
                f"`{_limits.quote_value(command or tokens[at])}` is not known", location=location
            )
        count = _ARGUMENTS[kind]
        if len(tokens) < at + count or (kind != "M" and not lines):
            raise UserError("the path is cut short or does not begin with M", location=location)
        numbers = [_limits.parse_number(token, location) for token in tokens[at : at + count]]
        at += count
        base = position if command.islower() else (0.0, 0.0)
        if kind == "H":
            points = [(base[0] + numbers[0], position[1])]
        elif kind == "V":
            points = [(position[0], base[1] + numbers[0])]
        elif kind == "Z":
            points = [lines[-1][0]]
        else:
            pairs = zip(numbers[0::2], numbers[1::2], strict=True)
            points = [(base[0] + x, base[1] + y) for x, y in pairs]
        if kind == "M":
            lines.append(points)
            command = "l" if command == "m" else "L"
        elif kind in "QC":
            lines[-1] += _flatten_curve([position, *points])
        else:
            lines[-1] += points
        position = points[-1]
    return lines


def _flatten_curve(control: list[Point]) -> list[Point]:
    """Return points on a Bézier curve, without its first."""
    degree = len(control) - 1
    result = []
    for step in range(1, _PIECES + 1):
        t = step / _PIECES
        weights = [math.comb(degree, k) * t**k * (1 - t) ** (degree - k) for k in range(degree + 1)]
        result.append(
            (
                sum(w * x for w, (x, _) in zip(weights, control, strict=True)),
                sum(w * y for w, (_, y) in zip(weights, control, strict=True)),
            )
        )
    return result


def _parse_transform(text: str, location: str) -> Matrix:
    result = IDENTITY
    for name, inside in re.findall(r"(\w+)\s*\(([^)]*)\)", text[:1000]):
        place = f"{location}: transform"
        v = [_limits.parse_number(part, place) for part in re.findall(r"[^\s,]+", inside)]
        if name == "matrix" and len(v) == 6:
            step: Matrix = (v[0], v[1], v[2], v[3], v[4], v[5])
        elif name == "translate" and len(v) in (1, 2):
            step = (1.0, 0.0, 0.0, 1.0, v[0], v[1] if len(v) == 2 else 0.0)
        elif name == "scale" and len(v) in (1, 2):
            step = (v[0], 0.0, 0.0, v[-1], 0.0, 0.0)
        elif name == "rotate" and len(v) == 1:
            c, s = math.cos(math.radians(v[0])), math.sin(math.radians(v[0]))
            step = (c, s, -s, c, 0.0, 0.0)
        else:
            raise UserError(
                f"`{_limits.quote_value(name)}({_limits.quote_value(inside)})` is not known",
                location=place,
            )
        result = _multiply(result, step)
    return result


def _multiply(m: Matrix, n: Matrix) -> Matrix:
    return (
        m[0] * n[0] + m[2] * n[1],
        m[1] * n[0] + m[3] * n[1],
        m[0] * n[2] + m[2] * n[3],
        m[1] * n[2] + m[3] * n[3],
        m[0] * n[4] + m[2] * n[5] + m[4],
        m[1] * n[4] + m[3] * n[5] + m[5],
    )


def _transform_point(m: Matrix, point: Point) -> Point:
    x, y = point
    return m[0] * x + m[2] * y + m[4], m[1] * x + m[3] * y + m[5]
