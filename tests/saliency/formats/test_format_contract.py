"""Every annotation format keeps the contract, and so does a new one without any other edit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import cyborg.saliency.formats
import format_contract as contract
from cyborg.common.families import FORMATS
from paths import REPOSITORY
from reading import EXAMPLES

NAMES = FORMATS.list_names()
CHECKS = [
    contract.check_recognised,
    contract.check_read,
    contract.check_other_readers,
    contract.check_byte_order_mark,
    contract.check_cut_and_empty,
]


@pytest.mark.parametrize("name", NAMES)
def test_record(name: str) -> None:
    contract.check_record(name)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str, check: contract.Check, tmp_path: Path) -> None:
    check(name, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_further_files_are_of_their_format(name: str, tmp_path: Path) -> None:
    """Each is recognised, readable, and in the folder that bears the name of its format."""
    seeds = contract.list_seeds(name, tmp_path / "annotations")
    images = contract.write_image(name, tmp_path / "images")
    assert seeds
    for path in seeds:
        assert contract.read(name, path, images)


def test_every_folder_of_files_is_that_of_a_format() -> None:
    assert {folder.name for folder in EXAMPLES.iterdir()} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_mutations(name: str, tmp_path: Path) -> None:
    contract.check_mutations(name, tmp_path, 150)


@pytest.mark.slow  # so that `-m "not slow"` leaves them out too
@pytest.mark.exhaustive
@pytest.mark.parametrize("name", NAMES)
def test_many_mutations(name: str, tmp_path: Path) -> None:
    contract.check_mutations(name, tmp_path, 5000)


def test_a_new_format_is_one_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The format of docs/extending.md keeps the contract when its file is added, and no other."""
    text = (REPOSITORY / "docs" / "extending.md").read_text()
    recipe = re.search(
        r"```python\n# src/cyborg/saliency/formats/(\w+)\.py\n(.*?)```", text, re.DOTALL
    )
    assert recipe
    name, code = recipe.groups()
    package = tmp_path / "package"
    package.mkdir()
    (package / f"{name}.py").write_text(code)
    # The import system and the family see the folders of the package in two places.
    folders = [*cyborg.saliency.formats.__path__, str(package)]
    spec = cyborg.saliency.formats.__spec__
    monkeypatch.setattr(cyborg.saliency.formats, "__path__", folders)
    monkeypatch.setattr(spec, "submodule_search_locations", folders)
    assert set(FORMATS.list_names()) == {*NAMES, name}
    contract.check_record(name)
    for check in CHECKS:
        check(name, tmp_path / check.__name__)
    contract.check_mutations(name, tmp_path, 20)
