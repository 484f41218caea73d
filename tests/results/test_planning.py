"""Runs and images that a difference needs, from the tables of a report."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cyborg.common.errors import UserError
from cyborg.results.planning import describe_power


def write_comparisons(root: Path, **changes: object) -> Path:
    row = {
        "architecture": "small_cnn", "variant": "cyborg", "reference": "cross_entropy",
        "test_set": "gan", "runs": 4, "difference_sd": 0.05, "image_error": 0.012,
    } | changes  # fmt: skip
    (root / "results").mkdir(parents=True, exist_ok=True)
    path = root / "results/comparisons.csv"
    pd.DataFrame([row]).to_csv(path, index=False)
    return path


def test_smaller_differences_need_more_runs(tmp_path: Path) -> None:
    write_comparisons(tmp_path)
    counts = []
    for difference in (0.10, 0.05, 0.04):
        line = describe_power(tmp_path, difference).splitlines()[-1]
        counts.append(int(line.split()[-3]))
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_if_images_are_too_few_no_number_of_runs_is_stated(tmp_path: Path) -> None:
    write_comparisons(tmp_path, image_error=0.03)
    assert "more images" in describe_power(tmp_path, 0.05)


@pytest.mark.parametrize(("difference", "words"), [(0.0, "difference of AUC"), (1.5, "1.5")])
def test_what_is_no_difference_is_refused(tmp_path: Path, difference: float, words: str) -> None:
    write_comparisons(tmp_path)
    with pytest.raises(UserError, match=words):
        describe_power(tmp_path, difference)


def test_one_run_and_no_report_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dvc repro"):
        describe_power(tmp_path, 0.05)
    write_comparisons(tmp_path, runs=1)
    with pytest.raises(UserError, match="at least two seeds"):
        describe_power(tmp_path, 0.05)
    path = write_comparisons(tmp_path)
    pd.read_csv(path).drop(columns="image_error").to_csv(path, index=False)
    with pytest.raises(UserError, match="image_error"):
        describe_power(tmp_path, 0.05)
