"""The plan: which cells an experiment has, which start from others, and what changes them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from cyborg.common.errors import UserError
from cyborg.config.cells import CellSpec
from cyborg.config.evaluation import EvaluateSpec
from cyborg.config.experiment import Experiment
from cyborg.config.load import load_experiment
from cyborg.config.training import TrainSpec
from cyborg.grid.cell_paths import cell_name, cell_path, list_planned, read_spec
from cyborg.grid.plan import Inputs, Planner, Selection, plan
from project import TINY

FAMILY = {
    "student": {"loss": "cyborg", "prepare": {"teacher": {"variant": "cyborg"}}},
    "grandchild": {"loss": "cyborg", "prepare": {"teacher": {"variant": "student"}}},
    "mentor": {"loss": "cross_entropy", "saliency": "human", "prepare": {"mentor": None}},
    "mentor_cyborg": {"loss": "cyborg", "saliency": "human", "prepare": {"mentor": {}}},
    "blurred": {"loss": "cross_entropy", "saliency": "human", "prepare": {"blur": {"levels": [2]}}},
}


def experiment(tmp_path: Path, **variants: Any) -> Experiment:
    """The tiny experiment with further variants."""
    params = copy.deepcopy(TINY)
    params["variants"] |= variants
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    return load_experiment(path)


def plan_family(tmp_path: Path, **changes: Any) -> list[CellSpec]:
    """All cells of the tiny experiment with FAMILY; `changes` replace variants."""
    return Planner(experiment(tmp_path, **(FAMILY | changes))).plan_all()


def trained(cells: list[CellSpec]) -> dict[str, CellSpec]:
    """Specifications of seed 1 in the grid `train`, by variant."""
    return {c.variant: c for c in cells if c.kind != "evaluate" and c.seed == 1}


def changed(before: dict[str, CellSpec], after: dict[str, CellSpec]) -> set[str]:
    """Variants whose cells have another fingerprint."""
    return {name for name in after if cell_name(before[name]) != cell_name(after[name])}


# Cells that start from others


def test_parents_are_planned_once_and_named(tmp_path: Path):
    cells = plan_family(tmp_path)
    train = trained(cells)
    assert set(train) == {"cross_entropy", "cyborg", *FAMILY, "mentor_autoencoder"}
    assert train["student"].parents == (cell_path(train["cyborg"]),)
    assert train["grandchild"].parents == (cell_path(train["student"]),)
    encoder = (cell_path(train["mentor_autoencoder"]),)
    assert train["mentor"].parents == train["mentor_cyborg"].parents == encoder
    assert train["blurred"].parents == train["cyborg"].parents == ()
    names = [cell_path(c) for c in cells]
    assert len(names) == len(set(names)) == 2 * (7 + 1) + 2 * 7  # two seeds, one autoencoder each
    assert "mentor_autoencoder" not in {c.variant for c in cells if c.kind == "evaluate"}


def test_parents_come_before_the_cells_that_start_from_them(tmp_path: Path):
    seen: set[str] = set()
    for spec in plan_family(tmp_path):
        assert seen.issuperset(spec.parents)
        seen.add(cell_path(spec))


def test_an_evaluation_starts_from_its_training(tmp_path: Path):
    cells = plan_family(tmp_path)
    paths = {cell_path(cell): cell for cell in cells}
    for cell in cells:
        if isinstance(cell, EvaluateSpec):
            assert cell.parents == (f"train/{cell.train}",)
            parent = paths[cell.parents[0]]
            assert isinstance(parent, TrainSpec)
            assert (parent.variant, parent.seed) == (cell.variant, cell.seed)


def test_the_teachers_alpha_changes_teacher_and_students_only(tmp_path: Path):
    before = trained(plan_family(tmp_path))
    teacher = {"loss": "cyborg", "saliency": "human", "alpha": 0.25}
    after = trained(plan_family(tmp_path, cyborg=teacher))
    assert changed(before, after) == {"cyborg", "student", "grandchild"}


def test_the_autoencoders_options_change_it_and_what_starts_from_it(tmp_path: Path):
    before = trained(plan_family(tmp_path))
    other = FAMILY["mentor"] | {"prepare": {"mentor": {"epochs": 2}}}
    cells = plan_family(tmp_path, mentor=other)
    after = trained([c for c in cells if c.variant != "mentor_autoencoder"])
    assert changed(before, after) == {"mentor"}
    seeds = [c.seed for c in cells if c.variant == "mentor_autoencoder"]
    assert sorted(seeds) == [1, 1, 2, 2]  # two kinds of autoencoder now


# The data that cells read


@pytest.fixture
def inputs() -> Inputs:
    """Two sources for training, one for testing; images and maps at two sizes."""
    rows = [
        (f"{source}/{n}.png", source, "bona_fide", "", split)
        for source, split in (("a", "train"), ("b", "train"), ("c", "test"))
        for n in range(2)
    ]
    manifest = pd.DataFrame(rows, columns=["image", "source", "label", "generator", "split"])
    packs = pd.DataFrame(
        [
            (kind, size, image, f"{kind} {size} {image}")
            for kind in ("images", "human", "eyes")
            for size in (32, 64)
            for image in manifest["image"]
        ],
        columns=["kind", "size", "image", "sha256"],
    )
    return Inputs(manifest, packs.assign(source=packs["image"].str[0]))


@pytest.mark.parametrize(
    ("kind", "size", "image", "differs"),
    [
        ("images", 32, "a/1.png", True),
        ("human", 32, "a/1.png", True),
        ("eyes", 32, "a/1.png", False),  # another map set
        ("images", 64, "a/1.png", False),  # another size
        ("images", 32, "b/1.png", False),  # another source
        ("images", 32, "c/1.png", False),  # another split
    ],
)
def test_a_digest_changes_with_what_the_cell_reads_and_with_nothing_else(
    kind: str, size: int, image: str, differs: bool, inputs: Inputs
):
    selection = Selection(("a",), ("train", "validation"), 32, ("human",))
    packs = inputs.packs.copy()
    chosen = (packs["kind"] == kind) & (packs["size"] == size) & (packs["image"] == image)
    packs.loc[chosen, "sha256"] = "other pixels"
    other = Inputs(inputs.manifest, packs)
    assert (other.hash_selection(selection) != inputs.hash_selection(selection)) == differs


def test_a_digest_does_not_depend_on_the_order_of_rows(inputs: Inputs):
    selection = Selection(("a", "b"), ("train",), 32, ("human",))
    turned = Inputs(inputs.manifest[::-1], inputs.packs[::-1])
    assert turned.hash_selection(selection) == inputs.hash_selection(selection)


def test_cells_that_read_the_same_share_one_digest(tmp_path: Path, inputs: Inputs):
    planner = Planner(experiment(tmp_path), inputs)
    cells = planner.plan_all()
    assert len(planner.digests) == 3  # with maps, without, and for the test sets
    assert all(len(cell.inputs) == 64 for cell in cells)


def test_a_variant_without_any_map_is_refused(tmp_path: Path, inputs: Inputs, monkeypatch: Any):
    monkeypatch.setattr(Inputs, "read", lambda root: inputs)
    with pytest.raises(UserError, match="no training image has a map of `human`") as caught:
        plan(experiment(tmp_path), tmp_path)
    assert "params.yaml: variants.cyborg.saliency" in str(caught.value)


# The files


def test_the_plan_is_one_file_a_cell_and_replaces_the_last_one(
    tmp_path: Path, inputs: Inputs, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
):
    source = {"a": "phantom_real", "b": "phantom_warping", "c": "phantom_blocking"}
    packs = inputs.packs.assign(source=inputs.packs["source"].map(source))
    manifest = inputs.manifest.assign(source=inputs.manifest["source"].map(source))
    monkeypatch.setattr(Inputs, "read", lambda root: Inputs(manifest, packs))
    plan(experiment(tmp_path, **FAMILY), tmp_path)
    assert "plan: 16 cells to train, 14 to evaluate" in capsys.readouterr().out
    plan(experiment(tmp_path), tmp_path)
    assert "plan: 4 cells to train, 4 to evaluate" in capsys.readouterr().out
    for grid in ("train", "evaluate"):
        planned = list_planned(tmp_path, grid)
        assert len(planned) == 4
        for name, path in planned.items():
            spec = read_spec(path)
            assert (spec.kind, cell_name(spec)) == (grid, name)
            assert json.loads(path.read_text()) == spec.to_json()
