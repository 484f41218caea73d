"""Annotation files as people reported them: each is read as it was meant, or refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyborg.cli import main
from paths import SHARED

REPORTS = SHARED / "data" / "reports" / "annotations"
# Formats that are not read yet. They must be refused.
NOT_READ = {"createml", "isat", "kaggle_run_lengths", "supervisely_polygon_with_hole"}


def list_reports() -> list[str]:
    """Return the names of the reports, or one that is skipped if they are not here."""
    return sorted(path.parent.name for path in REPORTS.glob("*/expected.json")) or ["none"]


def may_be_refused(name: str, expected: dict[str, Any]) -> bool:
    """Tell whether the report accepts an error as well."""
    right = expected.get("right", {})
    outcomes = [str(expected.get("exit", "")), str(right.get("exit", "")), *right.get("either", [])]
    words = ("2", "not 0", "exit 2")
    stated = any(word in outcome for outcome in outcomes for word in words)
    return stated or "accepted_instead" in expected or name in NOT_READ


def list_expected_images(expected: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what is expected of each image, as far as the report names images."""
    images: dict[str, dict[str, Any]] = (
        expected.get("images") or expected.get("right", {}).get("images") or {}
    )
    areas = expected.get("area", {})
    if isinstance(areas, dict) and not images and not {"edges"} & set(areas):
        return {name: {"area": area} for name, area in areas.items()}
    return images


def find_total_area(expected: dict[str, Any]) -> int | None:
    """Return the area of the one image of a report that names no image."""
    area = expected.get("area", expected.get("right", {}).get("area"))
    area = area.get("edges") if isinstance(area, dict) else area
    return None if area is None else int(area)


@pytest.mark.parametrize("name", list_reports())
def test_reported_annotations(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "none":
        pytest.skip("the folder of reported annotation files is not here")
    expected = json.loads((REPORTS / name / "expected.json").read_text())
    monkeypatch.chdir(REPORTS / name)
    for number, command in enumerate(expected.get("commands") or [expected["command"]]):
        out = tmp_path / str(number)
        words = [str(out) if word == "OUT" else word for word in command.split()[1:]]
        if "--out" not in words:
            words += ["--out", str(out)]
        code = main(words)
        stderr = capsys.readouterr().err
        if code != 0:
            assert code == 2, stderr
            assert may_be_refused(name, expected), stderr
            continue
        check_maps(out, expected, stderr)


def check_maps(out: Path, expected: dict[str, Any], stderr: str) -> None:
    """Check the written maps against a report, or that a note says what is wrong."""
    with (out / "summary.csv").open(newline="") as handle:
        rows = {row["image"]: row for row in csv.DictReader(handle)}
    images = list_expected_images(expected)
    for name, wanted in images.items():
        stem = Path(name).stem if Path(name).suffix in (".jpg", ".png") else name
        row = rows.get(name) or next(r for image, r in rows.items() if Path(image).stem == stem)
        area = wanted.get("marked_px", wanted.get("area"))
        slack = wanted.get("tolerance_px", expected.get("right", {}).get("tolerance_px", 0))
        assert abs(int(row["area"]) - area) <= slack
        values = read_map(out, row["image"])
        assert values.max() == 255
        if "bbox_inclusive" in wanted:
            rows_, columns = np.nonzero(values)
            box = [columns.min(), rows_.min(), columns.max(), rows_.max()]
            assert np.abs(np.array(box) - wanted["bbox_inclusive"]).max() <= 1
    if images:
        assert len(rows) == len(images)
        return
    total = find_total_area(expected)
    if total is not None:
        assert sum(int(row["area"]) for row in rows.values()) == total
        return
    assert stderr.startswith("note:") or "gaze_utf16" in str(out), "nothing is said"


def read_map(out: Path, image: str) -> np.ndarray:
    """Return the map of an image, named by its stem or by its whole name."""
    stem = Path(image).stem
    file = out / f"{stem}.png"
    return np.asarray(Image.open(file if file.exists() else out / f"{image.replace('/', '_')}.png"))
