"""Describe every key of params.yaml: its type, its default and its meaning."""

from __future__ import annotations

import re
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from cyborg.config.experiment import Experiment

# How the constraints of a field are written in the column `values`.
BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def describe_parameters() -> str:
    """Return one section of Markdown for each group of keys of params.yaml."""
    sections = []
    for key, model in _list_models("", Experiment):
        summary = (model.__doc__ or "").strip().splitlines()[0]
        sections.append(f"## {key or 'top level'}\n\n{summary}\n\n{describe_options(model)}")
    return "\n".join(sections)


def describe_options(model: type[BaseModel]) -> str:
    """Return a Markdown table of the fields of a model, or a sentence if it has none.

    >>> from cyborg.config.experiment import Split
    >>> print(describe_options(Split).splitlines()[2])
    | `validation` | float (≥ 0, < 1) | `0.15` | share of each training source kept for validation |
    """
    if not model.model_fields:
        return "No options.\n"
    rows = ["| key | values | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            shown = "see below"
        elif default is PydanticUndefined:
            shown = "required"
        else:
            shown = f"`{_format_value(default)}`"
        values = _describe_type(field.annotation) + _describe_bounds(field.metadata)
        rows.append(f"| `{name}` | {values} | {shown} | {field.description} |")
    return "\n".join(rows) + "\n"


def _list_models(key: str, model: type[BaseModel]) -> list[tuple[str, type[BaseModel]]]:
    """Return the model and those inside it, each with the key under which it stands."""
    found = [(key, model)]
    for name, field in model.model_fields.items():
        inner_key = f"{key}.{name}" if key else name
        inner = _find_model(field.annotation)
        if inner is not None:
            is_mapping = get_origin(field.annotation) is dict
            found += _list_models(f"{inner_key}.<name>" if is_mapping else inner_key, inner)
    return found


def _find_model(annotation: Any) -> type[BaseModel] | None:
    """Return the model in an annotation such as `dict[str, Model] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for part in get_args(annotation) if (m := _find_model(part))), None)


def _describe_bounds(constraints: Any) -> str:
    bounds = [
        f"{sign} {getattr(constraint, name)}"
        for constraint in constraints
        for name, sign in BOUNDS.items()
        if hasattr(constraint, name)
    ]
    return f" ({', '.join(bounds)})" if bounds else ""


def _format_value(value: Any) -> str:
    """Return a default as it is written in params.yaml."""
    if value is None:
        return "null"
    if isinstance(value, tuple):  # params.yaml calls it a list
        value = list(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _describe_type(annotation: Any) -> str:
    """Return the values that a key takes, as they are written in params.yaml."""
    if get_origin(annotation) is Literal:
        return " \\| ".join(f"`{value}`" for value in get_args(annotation))
    if _find_model(annotation) is not None:
        return "rows" if get_origin(annotation) is dict else "keys"
    if get_origin(annotation) is Annotated:  # one of several types, with bounds of its own
        kind, *details = get_args(annotation)
        constraints = [c for detail in details for c in getattr(detail, "metadata", [detail])]
        return _describe_type(kind) + _describe_bounds(constraints)
    if get_origin(annotation) in (Union, UnionType):
        return " \\| ".join(_describe_type(part) for part in get_args(annotation))
    if annotation is type(None):
        return "null"
    if not get_args(annotation):
        return getattr(annotation, "__name__", "any").replace("Any", "any")
    text = re.sub(r"tuple\[(.*), \.\.\.\]", r"list[\1]", str(annotation))
    text = re.sub(r"typing\.|cyborg[\w.]*\.|<class '|'>", "", text)
    return text.replace("None", "null").replace(" | ", " \\| ").replace("Any", "any")
