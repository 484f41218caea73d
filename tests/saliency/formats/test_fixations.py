"""Gaze: tables, OSIE and SALICON become fixations or samples in pixels and seconds."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from cyborg.common.errors import UserError
from reading import EXAMPLES, read, recognise

NAN = float("nan")


def is_equal(found: np.ndarray | None, expected: list[list[float]]) -> bool:
    return found is not None and np.allclose(found, expected, equal_nan=True)


def test_table_of_fixations() -> None:
    path = EXAMPLES / "fixations" / "fixations.csv"
    assert recognise(path) == ["fixations"]
    anna, ben = read("fixations", path)
    assert (anna.image, anna.size, anna.annotator) == ("drawing.png", (7, 5), "anna")
    # Sorted by `order`; milliseconds become seconds.
    assert is_equal(anna.fixations, [[0.5, 1.5, 0.1], [4.5, 3.5, 0.25]])
    assert anna.samples is None
    # Off the image and without duration: kept as recorded, left out when maps are made.
    assert is_equal(ben.fixations, [[-3, 2, NAN]])


def test_table_of_samples_counted_from_one() -> None:
    path = EXAMPLES / "fixations" / "samples.csv"
    assert recognise(path) == ["fixations"]
    (anna,) = read("fixations", path)
    assert anna.size is None
    assert anna.fixations is None
    # Column 1 is the pixel whose centre is at 0.5; row 2 the one at 1.5. Lost gaze stays NaN.
    assert is_equal(anna.samples, [[0.5, 1.5, 0], [NAN, NAN, 0.01], [4.5, 3.5, 0.02]])


def test_salicon_is_row_and_column_from_one() -> None:
    path = EXAMPLES / "fixations" / "salicon.json"
    assert recognise(path) == ["fixations"]
    seen, unseen = read("fixations", path)
    assert (seen.image, seen.size, seen.annotator) == ("drawing.png", (7, 5), "12")
    assert is_equal(seen.fixations, [[0.5, 1.5, NAN], [4.5, 3.5, NAN]])
    assert unseen.image == "other.png"
    assert unseen.fixations is not None
    assert unseen.fixations.shape == (0, 3)


def test_osie_fixations() -> None:
    path = EXAMPLES / "fixations" / "osie.mat"
    assert recognise(path) == ["fixations"]
    first, second = read("fixations", path)
    assert (first.image, first.size, first.annotator) == ("drawing.jpg", (800, 600), "1")
    assert is_equal(first.fixations, [[625.2, 266.0, 0.18], [603.5, 251.7, 0.637]])
    assert second.annotator == "2"
    assert second.fixations is not None
    assert second.fixations.shape == (0, 3)


def test_osie_mouse() -> None:
    path = EXAMPLES / "fixations" / "1041.mat"
    assert recognise(path) == ["fixations"]
    two, many = read("fixations", path)
    assert (two.image, two.annotator, many.annotator) == ("1041", "2", "200")
    # coord is (row, column) from 1; `order` sorts. 8-bit numbers do not wrap around.
    assert is_equal(two.fixations, [[0.5, 599.5, NAN], [399.5, 299.5, NAN]])
    assert is_equal(many.fixations, [[799.5, 0.5, NAN]])


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("image,x,y,duration", "a.png,1,2,3", "unit"),
        ("image,x,y,t", "a.png,1,2,3", "unit"),
        ("image,row,col,duration_ms", "a.png,1,2,3", "counts from"),
        ("image,x,y,duration_ms", "a.png,one,2,3", "not a number"),
        ("image,x,y,start_ms,end_ms", "a.png,1,2,30,20", "ends before"),
        ("image,x,y,duration_ms", "a.png,1e300,2,3", "out of range|beyond"),
        ("image,x,y,duration_ms", "a.png,1,2", "has 3 cells, not 4"),
        ("image,x,y,x,duration_ms", "a.png,1,2,3,4", "duplicate column `x`"),
        ("image,x,y,order,width,height", "a.png,1,2,1,-7,5", "whole number"),
        ("image,x,y,order,width,height", "a.png,1,2,1,100000,100000", "claims an image"),
    ],
)
def test_refused(tmp_path: Path, header: str, row: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{header}\n{row}\n")
    with pytest.raises(UserError, match=message):
        read("fixations", path)


def test_one_image_has_one_size(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("image,width,height,x,y,order\na.png,7,5,1,1,1\na.png,5,7,1,1,2\n")
    with pytest.raises(UserError, match="another size") as caught:
        read("fixations", path)
    assert str(caught.value.location).endswith("a.csv:3")


def test_a_matlab_file_cannot_ask_for_memory(tmp_path: Path) -> None:
    # A cell array that claims 2^31 - 1 entries, in a file of some kilobytes.
    data = bytearray(write_uncompressed_cell())
    place = data.find(b"\x01\x00\x00\x00\x01\x00\x00\x00")
    data[place : place + 4] = (2**31 - 1).to_bytes(4, "little")
    path = tmp_path / "a.mat"
    path.write_bytes(bytes(data))
    with pytest.raises(UserError, match="larger than the file"):
        read("fixations", path)


def test_version_7_3_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(600))
    assert recognise(path) == ["fixations"]
    with pytest.raises(UserError, match="v7"):
        read("fixations", path)


def write_uncompressed_cell() -> bytes:
    cell = np.empty((1, 1), object)
    cell[0, 0] = {"img": "a.jpg", "subjects": np.zeros((1, 1))}
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"fixations": cell}, do_compression=False)
    return buffer.getvalue()
