"""EyeTagger, the annotation tool of CVRL: its table of annotations as CSV.

A dump or query of the database gives one row per annotator and image. A drawing is stored as a
transparent PNG (data URL) and as fabric.js SVG. If there is a PNG, every pixel that is not fully
transparent is marked. If not, the strokes of the SVG are marked, with their width. The tool names
images by the SHA-256 of the file. If the table of images (`img_id`, `img_path`) lies beside the
file as another CSV, its paths are the names. A row without a drawing has nothing marked. The
free text is not read, because it carries over from one image to the next. So do the buttons.

Source: CVRL/Annotation-Tool and lucaspar/eyetagger (backend/api/models.py, Canvas.vue).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cyborg.common.errors import UserError
from cyborg.saliency.annotation import Annotation, Region, Shape
from cyborg.saliency.formats import _csv, _images, _json, _limits, _shapes, _svg
from cyborg.saliency.formats._base import Format
from cyborg.saliency.formats._example import Example

Size = tuple[int, int] | None
_TRUE, _FALSE = {"t", "true", "1", "yes"}, {"f", "false", "0", "no", ""}


def recognise(path: Path, head: bytes) -> bool:
    """Tell whether the beginning of a file shows the columns of the table of annotations."""
    return _is_table(_csv.sketch_columns(head))


def _is_table(columns: frozenset[str]) -> bool:
    drawing = columns & {"annotation", "annotation_svg"}
    return bool(
        drawing and columns & {"annotator", "annotator_id"} and columns & {"image", "image_id"}
    )


def read(path: Path, images: Path | None = None) -> Iterator[Annotation]:
    """Yield an Annotation per row, in the order of the file.

    images: not needed. Raises UserError, with file, line and column, for anything that cannot be
    read, and if the PNG and SVG of a drawing differ in size.
    """
    names = _read_image_names(path)
    for location, row in _csv.read_rows(path, _is_table, "the table of annotations"):
        stated = _csv.require_cell(row, location, "image_id", "image").strip()
        known, truth = names.get(stated, (stated, ""))
        name = _limits.check_name(known, f"{location}: image")
        annotator = _csv.require_cell(row, location, "annotator_id", "annotator").strip()
        size, regions = _read_drawing(row, location)
        decision = _read_decision(row, location)
        truth = (row.get("ground_truth") or truth).strip().lower()
        yield Annotation(
            image=name,
            size=size,
            regions=regions,
            annotator=annotator,
            decision=decision,
            correct=decision == truth if decision and truth in ("real", "fake") else None,
            seconds=_read_seconds(row.get("annotation_times", ""), path, location),
        )


def _read_image_names(path: Path) -> dict[str, tuple[str, str]]:
    """Return (path, ground truth) by img_id, from a table of images in the same folder."""
    found: dict[str, tuple[str, str]] = {}
    for other in sorted(path.parent.glob("*.csv")):
        if other == path or not other.is_file():
            continue
        with other.open("rb") as handle:
            columns = _csv.sketch_columns(handle.read(65536))
        if {"img_id", "img_path"} <= columns:
            for _, row in _csv.read_rows(other, lambda _: True, "images"):
                file = row["img_path"].strip()
                ending = row.get("extension", "").strip().lstrip(".")
                if file and ending and not file.lower().endswith(f".{ending.lower()}"):
                    file = f"{file}.{ending}"
                if file:
                    found[row["img_id"].strip()] = (file, row.get("ground_truth", ""))
    return found


def _read_drawing(row: dict[str, str], location: str) -> tuple[Size, tuple[Region, ...]]:
    picture, drawing = (row.get(key, "").strip() for key in ("annotation", "annotation_svg"))
    empty = {"", "null", "none", "\\n"}
    svg: tuple[Size, list[tuple[Shape, ...]]] = (None, [])
    if drawing.lower() not in empty:
        svg = _svg.read_strokes(drawing.encode("utf-8", "replace"), f"{location}: annotation_svg")
    size, strokes = svg
    if picture.lower() in empty:
        return size, tuple(Region(shapes) for shapes in strokes)
    place = f"{location}: annotation"
    pixels = _images.decode_picture(_images.decode_data_url(picture, place), place)
    if pixels.ndim != 3 or pixels.shape[2] not in (2, 4):
        raise UserError(
            "the picture has no transparency, so it does not show which pixels were marked",
            location=place,
        )
    marked = pixels[..., -1] > 0
    stated = (marked.shape[1], marked.shape[0])
    if size is not None and size != stated:
        raise UserError(
            f"the picture has {stated[0]}×{stated[1]} pixels, the drawing {size[0]}×{size[1]}",
            location=place,
            hint="the screen's scaling went into the picture: empty the column `annotation` to "
            "use the drawing",
        )
    if not marked.any():
        return stated, ()
    return stated, (Region((_shapes.make_mask(marked, 0, 0, "", place, stated),)),)


def _read_decision(row: dict[str, str], location: str) -> str:
    pressed = []
    for name in ("real", "fake"):
        value = row.get(f"{name}_button", "").strip().lower()
        if value not in _TRUE | _FALSE:
            raise UserError(
                f"`{_limits.quote_value(value)}` is neither true nor false",
                location=f"{location}: {name}_button",
            )
        if value in _TRUE:
            pressed.append(name)
    if len(pressed) > 1:
        raise UserError(
            "both buttons are pressed", location=f"{location}: real_button, fake_button"
        )
    return pressed[0] if pressed else ""


def _read_seconds(text: str, path: Path, location: str) -> float:
    """Return the seconds with the mouse pressed, without presses whose end is unknown."""
    if text.strip().lower() in ("", "null", "\\n"):
        return float("nan")
    place = location.removeprefix(f"{path}:") + ": annotation_times"
    total, seen = 0.0, False
    for press in _json.parse_bytes(text.encode("utf-8", "replace"), path, place).elements():
        down, up = press.get("down"), press.get("up")
        if not (down.is_missing or up.is_missing):
            total += (up.as_number(0, 1e14) - down.as_number(0, 1e14)) / 1000
            seen = True
    if total < 0:
        raise UserError("the mouse is released before it is pressed", location=f"{path}: {place}")
    return total if seen else float("nan")


# One stroke of width 2 from (1, 2) to (5, 2). Its ends are round.
EXAMPLE = Example(
    {
        "annotations.csv": (
            "annotator_id,image_id,real_button,fake_button,annotation_svg\n"
            "3,drawing.png,f,t,\"<svg width='7' height='5'><path style='stroke: lime; "
            "stroke-width: 2' d='M 1 2 L 5 2'/></svg>\"\n"
        )
    },
    marked=".......\n111111.\n111111.\n.......\n.......\n",
    labels=("",),
)

FORMAT = Format(
    recognise,
    read,
    example=EXAMPLE,
    title="EyeTagger",
    tools="The annotation tool of CVRL: its table of annotations (CSV)",
    reads=(
        "The drawing (a PNG in a data URL), else its strokes (SVG) with their width. Also "
        "annotator, decision (the real or the fake button), whether it was correct, and the "
        "seconds of drawing."
    ),
    size="That of the drawing.",
    skips="The free text. The time leaves out strokes whose end is unknown.",
    refuses=(
        "Two pressed buttons, a picture without transparency, and a picture and strokes of "
        "different sizes."
    ),
)
