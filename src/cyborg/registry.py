"""The folder is the registry: a member of a family is a module in the family's package.

Nothing else is edited to add one, no name can be given twice, and a training cell imports (and
hence depends on) only what it runs.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from types import ModuleType

from cyborg.errors import UserError


def names(family: ModuleType) -> list[str]:
    """Names of all members, sorted; modules that begin with an underscore are helpers."""
    return sorted(m.name for m in pkgutil.iter_modules(family.__path__) if m.name[0] != "_")


def nearest(name: str, known: list[str]) -> str:
    """Hint for a name that is not among `known`: the nearest one and the whole list."""
    near = difflib.get_close_matches(name, known, n=1)
    return (f"did you mean `{near[0]}`? " if near else "") + f"known: {', '.join(known)}"


def find(family: ModuleType, name: str) -> ModuleType:
    """Import one member of a family.

    Raises UserError, with the nearest names, where there is no such member.
    """
    known = names(family)
    if name not in known:
        kind = family.__name__.rsplit(".", 1)[-1]
        raise UserError(f"`{name}` is not in {kind}", hint=nearest(name, known))
    return importlib.import_module(f"{family.__name__}.{name}")
