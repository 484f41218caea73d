"""Measure confounds: how well small classifiers predict the class without seeing the face.

If file headers, file names or thumbnails give the class away, a network can learn them as a
shortcut, and its AUC says little about faces.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from cyborg.common.ranking import compute_auc
from cyborg.split.duplicates import Thumbnails
from cyborg.split.split import draw_number

# Features of file headers, by family.
FAMILIES = {
    "codec": ["format", "mode", "quantisation", "progressive", "subsampling", "bits"],
    "size": ["width", "height", "aspect"],
    "bytes": ["bytes", "bytes_per_pixel"],
    "metadata": ["exif", "icc"],
}
HEADER = [name for family in FAMILIES.values() for name in family]
# Folds of the cross-validation, at most.
FOLDS = 5
# Images of a set that are used. Of a larger set they are those with the lowest draws.
SAMPLE = 5000
# Side of the thumbnails of the trivial classifier, pixels.
SIDE = 8
# AUCs are rounded to four digits. Further digits differ between processors and mean nothing.
DIGITS = 4


def extract_header_features(images: pd.DataFrame) -> pd.DataFrame:
    """Return the header features of images, one numeric column for each name in HEADER.

    images: columns of docs/formats.md#images. A feature that a header does not have is -1. Names
    (format, mode, subsampling) become numbers in alphabetical order.
    """
    header = pd.DataFrame([json.loads(text or "{}") for text in images["header"]])
    table = pd.DataFrame(index=range(len(images)), columns=HEADER, dtype=float)
    for name in HEADER:
        if name in ("aspect", "bytes_per_pixel"):
            continue
        column = images[name] if name in images else header.get(name)
        if column is not None:
            table[name] = _encode_numbers(column)
    with np.errstate(invalid="ignore", divide="ignore"):
        table["aspect"] = table["width"] / table["height"]
        table["bytes_per_pixel"] = table["bytes"] / (table["width"] * table["height"])
    return table.replace([np.inf, -np.inf], np.nan).fillna(-1.0)


def _encode_numbers(column: pd.Series) -> np.ndarray:
    """Return a column as numbers [N]: text by its place in alphabetical order, None as NaN."""
    values = column.tolist()
    if any(isinstance(value, str) for value in values):
        known = sorted({value for value in values if isinstance(value, str)})
        return np.array([known.index(v) if isinstance(v, str) else np.nan for v in values])
    return np.array([np.nan if value is None else float(value) for value in values])


def sample_images(images: pd.DataFrame, number: int = SAMPLE) -> pd.DataFrame:
    """Return at most `number` images, equally many of each class, chosen by their draws.

    An image that is chosen stays so if other images are left out.
    """
    if len(images) <= number:
        return images
    order = images["image"].map(lambda name: draw_number(0, name))
    rank = order.groupby(images["label"]).rank(method="first")
    return images[rank <= number // max(1, images["label"].nunique())]


def measure_confounds(images: pd.DataFrame, positive: str) -> dict[str, float | None]:
    """Return the AUC of each family of features alone, of the whole header, and of file names.

    Each is the mean over the folds of a cross-validation that keeps groups together, or None if a
    class has too few groups. images: columns of docs/formats.md#images. positive: the class to
    tell from all others.
    """
    images = sample_images(images).reset_index(drop=True)
    y = (images["label"] == positive).to_numpy()
    fold = assign_folds(images["group"].tolist(), y)
    if fold is None:
        return dict.fromkeys((*FAMILIES, "header", "name"))
    table = extract_header_features(images)
    found: dict[str, float | None] = {}
    for family, columns in (*FAMILIES.items(), ("header", HEADER)):
        found[family] = _cross_validate(table[columns].to_numpy(), y, fold, _score_by_tree)
    names = images["image"].map(lambda name: PurePosixPath(name).name)
    # A name that both classes use must not be learnt from one and scored on the other.
    fold = assign_folds(names.tolist(), y)
    found["name"] = None
    if fold is not None:
        found["name"] = _cross_validate(names.to_numpy(dtype=object), y, fold, _score_by_name)
    return found


def assign_folds(groups: list[str], y: np.ndarray) -> np.ndarray | None:
    """Return the fold of each row [N], or None if a class has fewer than two groups.

    groups: name of the group of each row. y: bool [N], the class. The groups of each class are
    dealt out in the order of their draws, and so are the groups that hold both classes.
    """
    kinds: dict[str, set[bool]] = {}
    for group, positive in zip(groups, y.tolist(), strict=True):
        kinds.setdefault(group, set()).add(positive)
    number = min(FOLDS, *(sum(kind in k for k in kinds.values()) for kind in (False, True)))
    if number < 2:
        return None
    place: dict[str, int] = {}
    for kind in ({False}, {True}, {False, True}):
        ordered = sorted(
            (g for g in kinds if kinds[g] == kind), key=lambda g: (draw_number(0, g), g)
        )
        place.update({group: k % number for k, group in enumerate(ordered)})
    return np.array([place[group] for group in groups])


def is_beyond_chance(auc: float | None, positives: int, negatives: int, least: float) -> bool:
    """Return whether an AUC is at least `least`, and at least two standard errors above 0.5.

    positives, negatives: numbers of images. The standard error is that of the Mann-Whitney
    statistic if the scores say nothing about the class.

    >>> is_beyond_chance(0.77, 10, 10, least=0.6), is_beyond_chance(0.76, 10, 10, least=0.6)
    (True, False)
    """
    if auc is None or not positives or not negatives:
        return False
    error = math.sqrt((positives + negatives + 1) / (12 * positives * negatives))
    return auc >= least and auc >= 0.5 + 2 * error


def measure_baselines(
    train: pd.DataFrame, tests: dict[str, pd.DataFrame], positive: str, root: Path
) -> dict[str, dict[str, float]]:
    """Return the AUC on each test set of two classifiers that are trained on the training images.

    `thumbnails` is a logistic regression on the pixels of 8x8 images, `header` a decision tree on
    header features. The result has no AUCs for a test set of one class, and none at all if the
    training images have one class. At most SAMPLE images of each set are decoded.
    """
    train = sample_images(train)
    tests = {name: sample_images(rows) for name, rows in tests.items()}
    found: dict[str, dict[str, float]] = {name: {} for name in tests}
    y = (train["label"] == positive).to_numpy()
    if len(set(y)) < 2:
        return found
    everything = pd.concat([train, *tests.values()]).drop_duplicates("image")
    everything = everything.reset_index(drop=True)
    position = pd.Series(everything.index, index=everything["image"])
    header = extract_header_features(everything).to_numpy()
    small = Thumbnails(root, everything.set_index("image")["file"], SIDE)
    pixels = small.fetch(everything["image"]).reshape(len(everything), -1) / 255.0
    rows = position[train["image"]].to_numpy()
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    scores = {
        "thumbnails": linear.fit(pixels[rows], y).decision_function(pixels),
        "header": _score_by_tree(header[rows], y, header),
    }
    for name, test in tests.items():
        truth = (test["label"] == positive).to_numpy()
        if len(set(truth)) == 2:
            rows = position[test["image"]].to_numpy()
            found[name] = {
                kind: round(compute_auc(values[rows], truth), DIGITS)
                for kind, values in scores.items()
            }
    return found


def _cross_validate(
    x: np.ndarray,
    y: np.ndarray,
    fold: np.ndarray,
    scores: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
) -> float | None:
    """Return the mean AUC over the folds, or None if no fold has both classes.

    x: features [N,…]. y: bool [N]. fold: int [N]. scores: called with the features and classes to
    learn from and the features to score, returns the scores.
    """
    if x.ndim == 2 and (x == x[0]).all():
        return 0.5
    values = []
    for number in range(fold.max() + 1):
        out = fold == number
        if len(set(y[out])) == 2 and len(set(y[~out])) == 2:
            values.append(compute_auc(scores(x[~out], y[~out], x[out]), y[out]))
    return round(float(np.mean(values)), DIGITS) if values else None


def _score_by_tree(x: np.ndarray, y: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Return the scores of a shallow decision tree.

    Its leaves are so small that the rarer class can fill several.
    """
    rarer = min(int(y.sum()), int((~y).sum()))
    leaf = max(2, min(20, rarer // 4))
    model = DecisionTreeClassifier(max_depth=4, min_samples_leaf=leaf, random_state=0)
    scores: np.ndarray = model.fit(x, y).predict_proba(test)[:, 1]
    return scores


def _score_by_name(train: np.ndarray, y: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Return the scores of a logistic regression on file names: their letters and lengths."""
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3), max_features=5000)
    x = _append_lengths(letters.fit_transform(train), train)
    model = LogisticRegression(C=10, solver="liblinear", random_state=0).fit(x, y)
    scores: np.ndarray = model.decision_function(_append_lengths(letters.transform(test), test))
    return scores


def _append_lengths(matrix: csr_matrix, names: np.ndarray) -> csr_matrix:
    """Return the features with two more columns: how long a name is, and how many digits it has."""
    counts = [[len(name) / 32, sum(c.isdigit() for c in name) / 32] for name in names]
    return csr_matrix(hstack([matrix, csr_matrix(counts)]))
