"""Files and folders appear complete or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cyborg.common.errors import UserError
from cyborg.common.files import replacing_file, replacing_folder


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_half(path: Path) -> None:
    path.write_text("half")
    raise ZeroDivisionError


def test_an_error_leaves_the_earlier_file(tmp_path: Path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing_file(path) as temporary:
        write_half(temporary)
    assert path.read_text() == "old"
    assert list_names(tmp_path) == ["table.csv"]
    with replacing_file(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list_names(tmp_path) == ["table.csv"]


def test_an_error_leaves_the_earlier_folder(tmp_path: Path):
    folder = tmp_path / "set"
    with replacing_folder(folder) as new:
        (new / "old.png").touch()
    with pytest.raises(UserError), replacing_folder(folder) as new:
        (new / "missing").unlink()
    assert list_names(folder) == ["old.png"]
    with replacing_folder(folder) as new:
        (new / "new.png").touch()
    assert list_names(folder) == ["new.png"]
    assert list_names(tmp_path) == ["set"]


def test_what_a_killed_process_left_is_cleaned_up(tmp_path: Path):
    folder = tmp_path / "set"
    (tmp_path / ".set.new").mkdir()
    (tmp_path / ".set.new/half.png").touch()
    (tmp_path / ".set.old").mkdir()  # killed between the two renames
    (tmp_path / ".set.old/old.png").touch()
    with pytest.raises(ZeroDivisionError), replacing_folder(folder):
        raise ZeroDivisionError
    assert list_names(folder) == ["old.png"]
    with replacing_folder(folder) as new:
        (new / "new.png").touch()
    assert list_names(folder) == ["new.png"]
    assert list_names(tmp_path) == ["set"]


@pytest.mark.parametrize("replacing", [replacing_file, replacing_folder])
def test_a_name_that_is_too_long_is_said(tmp_path: Path, replacing: Any):
    with (
        pytest.raises(UserError, match="too long for this file system") as caught,
        replacing(tmp_path / ("x" * 300)),
    ):
        pass
    assert "space" not in caught.value.text()
    assert list_names(tmp_path) == []
