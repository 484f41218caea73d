"""A pytest plugin that keeps the tests of new members, and those that look at whole families.

The environment variable NEW_MEMBERS holds the names of the new members, separated by blanks.
"""

from __future__ import annotations

import inspect
import os

import pytest

# A test whose code has one of these looks at all members of a family at once.
WHOLE_FAMILY = ("NAMES", ".list_names()", "FAMILIES", "list_metrics")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect every test that has nothing to do with a new member."""
    new = set(os.environ["NEW_MEMBERS"].split())
    kept = [item for item in items if _is_of_a_new_member(item, new)]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def _is_of_a_new_member(item: pytest.Item, new: set[str]) -> bool:
    if item.get_closest_marker("exhaustive") is not None:
        return False
    values = getattr(getattr(item, "callspec", None), "params", {}).values()
    if any(isinstance(value, str) and value in new for value in values):
        return True
    function = getattr(item, "function", None)
    if values or function is None:
        return False
    return any(word in inspect.getsource(function) for word in WHOLE_FAMILY)
