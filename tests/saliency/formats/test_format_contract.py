"""Every annotation format keeps the contract, and so does a new one without any other edit."""

from __future__ import annotations

from pathlib import Path

import pytest

import cyborg.saliency.formats
import format_contract as contract
from cyborg.common.families import FORMATS
from reading import EXAMPLES

NAMES = FORMATS.names()
CHECKS = [
    contract.check_recognised,
    contract.check_read,
    contract.check_other_readers,
    contract.check_byte_order_mark,
    contract.check_cut_and_empty,
]

NEW_FORMAT = '''
"""One box per line: image, left, top, right, bottom."""

from cyborg.saliency.annotation import Annotation, Region
from cyborg.saliency.formats import _limits, _shapes
from cyborg.saliency.formats._base import Format
from cyborg.saliency.formats._example import Example


def recognise(path, head):
    return head.removeprefix(b"\\xef\\xbb\\xbf").startswith(b"BOXES")


def read(path, images=None):
    for number, line in enumerate(_limits.read_bytes(path).decode(errors="replace").splitlines()):
        if number:
            place = f"{path}:{number + 1}"
            name, *edges = [*line.split(), "", "", "", "", ""][:5]
            box = _shapes.box(*(_limits.parse_number(edge, place) for edge in edges), label="")
            yield Annotation(_limits.name(name, place), None, (Region((box,)),))


FORMAT = Format(
    recognise,
    read,
    example=Example(
        {"drawing.boxes": "BOXES\\ndrawing.png 1 0 3 2\\n"},
        marked=".11.\\n.11.\\n....\\n",
        labels=("",),
        states_size=False,
    ),
    title="Boxes",
    tools="The tests",
    reads="Boxes.",
    size="Not stated.",
)
'''


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
    package = tmp_path / "package"
    package.mkdir()
    (package / "boxes.py").write_text(NEW_FORMAT)
    # The import system and the family see the folders of the package in two places.
    folders = [*cyborg.saliency.formats.__path__, str(package)]
    spec = cyborg.saliency.formats.__spec__
    monkeypatch.setattr(cyborg.saliency.formats, "__path__", folders)
    monkeypatch.setattr(spec, "submodule_search_locations", folders)
    assert set(FORMATS.names()) == {*NAMES, "boxes"}
    contract.check_record("boxes")
    for check in CHECKS:
        check("boxes", tmp_path / check.__name__)
    contract.check_mutations("boxes", tmp_path, 20)
