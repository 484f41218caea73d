"""`cyborg agreement`: hand-computed values, what is left out and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cyborg.cli import main
from cyborg.saliency.agreement import compare_maps


def make_phantom(*marks: tuple[str, str, list[list[float]] | None]) -> dict[str, Any]:
    """Image, annotator, polygon (or nothing marked), all of 12 x 10 pixels."""
    images: dict[str, list] = {}
    for image, annotator, polygon in marks:
        regions = [{"label": "eye", "polygon": polygon}] if polygon else []
        said = {
            "annotator": annotator,
            "decision": "synthetic",
            "correct": True,
            "seconds": 2.0,
            "regions": regions,
        }
        images.setdefault(image, []).append(said)
    return {
        "format": "phantom",
        "version": 1,
        "images": [
            {"file": name, "width": 12, "height": 10, "annotations": said}
            for name, said in images.items()
        ],
    }


def write_json(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def make_square(x: float) -> list[list[float]]:
    return [[x, 2], [x + 4, 2], [x + 4, 6], [x, 6]]


def test_agreement_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    export = write_json(
        tmp_path / "export.json",
        make_phantom(
            ("a.png", "p", make_square(0)),
            ("a.png", "q", make_square(2)),  # half of each is shared
            ("b.png", "p", make_square(0)),
            ("b.png", "q", make_square(0)),  # the same
            ("c.png", "p", make_square(0)),  # one annotator: left out
        ),
    )
    assert main(["agreement", str(export), "--out", str(tmp_path / "agree.csv")]) == 0
    assert "2 images, 2 pairs" in capsys.readouterr().out
    with (tmp_path / "agree.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["image"] for row in rows] == ["a.png", "b.png", "(all)"]
    first = {key: float(value) for key, value in list(rows[0].items())[1:]}
    # 16 pixels each of 120, 8 shared: IoU 8/24; CC by the formula for 0/1 variables; SIM 8/16.
    share = 16 / 120
    cc = (8 / 120 - share**2) / (share - share**2)
    expected = {"iou": 8 / 24, "cc": cc, "sim": 0.5, "annotators": 2, "pairs": 1}
    for key, value in expected.items():
        assert first[key] == pytest.approx(value, abs=1e-5)
    assert first["ceiling_cc"] == first["cc"]  # with two, the others are the other
    assert float(rows[1]["iou"]) == 1
    assert float(rows[2]["iou"]) == pytest.approx((1 / 3 + 1) / 2, abs=1e-5)


def test_agreement_of_three_and_of_nothing() -> None:
    a = np.array([1, 1, 0, 0], dtype=np.float32)
    b = np.array([0, 1, 1, 0], dtype=np.float32)
    none = np.zeros(4, dtype=np.float32)
    done = compare_maps("x", np.array([a, a, b]))
    assert done.pairs == 3
    assert done.iou == pytest.approx((1 + 1 / 3 + 1 / 3) / 3)
    assert done.sim == pytest.approx((1 + 0.5 + 0.5) / 3)
    # a against mean(a, b) = (.5, 1, .5, 0), at half of its maximum 3 pixels: 2/3; b against a: 1/3.
    assert done.ceiling_iou == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)
    one_empty = compare_maps("x", np.array([a, none]))
    assert (one_empty.iou, one_empty.sim) == (0, 0)
    assert np.isnan(one_empty.cc)
    assert np.isnan(compare_maps("x", np.array([none, none])).iou)


def test_agreement_needs_two(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    export = write_json(tmp_path / "export.json", make_phantom(("a.png", "p", make_square(0))))
    assert main(["agreement", str(export)]) == 2
    assert "no image that two annotators marked" in capsys.readouterr().err
