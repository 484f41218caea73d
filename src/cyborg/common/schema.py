"""The base of every parameter model: unknown keys are refused, mistakes name file, line and key."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from cyborg.common.errors import UserError, UserErrors


class Parameters(BaseModel):
    """A group of parameters: immutable, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, validate_default=True)


KeyPath = tuple[str | int, ...]


def collect_mistakes(
    error: ValidationError,
    model: type[BaseModel],
    path: str | Path,
    prefix: KeyPath = (),
    lines: Any = None,
) -> UserErrors:
    """Turn pydantic's report into one message per mistake.

    `model` is the class that was validated, `prefix` the key under which it stands in the file,
    `lines` a function from a key path to its line number (or None where it is not known).
    """
    found: list[UserError] = []
    for item in error.errors():
        location: KeyPath = tuple(part for part in item["loc"] if not _is_tag(part))
        key = ".".join(str(part) for part in (*prefix, *location))
        line = lines((*prefix, *location)) if lines else None
        where = f"{path}:{line}: {key}" if line else f"{path}: {key}"
        what: str
        hint: str | None
        if item["type"] == "extra_forbidden":
            what, hint = "not a parameter", _nearest(model, location)
        elif item["type"] == "missing":
            what, hint = "is missing", _describe(_field(model, location))
        else:
            what = f"{item['msg'][0].lower()}{item['msg'][1:]}, not `{item['input']}`"
            hint = _describe(_field(model, location))
        found.append(UserError(what, where=where, hint=hint))
    return UserErrors(found)


def _is_tag(part: str | int) -> bool:
    return isinstance(part, str) and ("[" in part or part.startswith("function-"))


def _fields(annotation: Any) -> dict[str, FieldInfo]:
    """The fields of the model found in an annotation such as `Model`, `dict[str, Model] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.model_fields
    for argument in get_args(annotation):
        if fields := _fields(argument):
            return fields
    return {}


def _field(model: type[BaseModel], location: KeyPath) -> FieldInfo | None:
    fields, field = model.model_fields, None
    for part in location:
        if part in fields:
            field = fields[str(part)]
            fields = _fields(field.annotation)
    return field


def _nearest(model: type[BaseModel], location: KeyPath) -> str:
    fields = model.model_fields
    for part in location[:-1]:
        if part in fields:
            fields = _fields(fields[str(part)].annotation)
    near = difflib.get_close_matches(str(location[-1]), list(fields), n=1)
    known = ", ".join(fields)
    if not near:
        return f"known here: {known}"
    return f"did you mean `{near[0]}`? ({fields[near[0]].description})"


def _describe(field: FieldInfo | None) -> str | None:
    return field.description if field else None
