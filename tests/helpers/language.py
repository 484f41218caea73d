"""Count habits of language in docstrings and pages that make readers read twice."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Verbs with which a docstring may begin: "Return the …".
_VERBS = """
accept add adjust aggregate allow answer append apply approximate ask assemble assert assign
audit average balance begin blend blur bound build bundle cache calculate call cast centre check
choose clean clear clip clone close collect combine compare compile complete compose compress
compute connect convert copy correct correlate count cover create crop cut decide declare decode
define delete describe detach determine divide do download draw drop encode end enlarge ensure
escape estimate evaluate expand explain export extract fail fall fetch fill filter find fit fix
flip flush follow force format forget freeze gather generate get give go group guess guide hand
handle hash hide hold ignore import include index initialise insert inspect interpolate
interrupt invert iterate join judge keep label learn leave let limit link list load locate lock
log look make map mark match measure merge mirror mix move multiply name normalise note number
offer open order pack pad paint parse pass pick plan plot point pool predict prepare print
process produce project pull push put raise rank rasterise read rebuild recognise recompute
record reduce refuse register reject release reload remember remove rename render repeat replace
report represent rescale reserve reset resize resolve restart restore restrict resume return
reverse rotate round run sample save say scale scan score search see select send separate set
shift shorten show shrink shuffle shut simulate skip smooth sort split stack standardise start
state stop store stretch strip sum suggest summarise supply swap switch sync tabulate take tell
test touch track train translate transform trim try turn undo unlock unpack update use validate
verify visit wait walk warn weigh widen wrap write yield
"""
VERBS = frozenset(_VERBS.split())
# Names that a protocol or a convention gives, which one word may have.
_PROTOCOL_NAMES = (
    "forward read recognise render run prepare change compute main update text find names"
)
PROTOCOL_NAMES = frozenset(_PROTOCOL_NAMES.split())
WORD = re.compile(r"[^\W\d_][\w'’-]*")
WHERE_FOR_IF = re.compile(r"\bwhere (there|it|they|none|no)\b", re.IGNORECASE)
WHAT_AS_NOUN = re.compile(r"\bwhat\b[^.?!]*(?=[.!]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Habits:
    """Counts over a text. The rates are per 1,000 words."""

    words: int
    semicolons: int
    where_for_if: int
    what_as_noun: int

    def rate(self, count: int) -> float:
        """Return a count per 1,000 words."""
        return 1000 * count / max(self.words, 1)


def count_habits(text: str) -> Habits:
    """Count the habits in a text without code.

    >>> count_habits("Stop where there is no map; read what follows. What is it?")
    Habits(words=12, semicolons=1, where_for_if=1, what_as_noun=1)
    """
    return Habits(
        words=len(WORD.findall(text)),
        semicolons=text.count(";"),
        where_for_if=len(WHERE_FOR_IF.findall(text)),
        what_as_noun=sum(1 for _ in WHAT_AS_NOUN.finditer(text)),
    )


def strip_markdown_code(text: str) -> str:
    """Return a page without fenced blocks, indented formulas, code spans and comments.

    In tables, semicolons separate the parts of a cell and are commas here.
    """
    text = re.sub(r"^\|.*$", lambda row: row[0].replace(";", ","), text, flags=re.MULTILINE)
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"^ {4}.*$", "", text, flags=re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "code", text)


def strip_docstring_code(text: str) -> str:
    """Return a docstring without formulas, examples and code spans."""
    kept = [line for line in text.splitlines() if not line.lstrip().startswith((">>>", "..."))]
    return strip_markdown_code("\n".join(kept))


def list_docstrings(files: list[Path]) -> Iterator[tuple[ast.AST, str]]:
    """Yield every docstring of some modules, with the module, class or function it belongs to."""
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            if documented and (docstring := ast.get_docstring(node)):
                yield node, docstring


def list_functions(files: list[Path]) -> list[ast.FunctionDef]:
    """Return all functions and methods but those with a double underscore."""
    return [
        node
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("__")
    ]


def begins_with_verb(docstring: str) -> bool:
    """Return whether the first word is a verb in the imperative."""
    first = WORD.search(docstring)
    return first is not None and first[0].lower() in VERBS


def is_one_word(name: str) -> bool:
    """Return whether a function is named by one word that no protocol demands."""
    return "_" not in name.strip("_") and name.strip("_") not in PROTOCOL_NAMES
