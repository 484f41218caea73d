"""Define the record of a section of the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyborg.results.page import ReportContext


@dataclass(frozen=True)
class Section:
    """A member of the family of report sections: the constant `SECTION` at the end of its module.

    order: place on the page. Smaller numbers come first.
    render: returns the section as HTML, or an empty text to leave it out.
    """

    order: int
    render: Callable[[ReportContext], str]
