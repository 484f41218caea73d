"""Test the report stage on a made-up grid: its files, its errors, and that bytes repeat."""

from __future__ import annotations

import json
import math
import re
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fake_results
from cyborg.common.errors import UserError
from cyborg.common.ranking import compute_auc
from cyborg.results import analysis, cells, gallery, tables
from cyborg.results.comparisons import UNSEEN
from cyborg.results.report import report
from fake_results import build_experiment, write_grid
from html_page import HtmlPage

FIRST = ["architecture", "variant", "test_set", "runs", "auc_mean", "auc_sd", "ci_low", "ci_high"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a report of 2 architectures, 3 variants, 3 seeds."""
    root = tmp_path_factory.mktemp("report")
    params = build_experiment()
    write_grid(root, params)
    report(params, root)
    return root


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with a finished grid of one architecture and two seeds, not reported yet."""
    write_grid(tmp_path, build_experiment(seeds=2, architectures=1), images=12)
    return tmp_path


def find_first_cell(root: Path) -> Path:
    return min((root / "runs/evaluate").glob("*/*/*/*"))


def test_auc_table_holds_what_the_scores_say(done: Path) -> None:
    table = pd.read_csv(done / "results/auc.csv")
    assert list(table.columns[:8]) == FIRST
    assert len(table) == 2 * 3 * 3
    assert (table["runs"] == 3).all()
    row = table[
        (table["architecture"] == "small_cnn")
        & (table["variant"] == "cyborg")
        & (table["test_set"] == "kind_b")
    ].iloc[0]
    aucs = []
    for path in (done / "runs/evaluate/small_cnn/cyborg").glob("*/*/scores.parquet"):
        scores = pd.read_parquet(path)
        scores = scores[scores["set"] == "kind_b"]
        positives = (scores["label"] == "synthetic").to_numpy()
        aucs.append(compute_auc(scores["score"].to_numpy(), positives))
    assert row["auc_mean"] == pytest.approx(np.mean(aucs), abs=1e-6)
    assert row["auc_sd"] == pytest.approx(np.std(aucs, ddof=1), abs=1e-6)
    assert row["ci_low"] < row["auc_mean"] < row["ci_high"]


def test_rows_stand_in_the_order_of_params(done: Path) -> None:
    table = pd.read_csv(done / "results/auc.csv")
    assert list(table["architecture"].unique()) == ["small_cnn", "efficientnet_lite0"]
    assert list(table["variant"].unique()) == ["cross_entropy", "cyborg", "cyborg_shuffled"]
    assert list(table["test_set"].unique()) == ["kind_a", "kind_b", "kind_c"]


def test_seen_generators_are_marked(done: Path) -> None:
    table = pd.read_csv(done / "results/auc.csv")
    assert set(table["seen"][table["test_set"] == "kind_a"]) == {"yes"}
    assert set(table["seen"][table["test_set"] != "kind_a"]) == {"no"}
    text = (done / "results/auc.md").read_text()
    assert len(re.findall(r"0\.\d{3} ± 0\.\d{3}†", text)) == 6
    assert r"$^\dagger$" in (done / "results/auc.tex").read_text()


def test_metrics_json_has_the_mean_of_the_unseen_sets(done: Path) -> None:
    metrics = json.loads((done / "results/metrics.json").read_text())
    table = pd.read_csv(done / "results/auc.csv")
    means = table[table["test_set"] != "kind_a"].groupby(["architecture", "variant"])["auc_mean"]
    found = {(net, name): auc for net, row in metrics.items() for name, auc in row.items()}
    assert found == pytest.approx(means.mean().to_dict(), abs=1e-6)


def test_metrics_json_has_at_most_ten_values() -> None:
    rows = [
        {"architecture": f"net{a}", "variant": f"variant{v}", "test_set": "x",
         "auc_mean": (a + v) / 20, "seen": "yes"}
        for a in range(4) for v in range(12)
    ]  # fmt: skip
    few = tables.collect_metrics(pd.DataFrame(rows[:3]))
    assert few == {"net0": {"variant0": 0.0, "variant1": 0.05, "variant2": 0.1}}
    many = tables.collect_metrics(pd.DataFrame(rows))
    assert list(many) == ["all"]
    assert list(many["all"]) == [f"variant{v}" for v in range(10)]
    assert many["all"]["variant0"] == pytest.approx(1.5 / 20)


def test_roc_points_are_few_and_rise(done: Path) -> None:
    table = pd.read_csv(done / "results/roc.csv")
    mean = pd.read_csv(done / "results/auc.csv").set_index(FIRST[:3])["auc_mean"]
    for key, curve in table.groupby(FIRST[:3]):
        x, y = curve["false_positive_rate"].to_numpy(), curve["true_positive_rate"].to_numpy()
        assert len(curve) <= 200
        assert (np.diff(x) >= 0).all()
        assert (np.diff(y) >= 0).all()
        assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
        area = float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum())
        assert area == pytest.approx(mean[key], abs=0.01)


def test_comparisons_pair_variants_and_controls(done: Path) -> None:
    table = pd.read_csv(done / "results/comparisons.csv")
    pairs = set(map(tuple, table[["variant", "reference", "kind"]].to_numpy()))
    assert pairs == {
        ("cyborg", "cross_entropy", "baseline"),
        ("cyborg_shuffled", "cross_entropy", "baseline"),
        ("cyborg", "cyborg_shuffled", "control"),
    }
    means = pd.read_csv(done / "results/auc.csv").set_index(FIRST[:3])["auc_mean"]
    for _, row in table[table["test_set"] != UNSEEN].iterrows():
        expected = (
            means[row["architecture"], row["variant"], row["test_set"]]
            - means[row["architecture"], row["reference"], row["test_set"]]
        )
        assert row["difference_mean"] == pytest.approx(expected, abs=1e-5)
    # The mean is over the two sets whose generators were not trained on.
    one = table[(table["architecture"] == "small_cnn") & (table["reference"] == "cross_entropy")]
    one = one[one["variant"] == "cyborg"].set_index("test_set")["difference_mean"]
    assert one[UNSEEN] == pytest.approx((one["kind_b"] + one["kind_c"]) / 2, abs=1e-5)


def test_alignment_leaves_out_what_does_not_exist(done: Path) -> None:
    table = pd.read_csv(done / "results/alignment.csv")
    assert (table["images"] == 40).all()
    assert table["undefined"].to_numpy() == pytest.approx(1 / 40)
    assert table["ratio"].to_numpy() == pytest.approx(
        (table["inside_mean"] / table["chance_mean"]).to_numpy(), rel=1e-4
    )
    means = table.groupby("variant")["correlation_mean"].mean()
    assert means["cyborg"] > 0.5 > means["cross_entropy"]


def test_operating_points_state_runs_and_leave_unknown_empty(done: Path) -> None:
    table = pd.read_csv(done / "results/operating_points.csv")
    assert (table["runs"] == 3).all()
    # 40 bona fide images cannot show a rate of 1 %.
    assert table["mean"][table["measure"] == "tpr_at_fpr_1%"].isna().all()
    assert table["mean"][table["measure"] == "apcer_at_bpcer_5%"].notna().all()


def test_page_is_one_well_formed_file(done: Path) -> None:
    text = (done / "results/report.html").read_text(encoding="utf-8")
    page = HtmlPage(text)
    assert not {"a", "script", "link", "iframe"} & set(page.tags)
    figures = list((done / "results/figures").glob("*.png"))
    assert len(figures) == 6  # AUC, three ROC, learning curves, gallery
    assert len(page.list_images()) == len(figures)
    assert all(source.startswith("data:image/png;base64,") for source in page.list_images())
    assert "http" not in re.sub(r"base64,[^\"]*", "", text)
    for words in ("thumbnails", "right minus wrong maps is", "Too small to give a rate"):
        assert words in text


def read_files(root: Path) -> dict[str, bytes]:
    paths = [path for path in (root / "results").rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


@pytest.mark.slow
def test_same_inputs_give_the_same_bytes(small: Path) -> None:
    params = build_experiment(seeds=2, architectures=1)
    report(params, small)
    first = read_files(small)
    # As in another process: time has passed, random numbers were drawn, figures were styled.
    time.sleep(1.1)
    np.random.seed(7)
    report(params, small)
    assert read_files(small) == first
    assert {Path(name).name for name in first} >= {
        "auc.csv", "auc.md", "auc.tex", "metrics.json", "roc.csv", "auc_bars.csv",
        "alignment.csv", "comparisons.csv", "operating_points.csv", "report.html",
        "roc_kind_a.png", "learning_curves.png", "auc_bars.png", "gallery.png",
    }  # fmt: skip


def test_one_run_has_no_spread(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params = build_experiment(seeds=1, architectures=1).model_copy(update={"name": "A <b> & B"})
    write_grid(tmp_path, params, images=15, baselines=False)
    shown = report(params, tmp_path)
    assert shown in capsys.readouterr().out
    assert "±" not in shown.splitlines()[2]
    table = pd.read_csv(tmp_path / "results/auc.csv")
    assert table["auc_sd"].isna().all()
    assert table["ci_low"].notna().all()
    text = (tmp_path / "results/report.html").read_text()
    assert "There is one run of each combination" in text
    assert "trivial" not in text
    assert "<h1>A &lt;b&gt; &amp; B</h1>" in text


def test_perfect_scores_do_not_make_a_sure_thing(small: Path) -> None:
    for path in (small / "runs/evaluate").rglob("scores.parquet"):
        scores = pd.read_parquet(path)
        scores["score"] = (scores["label"] == "synthetic") * 0.8
        scores.to_parquet(path, index=False)
    report(build_experiment(seeds=2, architectures=1), small)
    table = pd.read_csv(small / "results/auc.csv")
    assert (table["auc_mean"] == 1).all()
    assert table["ci_low"].to_numpy() == pytest.approx(0.025 ** (1 / 12), abs=1e-5)
    differences = pd.read_csv(small / "results/comparisons.csv")
    assert (differences["difference_mean"] == 0).all()
    assert differences["ci_low"].isna().all()


def test_no_maps_no_gallery_and_no_stale_figures(small: Path) -> None:
    stale = small / "results/figures/roc_old.png"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"")
    for path in (small / "runs/evaluate").rglob("alignment.parquet"):
        pd.read_parquet(path).iloc[:0].to_parquet(path, index=False)
    for path in (small / "runs/evaluate").rglob("gallery.npz"):
        with np.load(path) as archive:
            empty = {name: archive[name][:0] for name in archive}
        np.savez(path, **empty)
    report(build_experiment(seeds=2, architectures=1), small)
    text = (small / "results/report.html").read_text()
    assert "Where the networks look" not in text
    assert "Gallery" not in text
    assert not stale.exists()
    assert len(pd.read_csv(small / "results/alignment.csv")) == 0


def test_unfinished_cells_are_named(small: Path) -> None:
    params = build_experiment(seeds=2, architectures=1)
    report(params, small)
    before = read_files(small)
    cell = find_first_cell(small)
    (cell / "MANIFEST.json").unlink()
    with pytest.raises(UserError, match="not finished") as caught:
        report(params, small)
    assert str(cell.relative_to(small)) in caught.value.text()
    assert read_files(small) == before


@pytest.mark.parametrize("seeds", [1, 3])
def test_plan_of_other_params_is_refused(small: Path, seeds: int) -> None:
    with pytest.raises(UserError, match=r"params\.yaml") as caught:
        report(build_experiment(seeds=seeds, architectures=1), small)
    assert "cyborg plan" in caught.value.text()


def damage_file(name: str, cell: Path) -> Path:
    scores = cell / "scores.parquet"
    table = pd.read_parquet(scores)
    if name == "truncated":
        scores.write_bytes(scores.read_bytes()[:100])
    elif name == "not a number":
        table.loc[3, "score"] = math.nan
        table.to_parquet(scores, index=False)
    elif name == "other images":
        table.iloc[1:].to_parquet(scores, index=False)
    elif name == "no column":
        table.drop(columns="label").to_parquet(scores, index=False)
    elif name == "gallery":
        scores = cell / "gallery.npz"
        scores.write_bytes(b"PK")
    return scores


@pytest.mark.parametrize(
    "name", ["truncated", "not a number", "other images", "no column", "gallery"]
)
def test_broken_files_are_named(small: Path, name: str) -> None:
    path = damage_file(name, find_first_cell(small))
    with pytest.raises(UserError) as caught:
        report(build_experiment(seeds=2, architectures=1), small)
    assert path.name in caught.value.text()
    assert not (small / "results/auc.csv").exists()


def test_a_set_of_one_class_is_refused(small: Path) -> None:
    for path in (small / "runs/evaluate").rglob("scores.parquet"):
        table = pd.read_parquet(path)
        keep = (table["set"] != "kind_b") | (table["label"] == "synthetic")
        table[keep].to_parquet(path, index=False)
    with pytest.raises(UserError, match=r"kind_b.*one class"):
        report(build_experiment(seeds=2, architectures=1), small)


def test_generators_of_one_set_are_reported_apart(small: Path) -> None:
    for path in (small / "runs/evaluate").rglob("scores.parquet"):
        table = pd.read_parquet(path)
        rows = table.index[(table["set"] == "kind_b") & (table["label"] == "synthetic")]
        table.loc[rows[:6], "generator"] = "a"
        table.to_parquet(path, index=False)
    results = cells.read_results(build_experiment(seeds=2, architectures=1), small)
    points = analysis.tabulate_operating_points(results)
    assert set(points["generator"][points["test_set"] == "kind_b"]) == {"", "a", "b"}
    assert set(points["generator"][points["test_set"] == "kind_c"]) == {""}
    assert results.seen["cyborg", "kind_b"] == "partly"


def test_numbers_of_tables() -> None:
    assert tables.format_number(0.6518) == "0.652"
    assert tables.format_number(-0.0123, sign=True) == "−0.012"
    assert tables.format_number(math.nan) == "–"
    assert tables.format_mean_sd(0.65, math.nan) == "0.650"
    assert tables.format_interval(math.nan, math.nan) == "–"
    assert tables.escape_latex("a_b 5% ± –") == r"a\_b 5\% $\pm$ --"


def test_show_prints_the_table(done: Path, tmp_path: Path) -> None:
    shown = tables.read_auc_table(done)
    assert shown.startswith("# Fake grid")
    assert shown.splitlines()[-1] == "Report: results/report.html"
    with pytest.raises(UserError, match="no report yet"):
        tables.read_auc_table(tmp_path)


def test_gallery_takes_sets_in_turn_and_mapped_images_first() -> None:
    sets = np.array(["a", "a", "a", "b", "b"])
    labels = np.array(["bona_fide", "synthetic", "synthetic", "bona_fide", "synthetic"])
    maps = np.zeros((5, 2, 2), np.uint8)
    maps[2] = 1
    assert gallery.choose_images(sets, labels, maps, "synthetic") == [2, 4, 1, 3, 0]


def test_enlargement_keeps_means_and_constants() -> None:
    heat = np.random.default_rng(0).random((3, 3))
    assert gallery.enlarge_map(np.full((2, 3), 0.4), 8, 9) == pytest.approx(np.full((8, 9), 0.4))
    large = gallery.enlarge_map(heat, 30, 30)
    assert large.min() >= heat.min()
    assert large.max() <= heat.max()
    assert large.mean() == pytest.approx(heat.mean(), abs=0.02)
    # Row 15 of 30 lies at (15.5 * 3 / 30) - 0.5 = 1.05 in the small map.
    assert large[0, 15] == pytest.approx(0.95 * heat[0, 1] + 0.05 * heat[0, 2])


def test_grid_of_eighteen_cells_is_quick(tmp_path: Path) -> None:
    params = build_experiment(bootstrap=2000)
    write_grid(tmp_path, params, images=200, gallery=False)
    results = cells.read_results(params, tmp_path)
    start = time.process_time()
    analysis.resample_test_sets(results, params.report)
    assert time.process_time() - start < 20


def test_fake_variants_differ_as_planted(done: Path) -> None:
    table = pd.read_csv(done / "results/auc.csv")
    means = table.groupby("variant")["auc_mean"].mean()
    # Normal scores a distance d apart have AUC Phi(d / sqrt 2).
    for variant, shift in fake_results.SHIFT.items():
        assert means[variant] == pytest.approx(0.5 * math.erfc(-shift / 2), abs=0.04)


def test_a_source_of_two_generators_shows_both(small: Path) -> None:
    manifest = pd.read_parquet(small / "data/manifest.parquet")
    manifest["generator"] = manifest["generator"].replace("a", "srefi b")
    manifest.to_parquet(small / "data/manifest.parquet", index=False)
    results = cells.read_results(build_experiment(seeds=2, architectures=1), small)
    # Training has seen `srefi b`: so it has seen b, and not c.
    assert results.seen["cyborg", "kind_b"] == "yes"
    assert results.seen["cyborg", "kind_c"] == "no"
