"""What the networks were trained with."""

from __future__ import annotations

from cyborg.results.page import Context, html, table
from cyborg.results.sections._base import Section


def render(context: Context) -> str:
    """A table per distinct environment, with the number of its cells."""
    parts = [html("<h2>Environment</h2>")]
    for environment, count in context.environments:
        rows = [[key, _value(environment[key])] for key in sorted(environment)]
        parts.append(table(["", f"{count} cells"], rows, 2))
    return "".join(parts)


def _value(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {value[key]}" for key in sorted(value))
    return str(value)


SECTION = Section(90, render)
