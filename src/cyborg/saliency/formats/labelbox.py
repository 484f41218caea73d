"""Labelbox: JSON exports of version 1 (a list of labels) and 2 (one data row per line).

An object whose only geometry is a mask behind a web address is left out and counted, because
nothing is fetched. Version 2 states the size of the image, version 1 does not.

Source: Labelbox's export specification.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cyborg.common.errors import UserError
from cyborg.saliency.annotation import Annotation, Region, Shape
from cyborg.saliency.formats import _images, _json, _limits, _shapes
from cyborg.saliency.formats._base import Format
from cyborg.saliency.formats._example import Example
from cyborg.saliency.formats._json import Node

Size = tuple[int, int] | None
_URLS = ("instanceURI", "mask", "composite_mask")


def recognise(path: Path, head: bytes) -> bool:
    """Tell whether the beginning of a file shows Labelbox's keys."""
    seen = _json.sketch_keys(head)
    return any(
        seen.has_path(*start, key)
        for start in ((), ("[]",))
        for key in ("Labeled Data", "DataRow ID", "data_row")
    )


def read(path: Path, images: Path | None = None) -> Iterator[Annotation]:
    """Yield an Annotation per label, in the order of the file. Skipped labels are left out.

    images: the folder in which the size is looked up if the file does not state it. Raises
    UserError, with file, record and field, for anything that cannot be read.
    """
    for record in _split_records(path):
        if record.has_key("data_row"):
            yield from _read_version_2(record, images)
        elif record.get("Skipped").value is not True:
            yield _read_version_1(record, images)


def _split_records(path: Path) -> Iterator[Node]:
    data = _limits.read_bytes(path)
    lines = [
        (number, line) for number, line in enumerate(data.split(b"\n"), start=1) if line.strip()
    ]
    # Newline-delimited: more than one line, each of which is an object of its own.
    if len(lines) > 1 and all(
        line.lstrip()[:1] == b"{" and line.rstrip()[-1:] == b"}" for _, line in lines
    ):
        for number, line in lines:
            yield _json.parse_bytes(line, path, f"line {number}")
        return
    root = _json.parse_bytes(data, path)
    yield from root.elements() if isinstance(root.value, list) else [root]


def _read_version_1(record: Node, images: Path | None) -> Annotation:
    external = record.get("External ID", "Labeled Data")
    name = _limits.check_name(external.as_label(), external.location)
    said = record.get("Label")
    regions: list[Region] = []
    left_out: list[str] = []
    # A label that was skipped or is empty is written as {} or as text.
    if isinstance(said.value, dict) and not said.get("objects").is_missing:
        regions = [
            region
            for node in said.get("objects").elements()
            for region in _read_region(node, left_out)
        ]
    seconds = record.get("Seconds to Label")
    return Annotation(
        image=name,
        size=_images.look_up_size(images, name, record.location),
        regions=tuple(regions),
        annotator=record.get("Created By").as_label(),
        seconds=float("nan") if seconds.is_missing else seconds.as_number(0, 1e12),
        left_out=tuple(left_out),
    )


def _read_version_2(record: Node, images: Path | None) -> Iterator[Annotation]:
    row, media = record.get("data_row"), record.get("media_attributes")
    external = row.get("external_id", "global_key", "row_data")
    name = _limits.check_name(external.as_label(), external.location)
    size: Size = None
    if isinstance(media.value, dict) and not media.get("width").is_missing:
        size = _json.read_size(media.get("width"), media.get("height"))
    else:
        size = _images.look_up_size(images, name, record.location)
    projects = record.get("projects")
    for _, project in projects.items() if not projects.is_missing else ():
        labels = project.get("labels")
        for label in labels.elements() if not labels.is_missing else ():
            details, speed = label.get("label_details"), label.get("performance_details")
            seconds = None if speed.is_missing else speed.get("seconds_to_create")
            annotations = label.get("annotations")
            objects = None if annotations.is_missing else annotations.get("objects")
            nodes = [] if objects is None or objects.is_missing else list(objects.elements())
            left_out: list[str] = []
            regions = [region for node in nodes for region in _read_region(node, left_out)]
            yield Annotation(
                image=name,
                size=size,
                regions=tuple(regions),
                annotator="" if details.is_missing else details.get("created_by").as_label(),
                seconds=float("nan")
                if seconds is None or seconds.is_missing
                else seconds.as_number(0, 1e12),
                left_out=tuple(left_out),
            )


def _read_region(node: Node, left_out: list[str]) -> Iterator[Region]:
    """Yield the region of an object. A mask that would have to be fetched gives none.

    left_out: the reason is then appended to it.
    """
    label = node.get("name", "title", "value").as_label()
    found = _read_shape(node, label)
    if found is not None:
        yield Region((found,), label)
    elif any(node.has_key(key) for key in _URLS):
        left_out.append("mask behind a web address")
    else:
        raise UserError(
            "has no geometry that is known",
            location=node.location,
            hint="known: bbox, polygon, line, point (and masks behind a web address, left out)",
        )


def _read_shape(node: Node, label: str) -> Shape | None:
    def value(box: Node, key: str, low: float = -_limits.MAX_COORDINATE) -> float:
        return box.get(key).as_number(low)

    box = node.get("bbox", "bounding_box")
    if not box.is_missing:
        x, y = value(box, "left"), value(box, "top")
        return _shapes.make_box(
            x, y, x + value(box, "width", 0), y + value(box, "height", 0), label
        )
    for key, make in (("polygon", _shapes.make_polygon), ("line", _shapes.make_line)):
        place = node.get(key)
        if not place.is_missing:
            points = [(value(point, "x"), value(point, "y")) for point in place.elements()]
            return make(points, label, place.location)
    place = node.get("point")
    if not place.is_missing:
        return _shapes.make_point(value(place, "x"), value(place, "y"), label)
    return None


EXAMPLE = Example(
    {
        "export.json": """[{
            "DataRow ID": "d1",
            "External ID": "drawing.png",
            "Created By": "anna@example.com",
            "Label": {"objects": [
                {
                    "title": "eye",
                    "polygon": [{"x": 0, "y": 0}, {"x": 4, "y": 0}, {"x": 0, "y": 3}]
                },
                {"title": "mouth", "bbox": {"left": 4, "top": 3, "width": 2, "height": 2}}
            ]}
        }]"""
    },
    states_size=False,
)

FORMAT = Format(
    recognise,
    read,
    example=EXAMPLE,
    title="Labelbox",
    tools="Labelbox export 1 (JSON) and export 2 (NDJSON)",
    reads="Polygons and boxes. Lines and points have no area. Also annotator and time.",
    size="Stated in export 2, looked up for export 1.",
    skips="Skipped labels, answers, and masks behind a web address.",
    refuses="An object without geometry.",
)
