"""Names of images as tools write them, and the sizes of what they name."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from PIL import Image

from cyborg.common.errors import UserError
from cyborg.saliency.match import find_image
from reading import EXAMPLES, catch_error, read


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


def test_sizes_are_those_of_the_upright_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (7, 5)).save(tmp_path / "drawing.jpg", exif=exif)
    path = tmp_path / "drawing.txt"
    path.write_text("0 0.5 0.5 1 1\n")
    (annotation,) = read("yolo", path, tmp_path)
    assert annotation.size == (5, 7)
    content = json.loads((EXAMPLES / "labelme" / "version_3.json").read_text())
    content["imageData"] = base64.b64encode((tmp_path / "drawing.jpg").read_bytes()).decode()
    error = catch_error("labelme", tmp_path / "a.json", json.dumps(content))
    assert "EXIF" in error.what
