"""Fill the generated blocks of hand-written pages.

A block stands between two comments, which Markdown does not show:

    <!-- generated: losses -->
    …
    <!-- end: losses -->
"""

from __future__ import annotations

import re
from pathlib import Path

from cyborg.common.errors import UserError
from cyborg.common.files import write_text
from cyborg.common.registry import suggest_name
from cyborg.reference import members, parameters

# Name of a block: the function that writes it.
BLOCKS = {
    "parameters": parameters.describe_parameters,
    "losses": members.describe_losses,
    "preparations": members.describe_preparations,
    "controls": members.describe_controls,
    "formats": members.tabulate_formats,
    "omissions": members.tabulate_omissions,
    "metrics": members.tabulate_metrics,
    "sections": members.tabulate_sections,
    "families": members.tabulate_families,
}
_START = re.compile(r"^<!-- generated: (.*) -->$", re.MULTILINE)


def fill_blocks(text: str, page: Path) -> str:
    """Return the text of a page with the content of every generated block renewed.

    Raises UserError, with the page, if a block has an unknown name or no end.
    """
    filled, rest = "", text
    while start := _START.search(rest):
        name = start[1]
        if name not in BLOCKS:
            raise UserError(
                f"no generated block is called `{name}`",
                location=page,
                hint=suggest_name(name, list(BLOCKS)),
            )
        end = f"<!-- end: {name} -->\n"
        _, found, after = rest[start.end() :].partition(end)
        if not found:
            raise UserError(
                f"the generated block `{name}` has no end", location=page, hint=f"add {end.strip()}"
            )
        filled += f"{rest[: start.end()]}\n{BLOCKS[name]()}{end}"
        rest = after
    return filled + rest


def write_pages(pages: list[Path]) -> list[Path]:
    """Renew the generated blocks of pages, and return the pages that changed."""
    changed = []
    for page in pages:
        text = page.read_text(encoding="utf-8")
        filled = fill_blocks(text, page)
        if filled != text:
            write_text(page, filled)
            changed.append(page)
    return changed
