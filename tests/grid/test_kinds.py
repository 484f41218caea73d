"""What holds for every kind of cell."""

from __future__ import annotations

import pytest

from cells import pretrain_spec, wait_spec
from cyborg.common.closure import collect_modules
from cyborg.common.families import CELL_KINDS
from cyborg.config.cells import CellSpec
from cyborg.grid.plan import GRIDS
from tiny_project import evaluate_spec, train_spec

every_kind = pytest.mark.parametrize("name", CELL_KINDS.list_names())


@every_kind
def test_a_kind_is_named_as_its_module(name: str):
    kind = CELL_KINDS.find(name)
    assert issubclass(kind.spec, CellSpec)
    assert kind.spec.model_fields["kind"].default == name
    assert CELL_KINDS.read_summary(name).endswith(".")


@every_kind
def test_every_field_of_a_specification_is_described(name: str):
    fields = CELL_KINDS.find(name).spec.model_fields
    assert all(field.description for key, field in fields.items() if key != "kind")


def test_the_code_of_a_cell_is_what_it_runs_and_nothing_else():
    step = {"name": "blur", "options": {}, "parent": None}
    plain = train_spec(loss="gradia", saliency=None)
    guided = train_spec(loss="gradia", control="inverted", prepare=[step])
    before, after = (
        set(collect_modules(CELL_KINDS.find("train").list_modules(spec)))
        for spec in (plain, guided)
    )
    assert {"cyborg.training.train", "cyborg.losses.gradia", "cyborg.models.small_cnn"} <= before
    assert after - before == {
        "cyborg.training.controls",
        "cyborg.training.controls._base",
        "cyborg.training.controls.inverted",
        "cyborg.training.preparations.blur",
    }
    assert "cyborg.losses.cyborg" not in after


@pytest.mark.parametrize(
    "spec", [train_spec(), pretrain_spec(), evaluate_spec("a/b/seed1/c"), wait_spec()]
)
def test_no_cell_depends_on_the_planner_or_the_runner(spec: CellSpec):
    modules = collect_modules(CELL_KINDS.find(spec.kind).list_modules(spec))
    around = ("cyborg.results", "cyborg.cli", "cyborg.config.load", "cyborg.grid.plan")
    assert not [name for name in modules if name.startswith((*around, "cyborg.grid.run"))]


def test_the_grids_of_an_experiment_have_a_kind():
    assert {CELL_KINDS.find(name).grid for name in CELL_KINDS.list_names()} >= set(GRIDS)
