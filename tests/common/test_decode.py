"""Decoding of image files: which are read, which pixels come out, and what is refused."""

from __future__ import annotations

import ast
import io
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyborg.common.decode import (
    IMAGE_FORMATS,
    DecodeError,
    decode_rgb,
    displayed_size,
    open_image,
)
from cyborg.common.errors import UserError
from paths import REPOSITORY

RED, WHITE = (255, 0, 0), (255, 255, 255)


def encode_image(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decode_pixels(data: bytes) -> np.ndarray:
    image = decode_rgb(data)
    assert image.mode == "RGB"
    return np.asarray(image)


def test_transparency_is_laid_over_white() -> None:
    image = Image.new("RGBA", (3, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    image.putpixel((2, 0), (0, 0, 0, 128))
    found = decode_pixels(encode_image(image))[0]
    assert found[0].tolist() == list(RED)
    assert found[1].tolist() == list(WHITE)
    assert abs(found[2].astype(int) - 127).max() <= 1
    grey = Image.new("LA", (1, 1), (0, 0))
    assert decode_pixels(encode_image(grey))[0, 0].tolist() == list(WHITE)


def test_palettes_with_and_without_transparency() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 0), 1)
    assert decode_pixels(encode_image(image))[0].tolist() == [[255, 0, 0], [0, 255, 0]]
    assert decode_pixels(encode_image(image, transparency=1))[0].tolist() == [
        [255, 0, 0],
        list(WHITE),
    ]


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    values = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)
    assert decode_pixels(encode_image(Image.fromarray(values)))[0, :, 0].tolist() == [
        0,
        1,
        128,
        255,
    ]


def test_grey_one_bit_and_cmyk() -> None:
    assert decode_pixels(encode_image(Image.new("L", (1, 1), 77)))[0, 0].tolist() == [77] * 3
    assert decode_pixels(encode_image(Image.new("1", (1, 1), 1)))[0, 0].tolist() == [255] * 3
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    red = decode_pixels(encode_image(cmyk, "JPEG", quality=100))[0, 0]
    assert abs(red.astype(int) - RED).max() < 6


def test_exif_rotation_is_applied() -> None:
    image = Image.new("RGB", (2, 1), WHITE)
    image.putpixel((0, 0), RED)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    found = decode_pixels(encode_image(image, exif=exif))
    assert found.shape == (2, 1, 3)
    assert found[:, 0].tolist() == [list(RED), list(WHITE)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an image"),
        (b"no image", "not an image"),
        (encode_image(Image.new("RGB", (64, 64), RED))[:-40], "."),
        (encode_image(Image.effect_noise((64, 64), 50).convert("RGB"), "JPEG")[:900], "truncated"),
        (encode_image(Image.new("F", (4, 4), 0.5), "TIFF"), "floating-point"),
    ],
)
def test_what_does_not_decode_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason) as error:
        decode_rgb(data)
    assert "object at" not in str(error.value)


def test_the_displayed_size_of_a_turned_image() -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    data = encode_image(Image.new("L", (7, 5)), "JPEG", exif=exif)
    with open_image(data) as image:
        assert displayed_size(image) == (5, 7)
    assert decode_rgb(data).size == (5, 7)


@pytest.mark.parametrize("kind", [*IMAGE_FORMATS, "MPO"])
def test_every_allowed_format_is_read(kind: str) -> None:
    image = Image.new("RGB", (8, 8), RED)
    options = {"save_all": True, "append_images": [image]} if kind == "MPO" else {}
    assert decode_rgb(encode_image(image, kind, **options)).size == (8, 8)


def test_no_program_is_started_for_a_file_with_a_false_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "face.png"
    path.write_bytes(encode_image(Image.new("RGB", (8, 8), RED), "EPS"))

    def refuse(*arguments: Any, **_: Any) -> None:
        raise AssertionError(f"started {arguments}")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    for source in (path, path.read_bytes()):
        with pytest.raises(DecodeError, match="not an image, or of an unknown format"):
            decode_rgb(source)


def test_only_the_formats_asked_for_are_read() -> None:
    data = encode_image(Image.new("L", (2, 2)), "BMP")
    with pytest.raises(DecodeError), open_image(data, ("PNG",)):
        pass


def test_images_beyond_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cyborg.common.decode.MAX_PIXELS", 63)
    with pytest.raises(DecodeError, match="more than 63 pixels"):
        decode_rgb(encode_image(Image.new("L", (8, 8))))


def test_errors_of_the_file_system_and_of_the_caller_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        decode_rgb(tmp_path / "gone.png")
    data = encode_image(Image.new("L", (2, 2)))
    with pytest.raises(UserError, match="a reason"), open_image(data):
        raise UserError("a reason")


def test_images_are_opened_in_one_place() -> None:
    """Every other module uses `open_image`, which limits formats and size."""
    source = REPOSITORY / "src" / "cyborg"
    openers = {("Image", "open"), ("plt", "imread"), ("cv2", "imread"), ("io", "read_image")}
    found = []
    for file in sorted(source.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            direct = isinstance(node, ast.ImportFrom) and (node.module or "") == "PIL.Image"
            called = isinstance(node, ast.Attribute) and (
                (ast.unparse(node.value).rsplit(".", 1)[-1], node.attr) in openers
            )
            if direct or called:
                found.append(file.relative_to(source).as_posix())
    assert found == ["common/decode.py"]
