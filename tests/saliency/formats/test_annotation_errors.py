"""Bad input: a UserError that names file, record and field, in bounded time and memory."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyborg.common.errors import UserError
from cyborg.common.families import FORMATS
from cyborg.saliency.formats import _json, _limits, _svg, _xml
from format_contract import write_image
from reading import EXAMPLES, catch_error, limit_time_and_memory, read


def write_labelme(**changes: Any) -> str:
    """Return the example of labelme with changes of the file and of its second shape."""
    content = json.loads(FORMATS.find("labelme").example.content("drawing.json"))
    content["shapes"][1].update(changes.pop("shape", {}))
    content.update(changes)
    return json.dumps(content)


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"imageWidth": -7}, "imageWidth", "whole number"),
        ({"imageWidth": 10**6, "imageHeight": 10**3 + 1}, "imageWidth", "1000000×1001"),
        ({"imageWidth": "7"}, "imageWidth", "not a number"),
        ({"imageWidth": True}, "imageWidth", "not a number"),
        ({"imageWidth": 7.5}, "imageWidth", "whole number"),
        ({"imagePath": "a\0b"}, "imagePath", "cannot be the name"),
        ({"imagePath": 3}, "imagePath", "not text"),
        ({"shapes": {}}, "shapes", "not an array"),
        ({"shapes": None}, "shapes", "is missing"),
        ({"shape": {"points": [[0, 0]]}}, "shapes[1].points", "2 or 4 points"),
        ({"shape": {"points": [[0, 0], [1]]}}, "shapes[1].points[1]", "not a point"),
        ({"shape": {"points": [[0, 0], [1, 1e300]]}}, "shapes[1].points[1]", "out of range"),
        ({"shape": {"shape_type": "blob"}}, "shapes[1].shape_type", "unknown shape type"),
        ({"shape": {"shape_type": "mask"}}, "shapes[1].mask", "is missing"),
    ],
)
def test_labelme_names_the_field(
    tmp_path: Path, changes: dict[str, Any], field: str, message: str
) -> None:
    error = catch_error("labelme", tmp_path / "a.json", write_labelme(**changes))
    assert field in str(error.location)
    assert message in error.what


def test_masks_must_fit_their_box_and_image(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("1", (3, 3), 1).save(buffer, "PNG")
    code = base64.b64encode(buffer.getvalue()).decode()
    shape = {"shape_type": "mask", "mask": code, "points": [[4, 3], [6, 4]]}
    error = catch_error("labelme", tmp_path / "a.json", write_labelme(shape=shape))
    assert "3×3 pixels, its box 3×2" in error.what
    shape["points"] = [[5, 2], [7, 4]]
    error = catch_error("labelme", tmp_path / "a.json", write_labelme(shape=shape))
    assert "leaves the image of 7×5" in error.what


def write_huge_png(side: int) -> bytes:
    """A PNG that claims side² pixels in some hundred bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [40_000, 60_000])
def test_pictures_that_claim_a_billion_pixels(tmp_path: Path, side: int) -> None:
    code = base64.b64encode(write_huge_png(side)).decode()
    shape = {"shape_type": "mask", "mask": code, "points": [[0, 0], [2, 2]]}
    error = catch_error("labelme", tmp_path / "a.json", write_labelme(shape=shape))
    assert "mask" in str(error.location)
    rows = (EXAMPLES / "eyetagger" / "api_annotation.csv").read_text().splitlines()
    row = f'1,3,abc,"data:image/png;base64,{code}",,f,f,,,'
    error = catch_error("eyetagger", tmp_path / "a.csv", f"{rows[0]}\n{row}\n")
    assert "annotation" in str(error.location)
    catch_error("label_map", tmp_path / "a.png", write_huge_png(side))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("data:image/svg+xml;base64,AAAA", "PNG data URL"),
        ("data:text/html,<script>", "PNG data URL"),
        ("https://example.com/a.png", "PNG data URL"),
        ("data:image/png;base64,@@@@", "base64"),
        ("data:image/png;base64,/9j/4AAQSkZJRg==", "not a readable PNG"),
    ],
)
def test_data_urls_of_other_types(tmp_path: Path, cell: str, message: str) -> None:
    rows = (EXAMPLES / "eyetagger" / "api_annotation.csv").read_text().splitlines()
    error = catch_error("eyetagger", tmp_path / "a.csv", f'{rows[0]}\n1,3,abc,"{cell}",,f,f,,,\n')
    assert str(error.location).endswith("a.csv:2: annotation")
    assert message in error.what


def list_formats(*starts: bytes) -> list[str]:
    """Return the formats whose example begins with one of these bytes."""
    examples = {name: FORMATS.find(name).example for name in FORMATS.list_names()}
    return [name for name, one in examples.items() if one.content(one.path).startswith(starts)]


@pytest.mark.parametrize("name", ["fixations", *list_formats(b"{", b"[")])
@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"shapes": [',
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": ' + "9" * 10_000 + "}",
        "{}{}",
        "[null]",
        "[[]]",
        "[3]",
        '"text"',
        "7",
        "{",
    ],
    ids=range(13),
)
def test_broken_json(tmp_path: Path, name: str, content: str) -> None:
    catch_error(name, tmp_path / "a.json", content)


@pytest.mark.parametrize("name", list_formats(b"<"))
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotations><image", "not valid XML"),
        ("<annotation>" * 100_000, "deeper than 64"),
        (
            '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]><annotation>&b;'
            "</annotation>",
            "entities",
        ),
        (
            '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation>&a;</annotation>',
            "entities",
        ),
        ("<svg></svg>", "is not"),
    ],
    ids=["cut", "deep", "bomb", "external", "other"],
)
def test_bad_xml(tmp_path: Path, name: str, content: str, message: str) -> None:
    assert message in catch_error(name, tmp_path / "a.xml", content).what


def test_svg_entities_and_other_elements_are_refused() -> None:
    bomb = b'<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>'
    with pytest.raises(UserError, match="entities"):
        _svg.read_strokes(bomb, "a.csv:2")
    with pytest.raises(UserError, match="not a stroke"):
        _svg.read_strokes(b"<svg><circle r='3'/></svg>", "a.csv:2")
    with pytest.raises(UserError, match="cut short"):
        _svg.read_strokes(b"<svg><path stroke='red' d='M 1'/></svg>", "a.csv:2")
    with limit_time_and_memory(), pytest.raises(UserError, match="deeper"):
        _svg.read_strokes(b"<svg>" + b"<g>" * 50_000, "a.csv:2")


def test_svg_transforms_are_applied() -> None:
    text = (
        b"<svg width='20' height='10'><g transform='translate(3 1) scale(2)'>"
        b"<path stroke='red' stroke-width='1.5' d='m 1 1 l 2 0 v 1 h -1 z'/></g></svg>"
    )
    size, ((line,),) = _svg.read_strokes(text, "here")
    assert size == (20, 10)
    assert line.points == ((5, 3), (9, 3), (9, 5), (7, 5), (5, 3))
    assert line.width == 3.0


def test_label_studio_refuses_what_it_cannot_place(tmp_path: Path) -> None:
    content = json.loads((EXAMPLES / "labelstudio" / "drafts_and_cancelled.json").read_text())
    result = content[0]["annotations"][0]["result"][0]
    for key, value, message in (
        ("image_rotation", 90, "rotated in the tool"),
        ("item_index", 1, "several images"),
        ("original_width", 8, "several sizes"),
    ):
        kept = dict(result)
        result[key] = value
        error = catch_error("labelstudio", tmp_path / "a.json", json.dumps(content))
        assert message in error.what
        result.clear()
        result.update(kept)


def test_yolo_in_pixels_is_refused(tmp_path: Path) -> None:
    images = write_image("yolo", tmp_path / "images")
    error = catch_error("yolo", tmp_path / "drawing.txt", "0 120 80 20 10\n", images)
    assert str(error.location).endswith("drawing.txt:1")
    assert "out of range" in error.what


def test_yolo_needs_the_image(tmp_path: Path) -> None:
    images = write_image("yolo", tmp_path / "images")
    path = tmp_path / "other.txt"
    error = catch_error("yolo", path, "0 .5 .5 .1 .1\n", images)
    assert "`other`" in error.what


def test_video_and_via_3_are_refused_with_a_way_out(tmp_path: Path) -> None:
    error = catch_error("cvat", tmp_path / "a.xml", "<annotations><track id='0'/></annotations>")
    assert "CVAT for images" in str(error.hint)
    error = catch_error("via", tmp_path / "a.json", '{"project": {"pid": "x"}, "metadata": {}}')
    assert "VIA 3" in error.what


def test_masks_of_labelme_web_stay_in_their_folder(tmp_path: Path) -> None:
    text = (EXAMPLES / "labelme_web" / "drawing.xml").read_text()
    outside = EXAMPLES / "labelme_web" / "Masks" / "drawing_mask_2.png"
    error = catch_error(
        "labelme_web", tmp_path / "a.xml", text.replace("drawing_mask_2.png", str(outside))
    )
    assert "is not in" in error.what


def test_files_above_the_limit_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_limits, "MAX_BYTES", 10)
    assert "bytes long" in catch_error("via", tmp_path / "a.json", '{"a": "0123456789"}').what


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read("labelme", tmp_path / "none.json")


def test_sketches_of_cut_files() -> None:
    whole = FORMATS.find("labelme").example.content("drawing.json")
    assert _json.sketch_keys(whole[:150]).has_path("shapes", "[]", "points")
    assert _json.sketch_keys(b'{"imageData": "' + b"A" * 70_000).has_path("imageData")
    assert not _json.sketch_keys(b"\x89PNG").paths
    assert "annotations/image/mask@rle" in _xml.sketch_paths(
        (EXAMPLES / "cvat" / "masks.xml").read_bytes()[:400]
    )
    utf16 = '{"shapes": []}'.encode("utf-16")
    assert _json.sketch_keys(utf16).has_path("shapes")


def test_numbers_are_finite_and_no_booleans() -> None:
    for value in (float("nan"), float("inf"), 10**400, True, "1", None):
        with pytest.raises(UserError):
            _limits.check_number(value, "here")
    assert _limits.check_number(3, "here") == 3.0
    assert np.isfinite(_limits.check_number(-1e7, "here"))
