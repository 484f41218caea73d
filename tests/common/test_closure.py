"""The files that a module imports: found without running them, hashed by content."""

from __future__ import annotations

from pathlib import Path

import pytest

from cyborg.common.closure import collect_modules, hash_code


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of four modules: a imports b in a function and c for type checkers alone."""
    folder = tmp_path / "cyborg"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "a.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from cyborg import c\n"
        "def f():\n    from . import b\n"
    )
    (folder / "b.py").write_text("import os\n")
    (folder / "c.py").write_text("")
    (folder / "d.py").write_text("from cyborg.a import f\n")
    return folder


def test_closure_follows_imports_in_functions_and_not_those_for_type_checkers(package: Path):
    assert list(collect_modules(["cyborg.a"], package)) == ["cyborg.a", "cyborg.b"]
    assert list(collect_modules(["cyborg.d"], package)) == [
        "cyborg.a",
        "cyborg.b",
        "cyborg.d",
    ]


def test_the_list_of_public_names_is_no_part_of_the_code_of_a_cell(package: Path):
    before = hash_code(["cyborg.a"], package)
    (package / "__init__.py").write_text("__all__ = ['f']\n")
    assert hash_code(["cyborg.a"], package) == before


def test_a_start_that_is_not_there_is_an_error(package: Path):
    with pytest.raises(ModuleNotFoundError, match=r"cyborg\.e"):
        collect_modules(["cyborg.e"], package)


def test_code_hash_changes_with_what_is_imported_and_with_nothing_else(package: Path):
    before = hash_code(["cyborg.a"], package)
    (package / "c.py").write_text("x = 1\n")
    (package / "d.py").write_text("x = 1\n")
    assert hash_code(["cyborg.a"], package) == before
    (package / "b.py").write_text("import os, sys\n")
    assert hash_code(["cyborg.a"], package) != before
