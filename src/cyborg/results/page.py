"""Write report.html: one page of all sections, without links or scripts, with embedded images."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import pandas as pd
from jinja2 import Environment

from cyborg.common.decode import open_image
from cyborg.common.families import SECTIONS
from cyborg.config.experiment import Experiment
from cyborg.results.cells import Results, TrainingEnvironment
from cyborg.results.tables import Baselines, format_count

_ENVIRONMENT = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)


@dataclass(frozen=True)
class ReportContext:
    """Everything that a section may show.

    experiment: the parameters.
    results: the scores and what is known of the cells.
    baseline: the variant that others are compared with.
    auc, comparisons, alignment, operating_points, classes, confusion: rows of the CSV files of
        these names.
    baselines: AUCs of trivial classifiers, by test set and kind.
    figures: PNG files by name without suffix.
    environments: the environments that cells were trained in, each with its number of cells.
    """

    experiment: Experiment
    results: Results
    baseline: str
    auc: pd.DataFrame
    comparisons: pd.DataFrame
    alignment: pd.DataFrame
    operating_points: pd.DataFrame
    classes: pd.DataFrame
    confusion: pd.DataFrame
    baselines: Baselines
    figures: dict[str, bytes]
    environments: list[tuple[TrainingEnvironment, int]]

    @property
    def one_run(self) -> bool:
        """Return whether there is one run of each combination, which has no spread."""
        return bool((self.auc["runs"] == 1).all())


PAGE = _ENVIRONMENT.from_string(
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { --ink: #1d2733; --soft: #5d6b7a; --line: #dfe4ea; --accent: #0072b2; }
body { font: 15px/1.55 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--ink);
  max-width: 68rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .5rem; padding-top: .8rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p, li { max-width: 50rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums;
  font-size: .9rem; }
caption { caption-side: bottom; white-space: normal; text-align: left;
  color: var(--soft); padding-top: .4rem; font-size: .85rem; }
th { text-align: left; font-weight: 600; border-bottom: 1.5px solid var(--ink); }
th, td { padding: .28rem .8rem .28rem 0; white-space: nowrap; }
td { border-bottom: 1px solid var(--line); }
.n { text-align: right; }
tr.group td { border-top: 2px solid #b9c2cc; }
tr:hover td { background: #f6f8fa; }
figure { margin: 1rem 0; }
figure img { max-width: 100%; height: auto; }
figcaption, .soft { color: var(--soft); font-size: .88rem; max-width: 50rem; }
.note { border-left: 4px solid var(--accent); background: #f3f8fc; padding: .6rem 1rem;
  margin: .8rem 0; max-width: 49rem; }
.warn { border-left-color: #d55e00; background: #fdf5ef; }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .88em; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p class="soft">{{ subtitle }}</p>
{% for section in sections %}
<section>
{{ section | safe }}
</section>
{% endfor %}
</body>
</html>
"""
)

TABLE = _ENVIRONMENT.from_string(
    """<div class="scroll"><table>
{% if caption %}<caption>{{ caption }}</caption>{% endif %}
<thead><tr>
{%- for head in heads -%}
<th{{ ' class="n"' | safe if loop.index0 >= text }}>{{ head }}</th>
{%- endfor -%}
</tr></thead>
<tbody>
{% for row in rows %}
<tr{{ ' class="group"' | safe if grouped and loop.previtem and loop.previtem[0] != row[0] }}>
{%- for cell in row -%}
<td{{ ' class="n"' | safe if loop.index0 >= text }}>{{ cell }}</td>
{%- endfor -%}
</tr>
{% endfor %}
</tbody></table></div>
"""
)

FIGURE = _ENVIRONMENT.from_string(
    """<figure><img alt="{{ alt }}" width="{{ width }}" src="data:image/png;base64,{{ data }}">
<figcaption>{{ caption }}</figcaption></figure>
"""
)


def render_table(heads: list[str], rows: list[list[str]], text: int, caption: str = "") -> str:
    """Return an HTML table, with its cells escaped.

    text: number of columns from the left that are text; the others are numbers. A line separates
    rows whose first cells differ.
    """
    grouped = len({row[0] for row in rows}) < len(rows)
    return TABLE.render(heads=heads, rows=rows, text=text, caption=caption, grouped=grouped)


def render_figure(context: ReportContext, name: str, caption: str) -> str:
    """Return an embedded figure, or an empty text if the report has none of this name."""
    if name not in context.figures:
        return ""
    png = context.figures[name]
    with open_image(png, ("PNG",)) as image:
        # The page shows the figure at two thirds of its width in dots, so that it is sharp on
        # fine screens.
        width = image.width * 2 // 3
    data = base64.b64encode(png).decode()
    return FIGURE.render(alt=name.replace("_", " "), data=data, width=width, caption=caption)


def render_html(template: str, **values: object) -> str:
    """Return a piece of HTML from a jinja2 template whose values are escaped.

    >>> render_html("<p>{{ name }}</p>", name="a < b")
    '<p>a &lt; b</p>'
    """
    return _ENVIRONMENT.from_string(template).render(**values)


def render_page(context: ReportContext) -> str:
    """Return the whole page, with the sections by their `order` and then by name."""
    members = [SECTIONS.find(name) for name in SECTIONS.names()]
    members.sort(key=lambda section: section.order)
    combinations = format_count(len(context.results.seeds), "combination")
    runs = format_count(len(context.experiment.seeds), "run")
    sets = format_count(len(context.results.sets), "test set")
    return PAGE.render(
        title=context.experiment.name,
        subtitle=f"{combinations} of architecture and variant, {runs} of each, {sets}",
        sections=[text for section in members if (text := section.render(context))],
    )
