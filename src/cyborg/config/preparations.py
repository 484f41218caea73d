"""The key `prepare` of a variant: its options checked, and the other variants that it names."""

from __future__ import annotations

from collections.abc import Callable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from pydantic import BaseModel, ValidationError

from cyborg.common.errors import UserError
from cyborg.common.families import PREPARATIONS
from cyborg.common.registry import suggest_name
from cyborg.common.schema import KeyPath, collect_mistakes
from cyborg.config.experiment import Experiment, Variant


def resolve_options(variant: Variant) -> dict[str, BaseModel]:
    """The preparations of a variant, in order: name, and options with defaults filled in."""
    return {
        name: PREPARATIONS.find(name).options.model_validate(given or {})
        for name, given in variant.prepare.items()
    }


def find_mistakes(
    experiment: Experiment,
    name: str,
    path: str | Path,
    where: Callable[..., str],
    lines: Callable[[KeyPath], int | None],
) -> list[UserError]:
    """What is wrong with the preparations of variant `name`.

    where, lines: give the place, and the line, of a key in the file `path`.
    """
    found: list[UserError] = []
    known = PREPARATIONS.names()
    variant = experiment.variants[name]
    for step, given in variant.prepare.items():
        key = ("variants", name, "prepare", step)
        if step not in known:
            hint = suggest_name(step, known)
            found.append(UserError(f"`{step}` is not a preparation", where=where(*key), hint=hint))
            continue
        member = PREPARATIONS.find(step)
        try:
            checked = member.options.model_validate(given or {})
        except ValidationError as error:
            found += collect_mistakes(error, member.options, path, key, lines).mistakes
            continue
        other = getattr(checked, "variant", None)
        if other is not None and other not in experiment.variants:
            hint = suggest_name(other, list(experiment.variants))
            what = f"`{other}` is not in variants"
            found.append(UserError(what, where=where(*key, "variant"), hint=hint))
        if member.needs_maps and variant.saliency is None:
            hint = "give `saliency: <map set>` as well"
            found.append(UserError(f"`{step}` needs human maps", where=where(*key), hint=hint))
    return found


def find_circle(experiment: Experiment) -> list[str]:
    """Variants each taught by the next, the last being the first; empty where there are none."""
    teachers = {
        name: [o.variant for o in resolve_options(variant).values() if hasattr(o, "variant")]
        for name, variant in experiment.variants.items()
    }
    try:
        TopologicalSorter(teachers).prepare()
    except CycleError as error:
        chain: list[str] = error.args[1]
        return chain[::-1]  # there each is taught by the one before
    return []
