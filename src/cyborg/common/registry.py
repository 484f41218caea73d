"""Find the members of a family: a member is one module in the family's folder.

A family is a kind of part that users add to: losses, controls, annotation formats, and so on
(`cyborg.common.families` lists them). Each member module ends with one constant, a record that
describes the member. Adding a member is adding a file. Members are imported when they are
asked for, so a cell imports and depends on the members that it runs, and on no others.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from cyborg.common.errors import UserError

Member = TypeVar("Member")


@dataclass(frozen=True)
class Family(Generic[Member]):
    """A family of members of one type.

    noun: the name of a member in messages, with its article, such as `a loss`.
    package: dotted name of the folder, such as `cyborg.losses`.
    constant: name of the record at the end of each member's module, such as `LOSS`.
    """

    noun: str
    package: str
    constant: str

    def list_names(self) -> list[str]:
        """Return the names of all members, sorted, without importing any of them.

        Modules whose names begin with an underscore are helpers and not members.
        """
        spec = importlib.util.find_spec(self.package)
        assert spec is not None
        folders = spec.submodule_search_locations or []
        return sorted(m.name for m in pkgutil.iter_modules(folders) if m.name[0] != "_")

    def find(self, name: str) -> Member:
        """Import the member `name` and return its record.

        Raises UserError, with the nearest name, if there is no such member, and if its module
        does not define the family's constant.
        """
        if name not in self.list_names():
            raise self.describe_unknown(name)
        module = importlib.import_module(self.module_name(name))
        if not hasattr(module, self.constant):
            raise UserError(
                f"the module does not define `{self.constant}`",
                location=module.__file__,
                hint=f"docs/extending.md shows the parts of {self.noun}",
            )
        return cast(Member, getattr(module, self.constant))

    def module_name(self, name: str) -> str:
        """Return the dotted name of a member's module."""
        return f"{self.package}.{name}"

    def read_summary(self, name: str) -> str:
        """Return the first sentence of a member's docstring."""
        return self.read_documentation(name).split("\n\n")[0].replace("\n", " ")

    def read_documentation(self, name: str) -> str:
        """Return the docstring of a member's module."""
        return importlib.import_module(self.module_name(name)).__doc__ or ""

    def describe_unknown(self, name: str, where: str | None = None) -> UserError:
        """Return the error for a name that no member has."""
        return UserError(
            f"`{name}` is not {self.noun}",
            location=where,
            hint=suggest_name(name, self.list_names()),
        )


def suggest_name(name: str, known: list[str]) -> str:
    """Return a hint for an unknown name: the nearest known one, and the whole list.

    >>> suggest_name("cyborgg", ["cross_entropy", "cyborg"])
    'did you mean `cyborg`? known: cross_entropy, cyborg'
    """
    near = difflib.get_close_matches(name, known, n=1)
    return (f"did you mean `{near[0]}`? " if near else "") + f"known: {', '.join(known)}"
