"""Check the key `prepare` of a variant: the options, and the other variants that they name."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

from pydantic import ValidationError

from cyborg.common.errors import UserError
from cyborg.common.families import PREPARATIONS
from cyborg.common.registry import suggest_name
from cyborg.common.schema import Parameters, collect_mistakes
from cyborg.config.experiment import Experiment, Variant
from cyborg.config.parameter_file import ParameterFile


def resolve_options(variant: Variant) -> dict[str, Parameters]:
    """Return the preparations of a variant in order: name, and options with all defaults."""
    return {
        name: PREPARATIONS.find(name).options.model_validate(given or {})
        for name, given in variant.prepare.items()
    }


def find_mistakes(experiment: Experiment, name: str, file: ParameterFile) -> list[UserError]:
    """Return the mistakes in the preparations of variant `name`, which `file` holds."""
    found: list[UserError] = []
    known = PREPARATIONS.list_names()
    variant = experiment.variants[name]
    for step, given in variant.prepare.items():
        key = ("variants", name, "prepare", step)
        location = file.locate(*key)
        if step not in known:
            found.append(PREPARATIONS.describe_unknown(step, location))
            continue
        member = PREPARATIONS.find(step)
        try:
            options = member.options.model_validate(given or {})
        except ValidationError as error:
            found += collect_mistakes(
                error, member.options, file.path, key, file.find_line
            ).mistakes
            continue
        other = getattr(options, "variant", None)
        if other is not None and other not in experiment.variants:
            hint = suggest_name(other, list(experiment.variants))
            place = file.locate(*key, "variant")
            found.append(UserError(f"`{other}` is not a variant", location=place, hint=hint))
        if member.needs_maps and variant.saliency is None:
            hint = "give `saliency: <map set>` as well"
            found.append(UserError(f"`{step}` needs human maps", location=location, hint=hint))
    return found


def find_circle(experiment: Experiment) -> list[str]:
    """Return variants that are each taught by the next, the last being the first, or []."""
    teachers = {
        name: [o.variant for o in resolve_options(variant).values() if hasattr(o, "variant")]
        for name, variant in experiment.variants.items()
    }
    try:
        TopologicalSorter(teachers).prepare()
    except CycleError as error:
        chain: list[str] = error.args[1]
        return chain[::-1]  # in the error, each is taught by the one before
    return []
