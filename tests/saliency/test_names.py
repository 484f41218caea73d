"""Names of images as tools write them, and the files that are named after them."""

from __future__ import annotations

import pytest

from cyborg.common.errors import UserError
from cyborg.saliency.names import join_folders, make_file_stem


def test_stems_of_stated_names() -> None:
    assert make_file_stem("a/b.c.jpg") == "b.c"
    assert make_file_stem("42") == "42"
    assert make_file_stem("https://h.org/x%20y/pic%201.png?sig=a/b.c") == "pic 1"
    assert make_file_stem("C:\\data\\IMG-1.JPG") == "IMG-1"


def test_folders_become_part_of_a_file_name() -> None:
    assert (
        join_folders("a/1.jpg")
        == join_folders("a\\1.jpg")
        == join_folders("/../a/./1.jpg")
        == "a_1.jpg"
    )
    for name in ("..", "/", "x" * 241, "\ud800"):
        with pytest.raises(UserError, match="gives no name for a file"):
            join_folders(name)
