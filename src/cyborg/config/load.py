"""Read params.yaml, check all of it before anything runs, and resolve what depends on two keys."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from cyborg.common.errors import UserError, UserErrors
from cyborg.common.families import CONTROLS, FORMATS, LOSSES
from cyborg.common.registry import suggest_name
from cyborg.common.schema import collect_mistakes
from cyborg.config import preparations
from cyborg.config.experiment import NAME, REPEATED, Architecture, Experiment, Variant
from cyborg.config.parameter_file import ParameterFile
from cyborg.config.training import Training


def load_experiment(path: str | Path = "params.yaml") -> Experiment:
    """Read and check an experiment.

    Raises UserErrors for all mistakes of the file at once. Each names file, line and key, the
    expected value, and the nearest valid name.
    """
    file = ParameterFile.read(Path(path))
    try:
        experiment = Experiment.model_validate(file.values())
    except ValidationError as error:
        raise collect_mistakes(error, Experiment, path, find_line=file.find_line) from None
    found = [
        *find_missing_keys(file, file.path.parent / "dvc.yaml"),
        *_check_names(experiment, file),
        *_check_references(experiment, file),
        *_check_seeds(experiment, file),
        *_check_training_overrides(experiment, file),
    ]
    for name, variant in experiment.variants.items():
        found += _check_loss_options(variant, name, file)
        found += preparations.find_mistakes(experiment, name, file)
    if found:
        raise UserErrors(found)
    if circle := preparations.find_circle(experiment):
        raise UserError(
            f"teachers in a circle: {' -> '.join(circle)}",
            location=file.locate("variants", circle[0], "prepare"),
            hint="the first teacher must be taught by people",
        )
    return experiment


def find_missing_keys(file: ParameterFile, pipeline: Path) -> Iterator[UserError]:
    """Yield a mistake for each key that a stage of dvc.yaml depends on and the file does not have.

    DVC stops at such a key, but only when it comes to the stage. pipeline: dvc.yaml. If there is
    none, nothing is missing.
    """
    if not pipeline.is_file():
        return
    wanted: dict[str, str] = {}
    stages = yaml.safe_load(pipeline.read_text(encoding="utf-8")).get("stages", {})
    for stage, content in stages.items():
        for key in content.get("params", []):
            if isinstance(key, str):
                wanted.setdefault(key, stage)
    for key, stage in wanted.items():
        place: Any = file.values()
        for part in key.split("."):
            place = place.get(part) if isinstance(place, dict) and part in place else None
        top, _, inside = key.partition(".")
        if place is None:
            value = f"its default of docs/params.md to `{top}`" if inside else f"`{top}: {{}}`"
            yield UserError(
                "is missing",
                location=f"{file.path}: {key}",
                hint=f"the stage `{stage}` of {pipeline} depends on it. Add {value}",
            )


def resolve_loss_options(variant: Variant) -> dict[str, Any]:
    """Return the options of a variant's loss, with defaults filled in."""
    options = LOSSES.find(variant.loss).options
    resolved: dict[str, Any] = options.model_validate(variant.options).model_dump(mode="json")
    return resolved


def resolve_training(experiment: Experiment, architecture: str, variant: str) -> Training:
    """Return `training` with the overrides of the architecture, then those of the variant."""
    values = experiment.training.model_dump()
    for row in (experiment.architectures[architecture], experiment.variants[variant]):
        values = _merge_values(values, row.training)
    return Training.model_validate(values)


def _merge_values(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `overrides`, group by group."""
    merged = dict(base)
    for key, value in overrides.items():
        is_group = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge_values(merged[key], value) if is_group else value
    return merged


def _check_names(experiment: Experiment, file: ParameterFile) -> Iterator[UserError]:
    """Refuse names that cannot be the name of a folder."""
    rows: dict[tuple[str, ...], Collection[str]] = {
        ("data", "training_sets"): experiment.data.training_sets,
        ("data", "test_sets"): experiment.data.test_sets,
        ("saliency",): experiment.saliency,
        ("architectures",): experiment.architectures,
        ("variants",): experiment.variants,
    }
    for key, names in rows.items():
        for name in names:
            if not re.fullmatch(NAME, name) or re.search(REPEATED, name):
                shown = name[:80].encode("unicode_escape").decode()
                yield UserError(
                    f"`{shown}` cannot be a name",
                    location=file.locate(*key, name) if shown == name else file.locate(*key),
                    hint="use at most 64 lower-case letters, digits and _, and repeat no part ten "
                    "times",
                )


def _check_references(experiment: Experiment, file: ParameterFile) -> Iterator[UserError]:
    """Refuse names that one section uses and no other defines."""

    def check(name: str | None, known: list[str], noun: str, *key: str) -> Iterator[UserError]:
        if name is not None and name not in known:
            hint = suggest_name(name, known)
            yield UserError(f"`{name}` is not {noun}", location=file.locate(*key), hint=hint)

    training_sets, map_sets = list(experiment.data.training_sets), list(experiment.saliency)
    for name, variant in experiment.variants.items():
        key = ("variants", name)
        yield from check(variant.loss, LOSSES.list_names(), "a loss", *key, "loss")
        yield from check(
            variant.training_set, training_sets, "a training set", *key, "training_set"
        )
        yield from check(variant.saliency, map_sets, "a map set", *key, "saliency")
        controls = ["none", *CONTROLS.list_names()]
        yield from check(variant.control, controls, "a control", *key, "control")
        if variant.control != "none" and variant.saliency is None:
            yield UserError(
                "a control needs maps to change",
                location=file.locate(*key, "control"),
                hint="give `saliency: <map set>` as well",
            )
    for name, maps in experiment.saliency.items():
        formats = ["auto", *FORMATS.list_names()]
        yield from check(maps.format, formats, "a format", "saliency", name, "format")
    baseline, variants = experiment.report.baseline, list(experiment.variants)
    yield from check(baseline, variants, "a variant", "report", "baseline")


def _check_seeds(experiment: Experiment, file: ParameterFile) -> Iterator[UserError]:
    """Refuse a seed that is given twice."""
    for seed in sorted({s for s in experiment.seeds if experiment.seeds.count(s) > 1}):
        yield UserError(f"duplicate seed `{seed}`", location=file.locate("seeds"))


def _check_training_overrides(experiment: Experiment, file: ParameterFile) -> list[UserError]:
    """Check the key `training` of every architecture and every variant."""
    rows: dict[tuple[str, str], Architecture | Variant] = {
        **{("architectures", name): row for name, row in experiment.architectures.items()},
        **{("variants", name): row for name, row in experiment.variants.items()},
    }
    found: list[UserError] = []
    for key, row in rows.items():
        try:
            Training.model_validate(_merge_values(experiment.training.model_dump(), row.training))
        except ValidationError as error:
            place = (*key, "training")
            found += collect_mistakes(error, Training, file.path, place, file.find_line).mistakes
    return found


def _check_loss_options(variant: Variant, name: str, file: ParameterFile) -> list[UserError]:
    """Check the further keys of a variant, which are the options of its loss."""
    if variant.loss not in LOSSES.list_names():
        return []
    options = LOSSES.find(variant.loss).options
    try:
        options.model_validate(variant.options)
    except ValidationError as error:
        # A misspelt key may have been meant as an option or as a key of the variant.
        return collect_mistakes(
            error, options, file.path, ("variants", name), file.find_line, beside=Variant
        ).mistakes
    return []
