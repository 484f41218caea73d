"""Describe the members of each family from their docstrings and records."""

from __future__ import annotations

from typing import Any

from cyborg.common.families import (
    CONTROLS,
    FAMILIES,
    FORMATS,
    LOSSES,
    PREPARATIONS,
    SECTIONS,
)
from cyborg.common.registry import Family
from cyborg.reference.parameters import describe_options, describe_parameters
from cyborg.results.metrics._base import list_metrics


def describe_all_keys() -> str:
    """Return every key of params.yaml, with the options of all losses and preparations."""
    return "\n".join(
        [
            f"# Parameters\n\n{describe_parameters()}",
            f"# Losses\n\n{describe_losses()}",
            f"# Preparations\n\n{describe_preparations()}",
        ]
    )


def describe_losses() -> str:
    """Return a section for each loss: its docstring and its options."""
    return _describe_members(LOSSES)


def describe_preparations() -> str:
    """Return a section for each preparation: its docstring and its options."""
    return _describe_members(PREPARATIONS)


def describe_controls() -> str:
    """Return a section for each control: its docstring."""
    return _describe_members(CONTROLS)


def tabulate_formats() -> str:
    """Return a table of the annotation formats: their files, and which content is read."""
    rows = []
    for name in FORMATS.list_names():
        record = FORMATS.find(name)
        rows.append([f"`{name}`", record.title, record.tools, record.reads, record.size])
    return _tabulate(["format", "name", "files", "read", "image size"], rows)


def tabulate_omissions() -> str:
    """Return a table of the annotation formats: which content is left out or is an error."""
    rows = []
    for name in FORMATS.list_names():
        record = FORMATS.find(name)
        rows.append([f"`{name}`", record.skips or "–", record.refuses or "–"])
    return _tabulate(["format", "left out", "an error"], rows)


def tabulate_metrics() -> str:
    """Return a table of the values that the metrics of the report give."""
    rows = [
        [f"`{value.name}`", value.meaning, value.source]
        for metric in list_metrics()
        for value in metric.values
    ]
    return _tabulate(["measure", "definition", "source"], rows)


def tabulate_sections() -> str:
    """Return a table of the sections of report.html, in the order of the page."""
    names = sorted(SECTIONS.list_names(), key=lambda name: SECTIONS.find(name).order)
    rows = [[str(SECTIONS.find(n).order), f"`{n}`", SECTIONS.read_summary(n)] for n in names]
    return _tabulate(["order", "module", "shows"], rows)


def tabulate_families() -> str:
    """Return a table of all families: folder, record, members."""
    rows = [
        [
            family.noun.split(" ", 1)[1],
            f"`src/{family.package.replace('.', '/')}/`",
            f"`{family.constant}`",
            ", ".join(f"`{name}`" for name in family.list_names()),
        ]
        for family in FAMILIES
    ]
    return _tabulate(["family", "folder", "record", "members"], rows)


def _describe_members(family: Family[Any]) -> str:
    """Return a section for each member: its docstring, and its options if it has any."""
    sections = []
    for name in family.list_names():
        text = f"## {name}\n\n{family.read_documentation(name).strip()}\n"
        options = getattr(family.find(name), "options", None)
        if options is not None:
            text += f"\n{describe_options(options)}"
        sections.append(text)
    return "\n".join(sections)


def _tabulate(heads: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table, with each `|` inside a cell escaped."""
    lines = [heads, ["---"] * len(heads), *([c.replace("|", "\\|") for c in row] for row in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines).replace("| --- ", "|---")
