"""Every link of README and pages leads to a file and a heading that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from paths import REPOSITORY

PAGES = [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def list_anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("http:", "https:")):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{page.name}: no file {link}"
        if anchor:
            assert anchor in list_anchors(target), f"{page.name}: no heading {link}"


def test_the_readme_leads_to_every_page():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    linked = {link.partition("#")[0] for link in LINK.findall(readme)}
    pages = {f"docs/{page.name}" for page in (REPOSITORY / "docs").glob("*.md")}
    # The page on gaze belongs to the page on annotations.
    assert pages - linked <= {"docs/gaze.md"}
