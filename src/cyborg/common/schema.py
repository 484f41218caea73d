"""Define the base of every group of parameters, and turn pydantic's errors into messages."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from cyborg.common.errors import UserError, UserErrors


class Parameters(BaseModel):
    """A group of parameters: immutable, with no unknown keys, its defaults checked too."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, validate_default=True)


KeyPath = tuple[str | int, ...]
"""Keys from the top of a file down to one value, such as `("variants", "cyborg", "alpha")`."""


def collect_mistakes(
    error: ValidationError,
    model: type[BaseModel],
    path: str | Path,
    prefix: KeyPath = (),
    find_line: Callable[[KeyPath], int | None] | None = None,
    beside: type[BaseModel] | None = None,
) -> UserErrors:
    """Turn pydantic's report into one message per mistake.

    model: the class that was validated. path: the file. prefix: the key under which the validated
    values are in the file. find_line: returns the line of a key in the file, or None if that is
    not known. beside: another model whose keys are valid at the same place.
    """
    fields = model.model_fields | (beside.model_fields if beside else {})
    found: list[UserError] = []
    for item in error.errors():
        key = tuple(part for part in item["loc"] if not _is_type_tag(part))
        place = (*prefix, *key)
        line = find_line(place) if find_line else None
        name = ".".join(str(part) for part in place)
        hint: str | None
        if item["type"] == "extra_forbidden":
            what, hint = "not a parameter", _suggest_field(fields, key)
        else:
            field = _find_field(fields, key)
            hint = field.description if field else None
            reason = f"{item['msg'][0].lower()}{item['msg'][1:]}"
            missing = item["type"] == "missing"
            what = "is missing" if missing else f"{reason}, not `{item['input']}`"
        where = f"{path}:{line}: {name}" if line else f"{path}: {name}"
        found.append(UserError(what, location=where, hint=hint))
    return UserErrors(found)


def _is_type_tag(part: str | int) -> bool:
    """Return whether pydantic put `part` into a path to tell the members of a union apart."""
    return isinstance(part, str) and ("[" in part or part.startswith("function-"))


def _list_fields(annotation: Any) -> Mapping[str, FieldInfo]:
    """Return the fields of the model in an annotation such as `dict[str, Model] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.model_fields
    for argument in get_args(annotation):
        if fields := _list_fields(argument):
            return fields
    return {}


def _find_field(fields: Mapping[str, FieldInfo], key: KeyPath) -> FieldInfo | None:
    """Return the last field that `key` passes on its way down from `fields`."""
    field = None
    for part in key:
        if part in fields:
            field = fields[str(part)]
            fields = _list_fields(field.annotation)
    return field


def _suggest_field(fields: Mapping[str, FieldInfo], key: KeyPath) -> str:
    """Return a hint for an unknown key: the nearest known one, or the whole list."""
    for part in key[:-1]:
        if part in fields:
            fields = _list_fields(fields[str(part)].annotation)
    near = difflib.get_close_matches(str(key[-1]), list(fields), n=1)
    if not near:
        return f"known here: {', '.join(fields)}"
    return f"did you mean `{near[0]}`? ({fields[near[0]].description})"
