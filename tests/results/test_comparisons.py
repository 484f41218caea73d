"""Test what the report says of gains, losses and controls."""

from __future__ import annotations

import io
import math
import re
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from cyborg.config.experiment import Report
from cyborg.results.comparisons import UNSEEN
from cyborg.results.report import report
from cyborg.results.sections.comparisons import judge_difference, state_controls, state_losses
from fake_results import build_experiment, write_grid

SETTINGS = Report(margin=0.02)

Interval = tuple[float, float, float]  # difference, low, high


def build_rows(
    gain: Interval,
    wrong: Interval,
    right: Interval,
    runs: int = 3,
    test_set: str = UNSEEN,
    equivalence_p: float = 0.4,
) -> pd.DataFrame:
    """Rows of comparisons.csv of one architecture: a variant, its control, and their difference."""
    rows = [
        ("cyborg", "cross_entropy", "baseline", gain),
        ("cyborg_shuffled", "cross_entropy", "baseline", wrong),
        ("cyborg", "cyborg_shuffled", "control", right),
    ]
    return pd.DataFrame(
        [
            {
                "architecture": "net", "variant": variant, "reference": reference, "kind": kind,
                "test_set": test_set, "runs": runs, "difference_mean": difference, "ci_low": low,
                "ci_high": high, "equivalence_p": equivalence_p, "smallest_difference": 0.034,
            }
            for variant, reference, kind, (difference, low, high) in rows
        ]
    )  # fmt: skip


def state(gain: Interval, wrong: Interval, right: Interval, runs: int = 3) -> tuple[str, bool]:
    (found,) = state_controls(build_rows(gain, wrong, right, runs), "cross_entropy", SETTINGS)
    return found


def spread(difference: float, error: float = 0.02) -> Interval:
    return difference, difference - error, difference + error


@pytest.mark.parametrize(
    ("differences", "words", "good"),
    [
        ((0.01, 0.00, 0.01), "No gain over the baseline can be told from zero", False),
        ((0.10, 0.09, 0.01), "Wrong maps give 90% of the gain", False),
        ((0.10, 0.11, -0.01), "Wrong maps gain more", False),
        ((0.10, 0.02, 0.08), "right maps bring more", True),
        ((0.10, 0.18, -0.08), "right maps bring less", False),
        ((-0.10, -0.09, -0.01), "It is worse than cross_entropy", False),
        ((-0.10, -0.02, -0.08), "right maps bring less", False),
    ],
)
def test_statements_about_controls(
    differences: tuple[float, float, float], words: str, good: bool
) -> None:
    gain, wrong, right = map(spread, differences)
    text, sure = state(gain, wrong, right)
    assert words in text
    assert sure == good
    assert text.startswith("net, mean of the unseen test sets, 3 runs: cyborg minus cross_entropy")


def test_what_cannot_be_told_from_zero_stands_beside_what_could_have_been_seen() -> None:
    rows = build_rows(spread(0.01), spread(0.0), spread(0.01))
    ((text, _),) = state_controls(rows, "cross_entropy", SETTINGS)
    assert "would have shown a difference of 0.034" in text
    assert "cannot be told from zero" in text
    assert "equal" not in text


def test_equal_within_the_margin_is_called_equal() -> None:
    rows = build_rows(spread(0.10), spread(0.10), spread(0.0, 0.01), equivalence_p=0.01)
    ((text, good),) = state_controls(rows, "cross_entropy", SETTINGS)
    assert "Right and wrong maps are equal within ±0.02." in text
    assert not good


def test_a_loss_is_called_a_loss() -> None:
    text, good = state((-0.102, -0.241, -0.011), spread(0.0, 0.1), spread(-0.1, 0.2))
    assert "cyborg minus cross_entropy is −0.102 [−0.241, −0.011]" in text
    assert "It is worse than cross_entropy." in text
    assert "No gain" not in text
    assert not good


def test_a_loss_without_control_is_called_a_loss() -> None:
    rows = build_rows((-0.102, -0.241, -0.011), spread(-0.1), spread(0.0))
    alone = rows[rows["kind"] == "baseline"]
    found = state_losses(alone, "cross_entropy")
    assert [text.split(":")[1].split(" minus")[0].strip() for text, _ in found] == [
        "cyborg", "cyborg_shuffled"
    ]  # fmt: skip
    assert all("It is worse than cross_entropy." in text and not good for text, good in found)
    # The variant with a control has its statement there.
    assert len(state_losses(rows, "cross_entropy")) == 1


def test_one_run_has_no_verdict() -> None:
    for difference in (0.2, -0.2):
        rows = build_rows(spread(difference), spread(0.0), spread(difference), runs=1)
        assert [judge_difference(row) for _, row in rows.iterrows()] == [""] * 3
        ((text, good),) = state_controls(rows, "cross_entropy", SETTINGS)
        assert ", 1 run: " in text
        assert "cannot tell a gain or a loss from luck" in text
        assert not re.search(r"worse|better|bring|told from zero|of the gain", text)
        assert not good
        assert state_losses(rows, "cross_entropy") == []


def test_unknown_intervals_have_no_verdict() -> None:
    rows = build_rows((0.0, math.nan, math.nan), (0.0, math.nan, math.nan), spread(0.0))
    assert [judge_difference(row) for _, row in rows.iterrows()] == [""] * 3


@dataclass(frozen=True)
class Written:
    """A report: the page without its images, what was printed, and its folder."""

    page: str
    printed: str
    results: Path


def write_report(root: Path, seeds: int) -> Written:
    params = build_experiment(seeds=seeds, architectures=1, bootstrap=100)
    write_grid(root, params, images=15)
    with redirect_stdout(io.StringIO()) as printed:
        report(params, root)
    text = (root / "results/report.html").read_text(encoding="utf-8")
    page = re.sub(r"base64,[^\"]*", "", text)
    return Written(page, printed.getvalue(), root / "results")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_report(tmp_path_factory.mktemp("one"), seeds=1)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_report(tmp_path_factory.mktemp("several"), seeds=2)


def test_several_runs_have_verdicts_and_no_p_values(several: Written) -> None:
    table = pd.read_csv(several.results / "comparisons.csv")
    assert table["delong_p"].isna().all()
    assert table["delong_p_holm"].isna().all()
    assert "DeLong" not in several.page
    assert ">verdict</th>" in several.page


def test_one_run_has_p_values_and_no_verdict(one: Written) -> None:
    table = pd.read_csv(one.results / "comparisons.csv")
    known = table[table["test_set"] != UNSEEN]
    assert known["delong_p"].between(0, 1).all()
    assert (known["delong_p"] <= known["delong_p_holm"]).all()
    assert "p (DeLong)" in one.page
    assert ">verdict</th>" not in one.page


def test_one_run_is_not_described_as_several(one: Written) -> None:
    files = [(one.results / name).read_text(encoding="utf-8") for name in ("auc.md", "auc.tex")]
    for words in (one.page, one.printed, *files):
        assert not re.search(r"over (the |independent )?runs|single runs|\b1 \w+s\b", words)
        assert not re.search(r"\d ± \d", words)
        assert "one " in words or "One " in words
    assert "3 combinations of architecture and variant, 1 run of each, 3 test sets" in one.page


def test_several_runs_are_described_as_several(several: Written) -> None:
    assert "mean ± standard deviation over runs" in several.printed
    assert "2 runs of each" in several.page
    assert "one run" not in several.page
    assert "There are 2 runs of each combination" in several.page


def test_the_last_line_is_the_path_of_the_report(one: Written) -> None:
    assert one.printed.rstrip().endswith("results/report.html")
