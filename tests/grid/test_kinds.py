"""Test the contract of the kinds of cells, over every module in cyborg/grid/kinds."""

from __future__ import annotations

import inspect

import pytest

from cyborg.common.families import CELL_KINDS
from cyborg.config.cells import CellSpec


@pytest.mark.parametrize("name", CELL_KINDS.names())
def test_the_specification_names_its_kind_and_explains_every_field(name: str) -> None:
    spec = CELL_KINDS.find(name).spec
    assert issubclass(spec, CellSpec)
    assert spec.model_fields["kind"].default == name
    assert spec.model_config["frozen"]
    assert spec.model_config["extra"] == "forbid"
    inherited = CellSpec.model_fields
    assert all(f.description for key, f in spec.model_fields.items() if key not in inherited)


@pytest.mark.parametrize("name", CELL_KINDS.names())
def test_the_functions_take_what_the_runner_gives(name: str) -> None:
    kind = CELL_KINDS.find(name)
    assert list(inspect.signature(kind.list_modules).parameters) == ["spec"]
    assert list(inspect.signature(kind.run).parameters) == ["spec", "out", "root", "work", "report"]
    assert kind.grid.isidentifier()
