"""Read params.yaml, check all of it before anything runs, and resolve what depends on two keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cyborg.common.errors import UserError, UserErrors
from cyborg.common.families import CONTROLS, FORMATS, LOSSES
from cyborg.common.registry import suggest_name
from cyborg.common.schema import KeyPath, collect_mistakes
from cyborg.config import preparations
from cyborg.config.experiment import NAME, Experiment, Variant
from cyborg.config.training import Training


def load_experiment(path: str | Path = "params.yaml") -> Experiment:
    """Read and check an experiment.

    Raises UserErrors naming file, line, key, what was expected and the nearest valid name, for
    all mistakes of the file at once.
    """
    raw = _read(Path(path))
    try:
        experiment = Experiment.model_validate(_plain(raw))
    except ValidationError as error:
        raise collect_mistakes(error, Experiment, path, lines=lambda key: _line(raw, key)) from None
    found = _names(experiment, raw, path) + _references(experiment, raw, path)
    for name in experiment.variants:
        found += _options(experiment.variants[name], name, raw, path)
        found += preparations.mistaken(
            experiment, name, path, lambda *key: _where(raw, path, *key), lambda k: _line(raw, k)
        )
    if found:
        raise UserErrors(found)
    if circle := preparations.circle(experiment):
        raise UserError(
            f"teachers in a circle: {' -> '.join(circle)}",
            where=_where(raw, path, "variants", circle[0], "prepare"),
            hint="the first teacher must be taught by people",
        )
    return experiment


def resolve_loss_options(variant: Variant) -> dict[str, Any]:
    """The options of a variant's loss with defaults filled in (cyborg/losses/<loss>.py)."""
    options = LOSSES.find(variant.loss).options
    resolved: dict[str, Any] = options.model_validate(variant.options).model_dump(mode="json")
    return resolved


def resolve_training(experiment: Experiment, architecture: str, variant: str) -> Training:
    """`training` with the overrides of the architecture, then those of the variant."""
    merged = experiment.training.model_dump()
    for changes in (
        experiment.architectures[architecture].training,
        experiment.variants[variant].training,
    ):
        merged = _merge(merged, changes)
    return Training.model_validate(merged)


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if nested else value
    return merged


def _read(path: Path) -> Any:
    try:
        raw = YAML().load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            "there is no such file",
            where=path,
            hint="run the command in the project folder or give --params",
        ) from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"is not valid YAML: {error}", where=path) from None
    if not isinstance(raw, dict):
        raise UserError("holds no keys", where=path, hint="see params.yaml of this project")
    return raw


def _plain(value: Any) -> Any:
    """Plain dictionaries and lists, keys as text, from what ruamel.yaml returns."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _line(raw: Any, key: KeyPath) -> int | None:
    """Line of a key in the file, counted from one; of its nearest parent where it is absent."""
    line, place = None, raw
    for part in key:
        try:
            marks = place.lc  # ruamel.yaml's line numbers
            position = marks.key(part) if isinstance(part, str) else marks.item(part)
            line, place = position[0] + 1, place[part]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return line


def _where(raw: Any, path: str | Path, *key: str | int) -> str:
    line = _line(raw, key)
    return f"{path}{f':{line}' if line else ''}: {'.'.join(str(part) for part in key)}"


def _names(experiment: Experiment, raw: Any, path: str | Path) -> list[UserError]:
    """Names that become folders must be safe to use as such."""
    families: dict[tuple[str, ...], dict[str, Any]] = {
        ("data", "training_sets"): experiment.data.training_sets,
        ("data", "test_sets"): experiment.data.test_sets,
        ("saliency",): experiment.saliency,
        ("architectures",): experiment.architectures,
        ("variants",): experiment.variants,
    }
    return [
        UserError(
            f"`{name}` cannot be a name",
            where=_where(raw, path, *key, name),
            hint="use lower-case letters, digits and _",
        )
        for key, family in families.items()
        for name in family
        if not re.match(NAME, name)
    ]


def _references(experiment: Experiment, raw: Any, path: str | Path) -> list[UserError]:
    """Names that one section uses and another defines."""
    found: list[UserError] = []

    def must(name: str | None, known: list[str], what: str, *key: str) -> None:
        if name is not None and name not in known:
            found.append(
                UserError(
                    f"`{name}` is not {what}",
                    where=_where(raw, path, *key),
                    hint=suggest_name(name, known),
                )
            )

    controls = ["none", *CONTROLS.names()]
    for name, variant in experiment.variants.items():
        key = ("variants", name)
        must(variant.loss, LOSSES.names(), "a loss", *key, "loss")
        must(
            variant.training_set,
            list(experiment.data.training_sets),
            "in data.training_sets",
            *key,
            "training_set",
        )
        must(variant.saliency, list(experiment.saliency), "in saliency", *key, "saliency")
        must(variant.control, controls, "a control", *key, "control")
        if variant.control != "none" and variant.saliency is None:
            found.append(
                UserError(
                    "a control needs maps to change",
                    where=_where(raw, path, *key, "control"),
                    hint="give `saliency: <map set>` as well",
                )
            )
    formats = ["auto", *FORMATS.names()]
    for name, maps in experiment.saliency.items():
        must(maps.format, formats, "a format", "saliency", name, "format")
    must(experiment.report.baseline, list(experiment.variants), "in variants", "report", "baseline")
    if len(set(experiment.seeds)) < len(experiment.seeds):
        found.append(UserError("a seed stands there twice", where=_where(raw, path, "seeds")))
    overridden: dict[str, dict[str, Any]] = {
        "architectures": experiment.architectures,
        "variants": experiment.variants,
    }
    for kind, family in overridden.items():
        for name, row in family.items():
            try:
                Training.model_validate(_merge(experiment.training.model_dump(), row.training))
            except ValidationError as error:
                prefix = (kind, name, "training")
                found += collect_mistakes(
                    error, Training, path, prefix, lambda key: _line(raw, key)
                ).mistakes
    return found


def _options(variant: Variant, name: str, raw: Any, path: str | Path) -> list[UserError]:
    """Further keys of a variant are options of its loss."""
    if variant.loss not in LOSSES.names():
        return []
    options = LOSSES.find(variant.loss).options
    try:
        options.model_validate(variant.options)
    except ValidationError as error:
        both = type("Both", (Variant, options), {})
        return collect_mistakes(
            error, both, path, ("variants", name), lambda key: _line(raw, key)
        ).mistakes
    return []
