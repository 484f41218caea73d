"""The generated blocks of the pages in docs/."""

from __future__ import annotations

from pathlib import Path

import pytest

from cyborg.common.errors import UserError
from cyborg.common.families import FAMILIES
from cyborg.reference.pages import BLOCKS, fill_blocks, write_pages
from paths import REPOSITORY

PAGES = sorted((REPOSITORY / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_is_up_to_date(page: Path):
    text = page.read_text(encoding="utf-8")
    assert fill_blocks(text, page) == text, f"docs/{page.name} is stale: run `make docs`"


def test_every_block_stands_on_one_page():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert {name: text.count(f"<!-- generated: {name} -->") for name in BLOCKS} == dict.fromkeys(
        BLOCKS, 1
    )


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.package)
def test_every_member_is_documented(family):
    for name in family.list_names():
        summary = family.read_summary(name)
        assert summary.rstrip()[-1:] in {".", "?"}, f"{family.package}.{name} has no first sentence"
        assert any(f"`{name}`" in block() for block in BLOCKS.values())


def test_a_stale_block_is_written_anew_and_the_rest_kept(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- generated: families -->\nstale text\n<!-- end: families -->\nafter\n"
    )
    assert write_pages([page]) == [page]
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- generated: families -->\n| family |")
    assert text.endswith("<!-- end: families -->\nafter\n")
    assert "stale text" not in text
    assert write_pages([page]) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- generated: loses -->\n<!-- end: loses -->\n", "did you mean `losses`"),
        ("<!-- generated: losses -->\n", "has no end"),
    ],
)
def test_a_broken_block_is_named(text: str, message: str):
    with pytest.raises(UserError, match=message) as caught:
        fill_blocks(text, Path("docs/page.md"))
    assert "docs/page.md" in str(caught.value)
