"""Run-length codes of masks: exact, and refused where they do not fit the image."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from cyborg.common.errors import UserError
from cyborg.saliency.formats import _rle
from reading import EXAMPLES, catch_error, limit_time_and_memory, read


def write_cvat(**mask: str) -> str:
    text = (EXAMPLES / "cvat" / "masks.xml").read_text()
    for key, value in mask.items():
        start = text.index(f' {key}="', text.index("<mask")) + len(key) + 3
        text = text[:start] + value + text[text.index('"', start) :]
    return text


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"rle": "0, 3, 1, 2, 2, 1, 4"}, "add up"),
        ({"rle": "0, 3"}, "add up"),
        ({"rle": "0, 4000000000"}, "add up"),
        ({"rle": "-1, 13"}, "add up"),
        ({"rle": "0, x"}, "run lengths"),
        ({"rle": "12, 9999999999999999999999"}, "run lengths|add up"),
        ({"width": "100000", "height": "100000"}, "claims an image"),
        ({"width": "-4"}, "whole number"),
        ({"left": "5"}, "leaves the image"),
        ({"left": "nan"}, "out of range"),
    ],
)
def test_bad_run_lengths_of_cvat(tmp_path: Path, mask: dict[str, str], message: str) -> None:
    error = catch_error("cvat", tmp_path / "a.xml", write_cvat(**mask))
    assert re.search(message, error.what)
    assert "image 0 (drawing.png): mask 0" in str(error.location)


def pack_runs(total: int, runs: list[tuple[int, int]], word: int = 8) -> bytes:
    """Label Studio's brush code of repeated words: (length, value)."""
    bits = f"{total:032b}{word - 1:05b}" + f"{15:04b}" * 4
    bits += "".join(f"1{0:02b}{length - 1:016b}{value:08b}" for length, value in runs)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[k : k + 8], 2) for k in range(0, len(bits), 8))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (pack_runs(140, [(141, 255)]), "longer than the image"),
        (pack_runs(140, [(139, 255)]), "too early"),
        (pack_runs(144, [(144, 255)]), "144 words"),
        (pack_runs(4_000_000_000, []), "4000000000 words"),
        (pack_runs(140, [(140, 255)], word=16), "16 bits"),
        (b"", "too early"),
    ],
)
def test_bad_brush_codes(tmp_path: Path, code: bytes, message: str) -> None:
    content = json.loads((EXAMPLES / "labelstudio" / "brush.json").read_text())
    content[0]["annotations"][0]["result"][0]["value"]["rle"] = list(code)
    error = catch_error("labelstudio", tmp_path / "a.json", json.dumps(content))
    assert message in error.what
    assert "annotations[0].result[0].value.rle" in str(error.location)


def test_brush_codes_decode_exactly() -> None:
    alpha = _rle.decode_label_studio(pack_runs(8, [(3, 9), (2, 200), (3, 7)]), 2, 1, "here")
    # Bytes 9 9 9 200 | 200 7 7 7: the alphas are the fourth of each.
    assert alpha.tolist() == [[200, 7]]


@pytest.mark.slow
def test_many_large_masks_in_a_small_file(tmp_path: Path) -> None:
    # Each code is 10 kB and claims 10,000 × 9,900 pixels; a dozen of them passes the limit.
    width, height = 10_000, 9_900
    total = 4 * width * height
    runs = [(65_536, 0)] * (total // 65_536) + [(total % 65_536, 0)]
    code = list(pack_runs(total, runs))
    result = {
        "original_width": width,
        "original_height": height,
        "type": "brushlabels",
        "value": {"format": "rle", "rle": code},
    }
    results = [{**result, "id": str(k)} for k in range(12)]
    content = [{"id": 1, "annotations": [{"result": results}], "data": {"image": "a.png"}}]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    with (
        limit_time_and_memory(seconds=30, megabytes=400),
        pytest.raises(UserError, match="together"),
    ):
        read("labelstudio", path)


def test_bit_masks_of_label_studio(tmp_path: Path) -> None:
    pixels = Image.new("RGBA", (7, 5))
    pixels.putpixel((6, 1), (255, 0, 0, 255))
    buffer = io.BytesIO()
    pixels.save(buffer, "PNG")
    content = json.loads((EXAMPLES / "labelstudio" / "brush.json").read_text())
    result = content[0]["annotations"][0]["result"][2]
    code = base64.b64encode(buffer.getvalue()).decode()
    result["type"] = "bitmasklabels"
    result["value"] = {
        "imageDataURL": f"data:image/png;base64,{code}",
        "bitmasklabels": ["mouth"],
    }
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    (annotation,) = read("labelstudio", path)
    assert annotation.regions[1].label == "mouth"
    (shape,) = annotation.regions[1].shapes
    assert shape.points == ((6.0, 1.0),)
    assert shape.mask is not None
    assert shape.mask.tolist() == [[True]]
    result["original_width"] = 8
    error = catch_error("labelstudio", path, json.dumps(content[:1]))
    assert "several sizes" in error.what
