"""Specification files: found, read into the record of their kind, or refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cells import pretrain_spec, wait_spec, write_waiting
from cyborg.common.errors import UserError
from cyborg.common.files import write_json
from cyborg.config.cells import CellSpec
from cyborg.grid.cell_paths import cell_name, cell_path, list_finished, list_planned, read_spec
from tiny_project import evaluate_spec, train_spec


@pytest.mark.parametrize(
    ("spec", "grid"),
    [
        (train_spec(), "train"),
        (pretrain_spec(), "train"),
        (evaluate_spec("small/cyborg/seed3/0123456789ab"), "evaluate"),
        (wait_spec(), "wait"),
    ],
)
def test_a_specification_is_read_as_it_was_written(spec: CellSpec, grid: str, tmp_path: Path):
    path = tmp_path / "plan" / f"{cell_path(spec)}.json"
    write_json(path, spec.to_json())
    assert read_spec(path) == spec
    assert list_planned(tmp_path, grid) == {cell_name(spec): path}
    assert cell_path(spec) == f"{grid}/{cell_name(spec)}"
    assert cell_name(spec).startswith(f"{spec.architecture.name}/{spec.variant}/seed{spec.seed}/")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seconds": 1}, "does not agree with the fingerprint in its name"),
        ({"seconds": "soon"}, "seconds: (.|\\n)*not `soon`"),
        ({"second": 1}, "second: not a parameter(.|\\n)*did you mean `seconds`"),
        ({"seconds": None}, "seconds: "),
        ({"kind": "wiat"}, "`wiat` is not a kind of cell(.|\\n)*did you mean `wait`"),
    ],
)
def test_a_specification_edited_by_hand_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
):
    (path,) = write_waiting(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(UserError, match=message) as caught:
        read_spec(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", "{}", "{", "null"])
def test_a_file_that_is_no_specification_is_refused(content: str, tmp_path: Path):
    (path,) = write_waiting(tmp_path)
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        read_spec(path)
    assert str(path) in str(caught.value)


def test_a_specification_under_another_name_is_refused(tmp_path: Path):
    (path,) = write_waiting(tmp_path)
    other = path.rename(path.with_name("0123456789ab.json"))
    with pytest.raises(UserError, match="fingerprint"):
        read_spec(other)


def test_a_folder_without_a_manifest_is_not_finished(tmp_path: Path):
    (tmp_path / "runs" / cell_path(wait_spec())).mkdir(parents=True)
    assert list_finished(tmp_path, "wait") == {}
