"""What people are told when something is wrong: where, what, and what to do about it."""

from __future__ import annotations

from pathlib import Path


class UserError(Exception):
    """A mistake that the user can mend; shown without a traceback, exit code 2.

    Parameters
    ----------
    what: the mistake in one sentence, names in backticks.
    where: file, and where it helps `file:row` or `file: field`, in which it was found.
    hint: what was expected or what to do.
    """

    def __init__(self, what: str, *, where: str | Path | None = None, hint: str | None = None):
        self.what, self.where, self.hint = what, where, hint
        super().__init__(self.text())

    def text(self) -> str:
        """The message as it is printed on stderr."""
        place = f"{self.where}: " if self.where is not None else ""
        lines = [f"error: {place}{self.what}"]
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)


class UserErrors(UserError):
    """Several mistakes of one file, reported together."""

    def __init__(self, mistakes: list[UserError]):
        self.mistakes = mistakes
        super().__init__(f"{len(mistakes)} mistakes")

    def text(self) -> str:
        """All messages, an empty line between them."""
        return "\n\n".join(mistake.text() for mistake in self.mistakes)
