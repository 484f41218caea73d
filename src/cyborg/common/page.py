"""Build HTML pages that are one file: no links, no scripts, images embedded, text escaped."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from jinja2 import Environment

_ENVIRONMENT = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)

STYLE = """
:root { --ink: #1d2733; --soft: #5d6b7a; --line: #dfe4ea; --accent: #0072b2; }
body { font: 15px/1.55 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--ink);
  max-width: 68rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .5rem; padding-top: .8rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p, li { max-width: 50rem; }
li { margin: .4rem 0; }
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
figure.pair { display: inline-block; margin: .5rem; }
figure.pair img { image-rendering: pixelated; }
figure img { max-width: 100%; height: auto; }
figcaption, .soft { color: var(--soft); font-size: .88rem; max-width: 50rem; }
.note { border-left: 4px solid var(--accent); background: #f3f8fc; padding: .6rem 1rem;
  margin: .8rem 0; max-width: 49rem; }
.warn { border-left-color: #d55e00; background: #fdf5ef; }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .88em; }
"""

PAGE = _ENVIRONMENT.from_string(
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ style | safe }}</style>
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
<th{{ ' class="n"' | safe if loop.index0 >= text_columns }}>{{ head }}</th>
{%- endfor -%}
</tr></thead>
<tbody>
{% for row in rows %}
<tr{{ ' class="group"' | safe if grouped and loop.previtem and loop.previtem[0] != row[0] }}>
{%- for cell in row -%}
<td{{ ' class="n"' | safe if loop.index0 >= text_columns }}>{{ cell }}</td>
{%- endfor -%}
</tr>
{% endfor %}
</tbody></table></div>
"""
)


def render_page(title: str, subtitle: str, sections: Sequence[str]) -> str:
    """Return a whole page. title and subtitle are text, sections are HTML."""
    return PAGE.render(title=title, subtitle=subtitle, sections=sections, style=STYLE)


def render_table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int, caption: str = ""
) -> str:
    """Return an HTML table, with its cells escaped.

    text_columns: how many columns from the left hold text. The others hold numbers, which are
    aligned to the right. A line separates rows whose first cells differ.
    """
    grouped = len({row[0] for row in rows}) < len(rows)
    return TABLE.render(
        heads=heads, rows=rows, text_columns=text_columns, caption=caption, grouped=grouped
    )


def render_html(template: str, **values: object) -> str:
    """Return a piece of HTML from a jinja2 template whose values are escaped.

    >>> render_html("<p>{{ name }}</p>", name="a < b")
    '<p>a &lt; b</p>'
    """
    return _ENVIRONMENT.from_string(template).render(**values)


def embed_png(data: bytes) -> str:
    """Return the address of an image that contains the image itself.

    >>> embed_png(b"PNG")
    'data:image/png;base64,UE5H'
    """
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"
