"""Show the machines and packages that the networks were trained with."""

from __future__ import annotations

from cyborg.common.page import render_html, render_table
from cyborg.results.page import ReportContext
from cyborg.results.sections._base import Section
from cyborg.results.tables import format_count


def render_environment(context: ReportContext) -> str:
    """Return a table per distinct environment, with the number of its cells."""
    parts = [render_html("<h2>Environment</h2>")]
    for environment, count in context.environments:
        rows = [[key, _format_value(environment[key])] for key in sorted(environment)]
        parts.append(render_table(["", format_count(count, "cell")], rows, 2))
    return "".join(parts)


def _format_value(value: object) -> str:
    """Return a value of environment.json as text."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {value[key]}" for key in sorted(value))
    return str(value)


SECTION = Section(90, render_environment)
