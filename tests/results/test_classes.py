"""Test the measures of three classes, against scikit-learn and values worked out by hand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, roc_auc_score

from cyborg.common.errors import UserError
from cyborg.results import cells, classes
from cyborg.results.cells import Results, ScoredSet
from cyborg.results.report import report
from fake_results import SETS, build_experiment, write_grid

CLASSES = ("bona_fide", "morph", "synthetic")
KEY = ["architecture", "variant", "test_set"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a report of three classes."""
    root = tmp_path_factory.mktemp("classes")
    params = build_experiment(seeds=2, architectures=1, classes=CLASSES, bootstrap=100)
    write_grid(root, params, images=30, gallery=False)
    for path in (root / "runs/evaluate").rglob("scores.parquet"):
        np.savez(
            path.with_name("gallery.npz"),
            **{name: np.zeros(0) for name in ("images", "cams", "maps", "names", "sets", "labels")},
            scores=np.zeros(0),
        )
    report(params, root)
    return root


def read_runs(root: Path, variant: str, test_set: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Class numbers [N] and probabilities [N,3] of each run."""
    runs = []
    for path in sorted((root / "runs/evaluate/small_cnn" / variant).glob("*/*/scores.parquet")):
        table = pd.read_parquet(path)
        table = table[table["set"] == test_set]
        labels = np.array([CLASSES.index(label) for label in table["label"]])
        runs.append((labels, table[[f"score_{name}" for name in CLASSES]].to_numpy()))
    return runs


@pytest.mark.parametrize("test_set", SETS)
def test_classes_agree_with_scikit_learn(done: Path, test_set: str) -> None:
    table = pd.read_csv(done / "results/classes.csv").set_index([*KEY, "class"])
    rows = table.loc["small_cnn", "cyborg", test_set]
    runs = read_runs(done, "cyborg", test_set)
    assert len(runs) == 2
    assert (rows["runs"] == 2).all()
    macro = [roc_auc_score(labels, p, multi_class="ovr") for labels, p in runs]
    assert rows.loc["(all)", "auc_mean"] == pytest.approx(np.mean(macro), abs=1e-5)
    assert rows.loc["(all)", "auc_sd"] == pytest.approx(np.std(macro, ddof=1), abs=1e-5)
    accuracy = [accuracy_score(labels, p.argmax(axis=1)) for labels, p in runs]
    assert rows.loc["(all)", "accuracy_mean"] == pytest.approx(np.mean(accuracy), abs=1e-5)
    for k, name in enumerate(CLASSES):
        aucs = [roc_auc_score(labels == k, p[:, k]) for labels, p in runs]
        assert rows.loc[name, "auc_mean"] == pytest.approx(np.mean(aucs), abs=1e-5)
        assert rows.loc[name, "images"] == (runs[0][0] == k).sum()
    assert rows.loc["(all)", "images"] == len(runs[0][0])


@pytest.mark.parametrize("test_set", SETS)
def test_confusion_agrees_with_scikit_learn(done: Path, test_set: str) -> None:
    table = pd.read_csv(done / "results/confusion.csv").set_index([*KEY, "class", "predicted"])
    shares = table.loc["small_cnn", "cyborg", test_set]["share_mean"]
    matrices = [
        confusion_matrix(labels, p.argmax(axis=1), normalize="true")
        for labels, p in read_runs(done, "cyborg", test_set)
    ]
    expected = np.mean(matrices, axis=0)
    for k, name in enumerate(CLASSES):
        assert shares[name][list(CLASSES)].to_numpy() == pytest.approx(expected[k], abs=1e-5)


def test_the_last_class_has_the_auc_of_the_main_table(done: Path) -> None:
    main = pd.read_csv(done / "results/auc.csv").set_index(KEY)["auc_mean"]
    classes = pd.read_csv(done / "results/classes.csv")
    last = classes[classes["class"] == "synthetic"].set_index(KEY)["auc_mean"]
    pd.testing.assert_series_equal(last, main)


def test_the_page_says_which_class_is_measured(done: Path) -> None:
    text = (done / "results/report.html").read_text(encoding="utf-8")
    text = " ".join(re.sub(r"base64,[^\"]*", "", text).split())
    assert "All other AUCs of this page are of P(synthetic)" in text
    assert "against those of bona_fide and morph, which count as one" in text
    assert '<th class="n">macro AUC</th>' in text
    assert "→ morph" in text


def describe_results(labels: list[int], probabilities: list[list[float]]) -> Results:
    """Results of one run on one test set of three classes."""
    classes = np.array(labels)
    names = np.arange(len(labels)).astype(str)
    scored = ScoredSet("set", names, classes, classes == 2, names, names)
    scored.probabilities["net", "plain"] = np.array([probabilities])
    return Results([], {("net", "plain"): [0]}, [scored], {}, {})


def test_classes_by_hand() -> None:
    # Class 0 scores .6 .3, the others .3 .1: of 4 pairs 3 in order and 1 a tie. Class 2 is last in
    # one of two: .6 above .1 and .4; .2 above .1 and .3 below .4.
    results = describe_results(
        [0, 0, 2, 2], [[0.6, 0.3, 0.1], [0.3, 0.3, 0.4], [0.3, 0.1, 0.6], [0.1, 0.7, 0.2]]
    )
    table = classes.tabulate_classes(results, list(CLASSES)).set_index("class")
    assert table.loc["bona_fide", "auc_mean"] == pytest.approx(3.5 / 4)
    assert table.loc["synthetic", "auc_mean"] == pytest.approx(3 / 4)
    # No image is of the second class, so it has no AUC and is left out of the mean.
    assert np.isnan(table.loc["morph", "auc_mean"])
    assert table.loc["(all)", "auc_mean"] == pytest.approx((3.5 + 3) / 8)
    # The classes that are given: 0, 2, 2, 1.
    assert table["accuracy_mean"].tolist() == pytest.approx([0.5, np.nan, 0.5, 0.5], nan_ok=True)
    confusion = classes.tabulate_confusion(results, list(CLASSES))
    assert confusion["share_mean"].tolist() == [0.5, 0, 0.5, 0, 0.5, 0.5]
    assert confusion["class"].tolist() == ["bona_fide"] * 3 + ["synthetic"] * 3


def test_a_set_without_the_last_class_is_refused(tmp_path: Path) -> None:
    params = build_experiment(seeds=1, architectures=1, classes=CLASSES)
    write_grid(tmp_path, params, images=6, gallery=False)
    for path in (tmp_path / "runs/evaluate").rglob("scores.parquet"):
        table = pd.read_parquet(path)
        table[table["label"] != "synthetic"].to_parquet(path, index=False)
    with pytest.raises(UserError, match="has no images of `synthetic`"):
        cells.read_results(params, tmp_path)


def test_a_label_that_is_no_class_is_refused(tmp_path: Path) -> None:
    params = build_experiment(seeds=1, architectures=1)
    write_grid(tmp_path, params, images=6, gallery=False)
    path = next((tmp_path / "runs/evaluate").rglob("scores.parquet"))
    table = pd.read_parquet(path)
    table.loc[table.index[0], "label"] = "morph"
    table.to_parquet(path, index=False)
    with pytest.raises(UserError, match="`morph`, which is not a class"):
        cells.read_results(params, tmp_path)
