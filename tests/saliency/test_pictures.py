"""Pictures on disk as grey maps: bit depths, transparency, and what is refused."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyborg.common.errors import UserError
from cyborg.saliency.pictures import read_displayed_size, read_grey_map

RAMP = np.tile(np.array([0, 51, 102, 255], dtype=np.uint8), (3, 1))


def write_picture(path: Path, array: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    "name", ["l.png", "rgb.png", "palette.png", "rgba.png", "la.png", "16.png"]
)
def test_kinds_of_grey_give_the_same_map(tmp_path: Path, name: str) -> None:
    opaque = np.full_like(RAMP, 255)
    arrays = {
        "l.png": RAMP,
        "rgb.png": np.stack([RAMP] * 3, axis=-1),
        "rgba.png": np.stack([RAMP, RAMP, RAMP, opaque], axis=-1),
        "la.png": np.stack([RAMP, opaque], axis=-1),
        "16.png": RAMP.astype(np.uint16) * 257,
    }
    path = tmp_path / name
    if name == "palette.png":
        Image.fromarray(arrays["rgb.png"]).convert("P", palette=Image.Palette.ADAPTIVE).save(path)
    else:
        write_picture(path, arrays[name])
    value = read_grey_map(path)
    assert value.dtype == np.float32
    assert value[0].tolist() == pytest.approx([0, 0.2, 0.4, 1])


def test_transparency_is_height_where_the_paint_has_one_colour(tmp_path: Path) -> None:
    strokes = np.zeros((2, 3, 4), dtype=np.uint8)
    strokes[0, 1] = (0, 255, 0, 85)
    strokes[0, 2] = (0, 255, 0, 255)
    value = read_grey_map(write_picture(tmp_path / "strokes.png", strokes))
    assert value.tolist() == [[0, pytest.approx(1 / 3), 1], [0, 0, 0]]
    # Several greys and transparency: over black. Hidden colour under full transparency is none.
    grey = np.zeros((1, 3, 4), dtype=np.uint8)
    grey[0, 0], grey[0, 1], grey[0, 2] = (255,) * 4, (102, 102, 102, 255), (255, 0, 0, 0)
    assert read_grey_map(write_picture(tmp_path / "grey.png", grey)).tolist() == [
        [1, pytest.approx(0.4), 0]
    ]


def test_bits_and_exif(tmp_path: Path) -> None:
    bits = Image.fromarray(RAMP > 60)
    bits.save(tmp_path / "bits.png")
    assert read_grey_map(tmp_path / "bits.png")[0].tolist() == [0, 0, 1, 1]
    exif = Image.Exif()
    exif[0x0112] = 6
    write_picture(tmp_path / "turned.jpg", np.tile(RAMP, (8, 8)), exif=exif, quality=100)
    assert read_displayed_size(tmp_path / "turned.jpg") == (24, 32)
    assert read_grey_map(tmp_path / "turned.jpg").shape == (32, 24)


def test_jpeg_noise_in_colour_is_forgiven_colour_is_not(tmp_path: Path) -> None:
    y, x = np.mgrid[:64, :64]
    bell = (255 * np.exp(-((x - 30) ** 2 + (y - 30) ** 2) / 200)).astype(np.uint8)
    path = write_picture(tmp_path / "a.jpg", np.stack([bell] * 3, axis=-1), quality=60)
    assert np.abs(read_grey_map(path) - bell / 255).max() < 0.05
    jet = np.stack([bell, 255 - bell, bell // 2], axis=-1)
    with pytest.raises(UserError, match="in colour"):
        read_grey_map(write_picture(tmp_path / "jet.png", jet))


def test_broken_pictures_are_refused(tmp_path: Path) -> None:
    data = write_picture(tmp_path / "whole.png", np.tile(RAMP, (40, 40))).read_bytes()
    cut = tmp_path / "cut.png"
    cut.write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="can be decoded") as error:
        read_grey_map(cut)
    assert error.value.location == cut
    rng = np.random.default_rng(0)
    for k in range(300):
        changed = bytearray(data)
        for place in rng.integers(8, len(data), 3):
            changed[place] = rng.integers(256)
        cut.write_bytes(bytes(changed[: rng.integers(8, len(data) + 1)] if k % 3 == 0 else changed))
        with suppress(UserError):  # the only exception that is allowed
            assert read_grey_map(cut).ndim == 2
