"""Which image a name in an annotation file means."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cyborg.common.errors import UserError
from cyborg.saliency.match import Candidate, ImageMatcher, find_image


def make_candidates(*paths: str) -> list[Candidate]:
    return [Candidate(path, path, f"data/raw/set/{path}") for path in paths]


def test_names_are_matched_by_path_then_name_then_stem() -> None:
    known = ImageMatcher(
        make_candidates("a/1.jpg", "b/1.jpg", "b/2.png", "c/x_000042.jpg"), {"f" * 64: "b/2.png"}
    )

    def find_key(name: str) -> str | None:
        return known.match_name(name, "file")

    assert find_key("a/1.jpg") == "a/1.jpg"
    assert find_key("photos\\b\\1.jpg") == "b/1.jpg"
    assert find_key("file:///data/me/b/1.jpg") == "b/1.jpg"
    assert find_key("elsewhere/2.png") == "b/2.png"
    assert find_key("2") == "b/2.png"
    assert find_key("2.jpeg") == "b/2.png"
    assert find_key("42") == "c/x_000042.jpg"
    assert find_key("f" * 64) == "b/2.png"
    assert find_key("../../etc/passwd") is None
    with pytest.raises(UserError, match=r"may be the image `a/1.jpg` or `b/1.jpg`"):
        find_key("1.jpg")


def test_folders_of_other_sets_are_told_apart() -> None:
    known = ImageMatcher(make_candidates("1.jpg", "2.jpg", "deep/1.jpg", "deep/deep/1.jpg"))
    # The folder of the set itself agrees, so a name with another folder is of another set.
    names = ["set/1.jpg", "set/2.jpg", "other/1.jpg", "other/2.jpg", "deep/1.jpg"]
    assert known.match_names(names, "file") == {
        "set/1.jpg": "1.jpg",
        "set/2.jpg": "2.jpg",
        "deep/1.jpg": "deep/1.jpg",
    }
    # Where no folder agrees, they were renamed, and file names decide.
    assert known.match_names(["old/2.jpg"], "file") == {"old/2.jpg": "2.jpg"}
    with pytest.raises(UserError, match="both mean the image"):
        known.match_names(["old/2.jpg", "older/2.jpg"], "file")
    # A whole name fits better than one without its extension.
    assert known.match_names(["2.png", "2.jpg"], "file") == {"2.jpg": "2.jpg"}


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_names_the_best_is_taken_in_any_order(order: int) -> None:
    known = ImageMatcher(make_candidates("a/1.jpg"))
    # The first two fit equally well; the third fits better than both.
    names = ["a/1.bmp", "a/1.png", "a/1.jpg"][::order]
    assert known.match_names(names, "file") == {"a/1.jpg": "a/1.jpg"}
    with pytest.raises(UserError, match=r"both mean the image `a/1\.jpg`"):
        known.match_names(names[:2] if order == 1 else names[1:], "file")


def test_readers_use_the_same_rule_for_ties(tmp_path: Path) -> None:
    for name in ("1.jpg", "deep/1.jpg", "x_000042.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (2, 1)).save(tmp_path / name)
    assert find_image(tmp_path, "1.jpg", "file") == tmp_path / "1.jpg"
    assert find_image(tmp_path, f"{tmp_path.name}/1.png", "file") == tmp_path / "1.jpg"
    # Nothing says which of the two is meant.
    with pytest.raises(UserError, match=r"`1.png` may be the image `1.jpg` or `deep/1.jpg`"):
        find_image(tmp_path, "1.png", "file")
    # The number of a file is no name of an image: only whole files of results name images so.
    assert find_image(tmp_path, "42", "file") is None


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("C:\\data\\photos\\a b.png", "photos/a b.png"),
        ("file://C:\\data\\photos\\a b.png", "photos/a b.png"),
        ("/data/upload/3/0123abcd-a%20b.png", "photos/a b.png"),
        ("https://example.com/photos/a%20b.png?Expires=1&Key=x", "photos/a b.png"),
        ("/data/local-files/?d=photos/a%20b.png", "photos/a b.png"),
        ("../../photos/a b.jpeg", "photos/a b.png"),
        ("deep/c.png", "deep/c.png"),
        ("c.jpg", None),
        ("other.png", None),
        ("三西线129#右.JPG", "三西线129#右.JPG"),
        ("e\u0301.png", "\u00e9.png"),
    ],
)
def test_names_find_their_image(tmp_path: Path, name: str, file: str | None) -> None:
    for known in ("photos/a b.png", "deep/c.png", "flat/c.png", "三西线129#右.JPG", "\u00e9.png"):
        path = tmp_path / known
        path.parent.mkdir(exist_ok=True)
        Image.new("L", (2, 1)).save(path)
    if name == "c.jpg":
        with pytest.raises(UserError, match="may be"):
            find_image(tmp_path, name, "file")
        return
    found = find_image(tmp_path, name, "file")
    assert found == (tmp_path / file if file else None)


def test_names_that_differ_only_in_extension(tmp_path: Path) -> None:
    for known in ("a.png", "a.jpg"):
        Image.new("L", (2, 1)).save(tmp_path / known)
    assert find_image(tmp_path, "a.jpg", "file") == tmp_path / "a.jpg"
    with pytest.raises(UserError, match=r"`a\.jpg` or `a\.png`"):
        find_image(tmp_path, "a.bmp", "file")
