"""Names of images as tools write them, and the sizes of what they name."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from PIL import Image

from reading import EXAMPLES, catch_error, read


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
