"""Keep the worst habits out of docstrings, README and pages.

The limits were measured in the docstrings of timm, kornia, pysaliency, attrs and httpx. The worst
of these libraries is the limit. A sentence that breaks one of them usually has to be read twice.
"""

from __future__ import annotations

import ast
import math
from pathlib import Path

import pytest

from language import (
    begins_with_verb,
    count_habits,
    is_one_word,
    list_docstrings,
    list_functions,
    strip_docstring_code,
    strip_markdown_code,
)
from paths import REPOSITORY

# Per 1,000 words. A chain of clauses is several sentences.
SEMICOLONS = 0.9
# Per 1,000 words. "where there is a map" means "if there is a map".
WHERE_FOR_IF = 0.1
# Per 1,000 words. "what a loss needs" has a noun: "the inputs of a loss".
WHAT_AS_NOUN = 1.1
# Share of function docstrings. "Return the map" says what a call does.
IMPERATIVE_DOCSTRINGS = 0.34
# Share of function names. One word, such as `part` or `located`, does not say what is done to what.
ONE_WORD_NAMES = 0.38
# More words than these, and nobody reads to the end.
README_WORDS = 1000

SOURCE = REPOSITORY / "src/cyborg"
PACKAGES = sorted(folder.parent for folder in SOURCE.glob("*/__init__.py"))
PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    REPOSITORY / "CHANGELOG.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
]


def check_habits(text: str) -> None:
    """Assert that a text keeps to the three limits; a short text may reach the next whole count."""
    found = count_habits(text)
    allowed = {
        "semicolons": math.ceil(SEMICOLONS * found.words / 1000),
        "where_for_if": round(WHERE_FOR_IF * found.words / 1000),
        "what_as_noun": math.ceil(WHAT_AS_NOUN * found.words / 1000),
    }
    for habit, count in allowed.items():
        assert getattr(found, habit) <= count, f"{found}: at most {count} {habit}"


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_docstrings(package: Path):
    docstrings = list(list_docstrings(sorted(package.rglob("*.py"))))
    check_habits("\n\n".join(strip_docstring_code(text) for _, text in docstrings))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages(page: Path):
    check_habits(strip_markdown_code(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_functions(package: Path):
    files = sorted(package.rglob("*.py"))
    texts = [t for node, t in list_docstrings(files) if isinstance(node, ast.FunctionDef)]
    other = [text.splitlines()[0] for text in texts if not begins_with_verb(text)]
    assert len(other) <= (1 - IMPERATIVE_DOCSTRINGS) * len(texts), "\n".join(other)
    names = [function.name for function in list_functions(files)]
    short = [name for name in names if is_one_word(name)]
    assert len(short) <= ONE_WORD_NAMES * len(names), ", ".join(short)


def test_readme_is_short():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    words = [word for word in text.split() if any(letter.isalnum() for letter in word)]
    assert len(words) <= README_WORDS
