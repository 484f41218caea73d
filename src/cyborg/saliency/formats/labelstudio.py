"""Label Studio: JSON, JSON-MIN, and lists of predictions.

There is one Annotation per task and person. Cancelled ones and drafts are left out, and predictions
if there are annotations. Positions are percentages of the original image. A region that is stored
as a tool's result and again as `labels` is one. A single choice for the whole image is the
decision.

Source: Label Studio's documentation (export formats, image annotation units) and converter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cyborg.saliency.annotation import Annotation, Region, Shape
from cyborg.saliency.formats import _images, _json, _labelstudio, _limits, _shapes
from cyborg.saliency.formats._base import Format
from cyborg.saliency.formats._example import Example
from cyborg.saliency.formats._json import Node
from cyborg.saliency.formats._labelstudio import RegionResult
from cyborg.saliency.names import IMAGE_SUFFIXES, spell_name

_DONE = ("annotations", "completions")
# Fields of a JSON-MIN record that are no control tag's results.
_FIELDS = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement"}

# Those that every JSON-MIN record has one of.
_MINIMAL = {"annotator", "annotation_id", "lead_time"}


def recognise(path: Path, head: bytes) -> bool:
    """Tell whether the beginning of a file shows Label Studio's keys."""
    seen = _json.sketch_keys(head)
    for start in ((), ("[]",)):
        if any(
            seen.has_path(*start, done, "[]", key)
            for done in _DONE
            for key in ("result", "lead_time")
        ):
            return True
        if seen.has_path(*start, "result") and (
            seen.has_path(*start, "model_version")
            or seen.has_path(*start, "result", "[]", "from_name")
        ):
            return True
        if seen.has_path(*start, "annotation_id") or seen.has_path(
            *start, "*", "[]", "original_width"
        ):
            return True
        if seen.has_path(*start, "*", "[]", "rle") and seen.has_path(*start, "*", "[]", "format"):
            return True
        if seen.has_path(*start, "data") and any(seen.has_path(*start, done) for done in _DONE):
            return True
    return False


def read(path: Path, images: Path | None = None) -> Iterator[Annotation]:
    """Yield an Annotation per task and annotator, in the order of the file.

    images: the folder in which the size of an image is looked up if the results do not state it,
    as in old exports. If there is only one record and it names no image, the file's own name is
    the name of the image. Raises UserError, with file, record and field, for anything that cannot
    be read.
    """
    root = _json.read_file(path)
    tasks = list(root.elements()) if isinstance(root.value, list) else [root]
    only = path.stem if len(tasks) == 1 else None
    for task in tasks:
        done = next((key for key in _DONE if task.has_key(key)), None)
        if done:
            name = _name_image(task, only)
            records = [] if task.get(done).is_missing else list(task.get(done).elements())
            for record in records:
                if not record.has_key("result"):
                    raise record.make_error(
                        "has no `result`, so it is not an annotation of Label Studio"
                    )
                if record.get("was_cancelled").value is not True:
                    parts = _labelstudio.collect_results(record.get("result"))
                    said = _make_annotation(record, name, parts, images)
                    if not said.annotator and len(records) > 1:
                        # Several people, none named: the number of the annotation tells them apart.
                        said = replace(said, annotator=f"annotation {record.get('id').as_label()}")
                    yield said
        elif task.has_key("result"):
            parts = _labelstudio.collect_results(task.get("result"))
            yield _make_annotation(task, _name_image(task, only), parts, images)
        else:
            yield _make_annotation(task, _name_image(task, only), _collect_minimal(task), images)


def _make_annotation(
    record: Node, name: str, parts: list[RegionResult], images: Path | None
) -> Annotation:
    sizes = {part.size for part in parts if part.size}
    if len(sizes) > 1:
        raise record.make_error(f"its results state several sizes of the image: {sorted(sizes)}")
    size = next(iter(sizes), None)
    if size is None and parts:
        size = _images.require_size(images, name, record.location)
    budget = _shapes.MaskBudget()
    regions: dict[object, tuple[Shape, str]] = {}
    for part in parts:
        assert size is not None
        known = regions.get(part.key)
        if known is None:
            regions[part.key] = (_labelstudio.make_shape(part, size, budget), part.label)
        elif part.label and not known[1]:
            regions[part.key] = (known[0], part.label)
    seconds = record.get("lead_time")
    return Annotation(
        image=name,
        size=size,
        regions=tuple(
            Region((_labelstudio.replace_label(shape, label),), label)
            for shape, label in regions.values()
        ),
        annotator=_read_annotator(record),
        decision=_read_decision(record),
        seconds=float("nan") if seconds.is_missing else seconds.as_number(0, 1e12),
    )


def _read_annotator(record: Node) -> str:
    who = record.get("completed_by", "annotator", "model_version")
    if isinstance(who.value, dict):
        return who.get("email", "id").as_label()
    return who.as_label()


def _read_decision(record: Node) -> str:
    """Return the one choice that was made for the whole image, or ""."""
    made: list[str] = []
    if record.has_key("result"):
        for result in record.get("result").elements():
            value = result.get("value")
            if result.get("type").value == "choices" and isinstance(value.value, dict):
                whole = not any(key in value.value for key in ("x", "points", "rle", "start"))
                if whole and not value.get("choices").is_missing:
                    made += [choice.as_label() for choice in value.get("choices").elements()]
    else:
        for key in ("choice", "choices"):
            value = record.get(key)
            if isinstance(value.value, dict) and isinstance(value.value.get("choices"), list):
                made += [choice.as_label() for choice in value.get("choices").elements()]
            elif isinstance(value.value, str):
                made.append(value.as_label())
    return made[0] if len(made) == 1 else ""


def _name_image(task: Node, only: str | None) -> str:
    """Return the name of the image as the task states it."""
    data = task.get("data")
    fields = data if isinstance(data.value, dict) else task
    found = fields.get("image")
    if not isinstance(found.value, str):
        texts = [
            node
            for key, node in fields.items()
            if isinstance(node.value, str) and key not in _FIELDS and _looks_like_image(node.value)
        ]
        if len(texts) > 1:
            raise task.make_error(
                "names several images: "
                + ", ".join(_limits.quote_value(t.value) for t in texts[:4]),
                hint="name the field of the image `image`",
            )
        if texts:
            found = texts[0]
        elif only is not None:
            return only
        else:
            raise task.make_error("does not name its image")
    return _limits.check_name(found.as_text(), found.location)


def _looks_like_image(text: str) -> bool:
    parts = next(iter(spell_name(text.partition("?")[0])), [""])
    return Path(parts[-1]).suffix.lower() in IMAGE_SUFFIXES


def _collect_minimal(record: Node) -> list[RegionResult]:
    """Return the regions of a JSON-MIN record: lists of values, one per control tag."""
    parts: list[RegionResult] = []
    for key, values in record.items():
        if key in _FIELDS or not isinstance(values.value, list):
            continue
        for node in values.elements():
            if isinstance(node.value, dict) and _labelstudio.has_geometry(node):
                parts.append(_labelstudio.make_result(node, node, identity=None))
    if not parts and not record.as_object().keys() & _MINIMAL:
        raise record.make_error("is no record of Label Studio")
    return parts


EXAMPLE = Example(
    {
        "tasks.json": """[{
            "data": {"image": "drawing.png"},
            "annotations": [{"completed_by": 3, "result": [
                {
                    "id": "a",
                    "type": "polygonlabels",
                    "original_width": 7,
                    "original_height": 5,
                    "value": {
                        "points": [[0, 0], [57.142857142857, 0], [0, 60]],
                        "polygonlabels": ["eye"]
                    }
                },
                {
                    "id": "b",
                    "type": "rectanglelabels",
                    "original_width": 7,
                    "original_height": 5,
                    "value": {
                        "x": 57.142857142857,
                        "y": 60,
                        "width": 28.571428571429,
                        "height": 40,
                        "rectanglelabels": ["mouth"]
                    }
                }
            ]}]
        }]"""
    }
)

FORMAT = Format(
    recognise,
    read,
    example=EXAMPLE,
    title="Label Studio",
    tools="Label Studio: JSON, JSON-MIN and lists of predictions",
    reads=(
        "Polygons, rectangles and ellipses with rotation, brush, magic wand, and bit masks. Key "
        "points and unfinished polygons have no area. Also annotator, decision (the single "
        "`choices`) and time."
    ),
    size="Stated. For old exports it is looked up, and needed.",
    skips=(
        "Cancelled annotations, drafts, predictions beside annotations, relations, texts and "
        "ratings."
    ),
    refuses=(
        "Images rotated in the tool, tasks of several images, results of several sizes, and "
        "relative positions without a size."
    ),
)
