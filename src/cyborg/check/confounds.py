"""How far features that say nothing of the face tell the classes apart: small classifiers, AUCs."""

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
from cyborg.split.split import draw

FAMILIES = {
    "codec": ["format", "mode", "quantisation", "progressive", "subsampling", "bits"],
    "size": ["width", "height", "aspect"],
    "bytes": ["bytes", "bytes_per_pixel"],
    "metadata": ["exif", "icc"],
}
HEADER = [name for family in FAMILIES.values() for name in family]
FOLDS = 5
SAMPLE = 5000
"""Images of a set that are looked at; of larger sets those whose hash is lowest."""
TINY = 8
"""Side of the thumbnails of the trivial classifier, pixels."""


def features(images: pd.DataFrame) -> pd.DataFrame:
    """Header features of images, one numeric column for each name in HEADER.

    images: columns of docs/formats.md#images. What a header does not have is -1; names (format,
    mode, subsampling) become numbers in alphabetical order.
    """
    header = pd.DataFrame([json.loads(text or "{}") for text in images["header"]])
    table = pd.DataFrame(index=range(len(images)), columns=HEADER, dtype=float)
    for name in HEADER:
        if name in ("aspect", "bytes_per_pixel"):
            continue
        column = images[name] if name in images else header.get(name)
        if column is not None:
            table[name] = _numbers(column)
    with np.errstate(invalid="ignore", divide="ignore"):
        table["aspect"] = table["width"] / table["height"]
        table["bytes_per_pixel"] = table["bytes"] / (table["width"] * table["height"])
    return table.replace([np.inf, -np.inf], np.nan).fillna(-1.0)


def _numbers(column: pd.Series) -> np.ndarray:
    values = column.tolist()
    if any(isinstance(value, str) for value in values):
        known = sorted({value for value in values if isinstance(value, str)})
        return np.array([known.index(v) if isinstance(v, str) else np.nan for v in values])
    return np.array([np.nan if value is None else float(value) for value in values])


def sample(images: pd.DataFrame, number: int = SAMPLE) -> pd.DataFrame:
    """At most `number` images of each class, the same whenever they are among the images."""
    if len(images) <= number:
        return images
    order = images["image"].map(lambda name: draw(0, name))
    rank = order.groupby(images["label"]).rank(method="first")
    return images[rank <= number // max(1, images["label"].nunique())]


def cross_validated(images: pd.DataFrame, positive: str) -> dict[str, float | None]:
    """AUC of each family of features alone, and of all of the header: class against the others.

    Mean over the folds of a cross-validation whose folds keep groups together. None where a
    class has too few groups. images: columns of images and `group`.
    """
    images = sample(images).reset_index(drop=True)
    y = (images["label"] == positive).to_numpy()
    fold = folds(images["group"].tolist(), y)
    if fold is None:
        return dict.fromkeys((*FAMILIES, "header", "name"))
    table = features(images)
    found: dict[str, float | None] = {}
    for family, columns in (*FAMILIES.items(), ("header", HEADER)):
        found[family] = _mean_auc(table[columns].to_numpy(), y, fold, _tree)
    names = images["image"].map(lambda name: PurePosixPath(name).name)
    # A name that both classes use must not be learnt from one and scored on the other.
    fold = folds(names.tolist(), y)
    found["name"] = None
    if fold is not None:
        found["name"] = _mean_auc(names.to_numpy(dtype=object), y, fold, _names)
    return found


def folds(groups: list[str], y: np.ndarray) -> np.ndarray | None:
    """Fold of each row [N]: groups dealt out in the order of their hash, class by class.

    Groups that hold both classes are dealt out on their own. None where a class has fewer than
    two groups.
    """
    kinds: dict[str, set[bool]] = {}
    for group, positive in zip(groups, y.tolist(), strict=True):
        kinds.setdefault(group, set()).add(positive)
    number = min(FOLDS, *(sum(kind in k for k in kinds.values()) for kind in (False, True)))
    if number < 2:
        return None
    place: dict[str, int] = {}
    for kind in ({False}, {True}, {False, True}):
        ordered = sorted((g for g in kinds if kinds[g] == kind), key=lambda g: (draw(0, g), g))
        place.update({group: k % number for k, group in enumerate(ordered)})
    return np.array([place[group] for group in groups])


def beyond_chance(auc: float | None, positives: int, negatives: int, least: float) -> bool:
    """Whether an AUC reaches `least` and lies two standard errors of chance above 0.5.

    The standard error of the AUC of no information is that of the Mann-Whitney statistic.
    """
    if auc is None or not positives or not negatives:
        return False
    error = math.sqrt((positives + negatives + 1) / (12 * positives * negatives))
    return auc >= least and auc >= 0.5 + 2 * error


def baselines(
    train: pd.DataFrame, tests: dict[str, pd.DataFrame], positive: str, root: Path
) -> dict[str, dict[str, float]]:
    """AUC on each test set of classifiers that were trained on the training images.

    `thumbnails`: logistic regression on pixels of 8x8 images; `header`: a decision tree on
    header features. An AUC that is not defined is absent. Decodes SAMPLE images of each set at
    most.
    """
    train = sample(train)
    tests = {name: sample(rows) for name, rows in tests.items()}
    found: dict[str, dict[str, float]] = {name: {} for name in tests}
    y = (train["label"] == positive).to_numpy()
    if len(set(y)) < 2:
        return found
    everything = pd.concat([train, *tests.values()]).drop_duplicates("image")
    everything = everything.reset_index(drop=True)
    position = pd.Series(everything.index, index=everything["image"])
    header = features(everything).to_numpy()
    small = Thumbnails(root, everything.set_index("image")["file"], TINY)
    pixels = small.fetch(everything["image"]).reshape(len(everything), -1) / 255.0
    rows = position[train["image"]].to_numpy()
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    scores = {
        "thumbnails": linear.fit(pixels[rows], y).decision_function(pixels),
        "header": _tree(header[rows], y, header),
    }
    for name, test in tests.items():
        truth = (test["label"] == positive).to_numpy()
        if len(set(truth)) == 2:
            rows = position[test["image"]].to_numpy()
            found[name] = {
                kind: round(compute_auc(values[rows], truth), 4) for kind, values in scores.items()
            }
    return found


def _mean_auc(
    x: np.ndarray,
    y: np.ndarray,
    fold: np.ndarray,
    scores: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
) -> float | None:
    """Mean AUC over folds of `scores(x to learn from, its y, x to score)`."""
    if x.ndim == 2 and (x == x[0]).all():
        return 0.5
    values = []
    for number in range(fold.max() + 1):
        out = fold == number
        if len(set(y[out])) == 2 and len(set(y[~out])) == 2:
            values.append(compute_auc(scores(x[~out], y[~out], x[out]), y[out]))
    # Four digits: the last ones differ between processors and mean nothing.
    return round(float(np.mean(values)), 4) if values else None


def _tree(x: np.ndarray, y: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Scores of a shallow decision tree; leaves so small that the rarer class can fill several."""
    rarer = min(int(y.sum()), int((~y).sum()))
    leaf = max(2, min(20, rarer // 4))
    model = DecisionTreeClassifier(max_depth=4, min_samples_leaf=leaf, random_state=0)
    return model.fit(x, y).predict_proba(test)[:, 1]


def _names(train: np.ndarray, y: np.ndarray, test: np.ndarray) -> np.ndarray:
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3), max_features=5000)
    x = _with_length(letters.fit_transform(train), train)
    model = LogisticRegression(C=10, solver="liblinear", random_state=0).fit(x, y)
    return model.decision_function(_with_length(letters.transform(test), test))


def _with_length(matrix: csr_matrix, names: np.ndarray) -> csr_matrix:
    counts = [[len(name) / 32, sum(c.isdigit() for c in name) / 32] for name in names]
    return csr_matrix(hstack([matrix, csr_matrix(counts)]))
