"""docs/params.md is written from the schema: every key, its type, default and meaning."""

from __future__ import annotations

import re
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from cyborg.common.families import LOSSES, PREPARATIONS
from cyborg.config.experiment import Experiment

HEAD = """# Parameters

All keys of params.yaml, written from the schema by `cyborg params --describe > docs/params.md`.
`cyborg params` checks a file and prints it with all defaults filled in.
"""


def describe() -> str:
    """The whole of docs/params.md."""
    parts = [HEAD]
    for title, model in _models("", Experiment):
        parts.append(f"\n## {title or 'top level'}\n\n{_first(model)}\n\n{_table(model)}")
    for title, text, family in (
        ("losses", "Further keys of a row of `variants`.", LOSSES),
        ("preparations", "Keys of `variants.<name>.prepare`.", PREPARATIONS),
    ):
        parts.append(f"\n## Options of the {title}\n\n{text}\n")
        for name in family.names():
            member = family.find(name)
            table = _table(member.options) if member.options.model_fields else "No options.\n"
            parts.append(f"\n### {name}\n\n{family.summary(name)}\n\n{table}")
    return "".join(parts)


def _models(title: str, model: type[BaseModel]) -> list[tuple[str, type[BaseModel]]]:
    """The model and those inside it, each with the key under which it stands."""
    found = [(title, model)]
    for name, field in model.model_fields.items():
        key = f"{title}.{name}" if title else name
        inner = _inner(field.annotation)
        if inner is not None:
            mapping = get_origin(field.annotation) is dict
            found += _models(f"{key}.<name>" if mapping else key, inner)
    return found


def _inner(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for part in get_args(annotation) if (m := _inner(part))), None)


def _first(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _table(model: type[BaseModel]) -> str:
    rows = ["| key | values | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            shown = "see below"
        elif default is PydanticUndefined:
            shown = "required"
        else:
            shown = f"`{_yaml(default)}`"
        bounds = ", ".join(
            f"{word} {value}" for part in field.metadata for word, value in _bounds(part)
        )
        values = _type(field.annotation) + (f" ({bounds})" if bounds else "")
        rows.append(f"| `{name}` | {values} | {shown} | {field.description} |")
    return "\n".join(rows) + "\n"


def _bounds(part: Any) -> list[tuple[str, Any]]:
    words = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return [(word, getattr(part, key)) for key, word in words.items() if hasattr(part, key)]


def _yaml(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, tuple):  # params.yaml calls it a list
        value = list(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " \\| ".join(f"`{value}`" for value in get_args(annotation))
    if _inner(annotation) is not None:
        return "rows" if get_origin(annotation) is dict else "keys"
    if get_origin(annotation) is Annotated:  # one of several kinds, with bounds of its own
        kind, *more = get_args(annotation)
        parts = [p for field in more for p in getattr(field, "metadata", [field])]
        bounds = ", ".join(f"{word} {value}" for part in parts for word, value in _bounds(part))
        return _type(kind) + (f" ({bounds})" if bounds else "")
    if get_origin(annotation) in (Union, UnionType):
        return " \\| ".join(_type(part) for part in get_args(annotation))
    if annotation is type(None):
        return "null"
    if not get_args(annotation):
        return getattr(annotation, "__name__", "any").replace("Any", "any")
    text = re.sub(r"tuple\[(.*), \.\.\.\]", r"list[\1]", str(annotation))
    text = re.sub(r"typing\.|cyborg[\w.]*\.|<class '|'>", "", text)
    return text.replace("None", "null").replace(" | ", " \\| ").replace("Any", "any")
