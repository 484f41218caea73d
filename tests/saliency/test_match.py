"""Which image a name in an annotation file means."""

from __future__ import annotations

import pytest

from cyborg.common.errors import UserError
from cyborg.saliency.match import Candidate, Matcher


def candidates(*paths: str) -> list[Candidate]:
    return [Candidate(path, path, f"data/raw/set/{path}") for path in paths]


def test_names_are_matched_by_path_then_name_then_stem() -> None:
    known = Matcher(
        candidates("a/1.jpg", "b/1.jpg", "b/2.png", "c/x_000042.jpg"), {"f" * 64: "b/2.png"}
    )

    def found(name: str) -> str | None:
        return known.find(name, "file")

    assert found("a/1.jpg") == "a/1.jpg"
    assert found("photos\\b\\1.jpg") == "b/1.jpg"
    assert found("file:///data/me/b/1.jpg") == "b/1.jpg"
    assert found("elsewhere/2.png") == "b/2.png"
    assert found("2") == "b/2.png"
    assert found("2.jpeg") == "b/2.png"
    assert found("42") == "c/x_000042.jpg"
    assert found("f" * 64) == "b/2.png"
    assert found("../../etc/passwd") is None
    with pytest.raises(UserError, match=r"may be the image `a/1.jpg` or `b/1.jpg`"):
        found("1.jpg")


def test_folders_of_other_sets_are_told_apart() -> None:
    known = Matcher(candidates("1.jpg", "2.jpg", "deep/1.jpg", "deep/deep/1.jpg"))
    # The folder of the set itself agrees, so a name with another folder is of another set.
    names = ["set/1.jpg", "set/2.jpg", "other/1.jpg", "other/2.jpg", "deep/1.jpg"]
    assert known.find_all(names, "file") == {
        "set/1.jpg": "1.jpg",
        "set/2.jpg": "2.jpg",
        "deep/1.jpg": "deep/1.jpg",
    }
    # Where no folder agrees, they were renamed, and file names decide.
    assert known.find_all(["old/2.jpg"], "file") == {"old/2.jpg": "2.jpg"}
    with pytest.raises(UserError, match="both mean the image"):
        known.find_all(["old/2.jpg", "older/2.jpg"], "file")
    # A whole name fits better than one without its extension.
    assert known.find_all(["2.png", "2.jpg"], "file") == {"2.jpg": "2.jpg"}
