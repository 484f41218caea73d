"""Define errors for people: the mistake, its place, and advice."""

from __future__ import annotations

from pathlib import Path


class UserError(Exception):
    """An error the user can fix. The command line shows it without a traceback, exit code 2.

    what: the mistake in one sentence, with names in backticks.
    location: the file in which it was found, if it helps as `file:row` or `file: field`.
    hint: the expected value, or the action to take.

    >>> print(UserError("`alhpa` is not an option", location="params.yaml:7", hint="use `alpha`"))
    error: params.yaml:7: `alhpa` is not an option
    hint: use `alpha`
    """

    def __init__(self, what: str, *, location: str | Path | None = None, hint: str | None = None):
        self.what, self.location, self.hint = what, location, hint
        super().__init__(self.text())

    def text(self) -> str:
        """Return the message as it is printed on stderr."""
        place = f"{self.location}: " if self.location is not None else ""
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
        """Return all messages, with an empty line between them."""
        return "\n\n".join(mistake.text() for mistake in self.mistakes)
