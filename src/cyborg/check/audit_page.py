"""Write the audit for readers: as Markdown, and as one HTML file that shows suspicious pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from cyborg.common.page import embed_png, render_html, render_page, render_table
from cyborg.split.duplicates import read_thumbnail

# Pairs whose pictures are shown.
SHOWN_PAIRS = 40
# Side of these pictures, pixels.
SIDE = 96
# How the two kinds of sets are called in tables.
KINDS = {"training_sets": "training", "test_sets": "test"}

MISTAKES = """<h2>{{ title }}</h2>
<ul>
{% for mistake in mistakes %}
<li>{% if mistake.where %}<code>{{ mistake.where }}</code>: {% endif %}{{ mistake.what }}
{%- if mistake.hint %}<br><span class="soft">{{ mistake.hint }}</span>{% endif %}</li>
{% endfor %}
</ul>"""

TABLE = """<h2>{{ title }}</h2>
{% if note %}<p>{{ note }}</p>{% endif %}
{{ table | safe }}"""

PAIRS = """<h2>Test images that look like training images</h2>
{% if shown < number %}<p>The first {{ shown }} of {{ number }}.</p>{% endif %}
{% for pair in pairs %}
<figure class="pair">
{% for picture in pair.pictures %}
<img alt="" width="{{ side }}" height="{{ side }}" src="{{ picture }}">
{% endfor %}
<figcaption>{{ pair.test }}<br>{{ pair.training }}<br>{{ pair.likeness }}</figcaption></figure>
{% endfor %}"""


@dataclass(frozen=True)
class AuditTable:
    """A table of the audit. The first `text_columns` columns hold text, the others numbers."""

    title: str
    note: str
    heads: list[str]
    rows: list[list[str]]
    text_columns: int


def write_markdown(report: dict[str, Any]) -> str:
    """Return the report as Markdown. report: the content of check.json."""
    lines = ["# Audit of the data", "", _state_verdict(report), ""]
    for title, mistakes in _list_mistakes(report):
        lines += [f"## {title}", ""]
        for m in mistakes:
            place = f"{m['where']}: " if m["where"] else ""
            lines.append(f"- {place}{m['what']}" + (f" *({m['hint']})*" if m["hint"] else ""))
        lines.append("")
    for table in _make_tables(report):
        lines += [f"## {table.title}", ""]
        lines += [table.note, ""] if table.note else []
        lines.append(f"| {' | '.join(table.heads)} |")
        lines.append(f"|{' --- |' * len(table.heads)}")
        lines += [f"| {' | '.join(row)} |" for row in table.rows]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def write_html(report: dict[str, Any], pairs: pd.DataFrame, files: pd.Series, root: Path) -> str:
    """Return the report as one HTML file, with pictures of the near duplicates.

    report: the content of check.json. pairs: near duplicates with the columns `a` (test image),
    `b` (training image), `distance` and `correlation`. files: path of each image from `root`, by
    image name.
    """
    sections = [
        render_html(MISTAKES, title=title, mistakes=mistakes)
        for title, mistakes in _list_mistakes(report)
    ]
    for table in _make_tables(report):
        body = render_table(table.heads, table.rows, table.text_columns)
        sections.append(render_html(TABLE, title=table.title, note=table.note, table=body))
    if len(pairs):
        paths = {str(name): root / str(file) for name, file in files.items()}
        shown = [
            {
                "pictures": [_embed_thumbnail(paths[str(name)]) for name in (row.a, row.b)],
                "test": row.a,
                "training": row.b,
                "likeness": f"{row.distance} bits, {row.correlation:.3f}",
            }
            for row in pairs.head(SHOWN_PAIRS).itertuples()
        ]
        sections.append(
            render_html(PAIRS, pairs=shown, shown=len(shown), number=len(pairs), side=SIDE)
        )
    return render_page("Audit of the data", _state_verdict(report), sections)


def _state_verdict(report: dict[str, Any]) -> str:
    warnings = f"{len(report['warnings'])} warnings"
    if report["passed"]:
        return f"Passed, {warnings}."
    return f"Stopped: {len(report['errors'])} mistakes, {warnings}. Nothing is trained on this."


def _list_mistakes(report: dict[str, Any]) -> list[tuple[str, list[dict[str, str]]]]:
    """Return the title and the items of each list of mistakes that is not empty."""
    lists = [("Errors that stop the build", report["errors"]), ("Warnings", report["warnings"])]
    return [(title, mistakes) for title, mistakes in lists if mistakes]


def _make_tables(report: dict[str, Any]) -> Iterator[AuditTable]:
    """Give all tables that have rows."""
    tables = [
        _tabulate_sets(report.get("sets", {})),
        _tabulate_generators(report.get("generators", {})),
        _tabulate_baselines(report.get("baselines", {}), report.get("baselines_trained_on", "")),
        _tabulate_confounds(report.get("confounds", {})),
        _tabulate_near_duplicates(report.get("near_duplicates", {})),
    ]
    yield from (table for table in tables if table.rows)


def _tabulate_sets(sets: dict[str, Any]) -> AuditTable:
    rows = [
        [
            KINDS[kind],
            name,
            part,
            ", ".join(f"{n} {label}" for label, n in entry[part].items()),
            ", ".join(f"{n} {maps}" for maps, n in entry["maps"][part].items()) or "–",
        ]
        for kind, entries in sets.items()
        for name, entry in entries.items()
        for part in ("train", "validation", "test")
        if part in entry
    ]
    return AuditTable("Sets", "", ["kind", "set", "part", "images", "maps"], rows, 5)


def _tabulate_generators(generators: dict[str, Any]) -> AuditTable:
    rows = [
        [name, ", ".join(entry["seen"]) or "–", ", ".join(entry["unseen"]) or "–"]
        for name, entry in generators.items()
    ]
    note = "The generators of each test set: `seen` ones are in a training set, `unseen` are not."
    return AuditTable("Generators", note, ["set", "seen", "unseen"], rows, 3)


def _tabulate_baselines(baselines: dict[str, Any], trained_on: str) -> AuditTable:
    rows = [
        [name, _format_auc(aucs.get("thumbnails")), _format_auc(aucs.get("header"))]
        for name, aucs in baselines.items()
    ]
    note = (
        f"AUC on each test set of two small classifiers that were trained on `{trained_on}`: one "
        "sees thumbnails of 8x8 pixels, the other file headers only. Compare every network with "
        "them."
    )
    heads = ["test set", "thumbnails", "header"]
    return AuditTable("Trivial classifiers", note, heads, rows, 1)


def _tabulate_confounds(confounds: dict[str, Any]) -> AuditTable:
    families = sorted({f for sets in confounds.values() for aucs in sets.values() for f in aucs})
    rows = [
        [KINDS[kind], name, *(_format_auc(aucs.get(family)) for family in families)]
        for kind, sets in confounds.items()
        for name, aucs in sets.items()
    ]
    note = (
        "Cross-validated AUC, within each set, of a small classifier that sees only this. An AUC "
        "of 0.5 is no information. A dash means that there are too few images."
    )
    return AuditTable("Confounds", note, ["kind", "set", *families], rows, 2)


def _tabulate_near_duplicates(near_duplicates: dict[str, Any]) -> AuditTable:
    rows = [
        [pair["a"], pair["b"], str(pair["distance"]), f"{pair['correlation']:.3f}"]
        for pair in near_duplicates.get("pairs", [])
    ]
    heads = ["test image", "training image", "bits", "correlation"]
    return AuditTable("Near duplicates", "", heads, rows, 2)


def _format_auc(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _embed_thumbnail(path: Path) -> str:
    buffer = BytesIO()
    Image.fromarray(read_thumbnail(path, SIDE)).save(buffer, "PNG")
    return embed_png(buffer.getvalue())
