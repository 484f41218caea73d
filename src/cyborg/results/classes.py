"""Tabulate how well each class is told from the others, for any number of classes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from cyborg.common.ranking import compute_auc
from cyborg.results.cells import Results
from cyborg.results.statistics import compute_mean_sd

# Name of the row of classes.csv that is about all classes.
ALL = "(all)"


def tabulate_classes(results: Results, classes: list[str]) -> pd.DataFrame:
    """Return classes.csv: how well each class is told from the rest, mean and sd over runs.

    `auc` is that of the class's own probability against all other classes. `accuracy` is the share
    of the images of the class that are given the class, the most probable one. The row `(all)` has
    the macro AUC (the mean over the classes that the set holds) and the share of all images that
    are given their class. Source: Fawcett, Pattern Recognition Letters 27(8), 2006, section 9 (each
    class against the rest), with equal weights.
    """
    rows = []
    for (architecture, variant), seeds in results.seeds.items():
        for scored in results.sets:
            measured = [
                _measure_classes(run, scored.labels)
                for run in scored.probabilities[architecture, variant]
            ]
            for k, name in enumerate([*classes, ALL]):
                auc_mean, auc_sd = compute_mean_sd(np.array([aucs[k] for aucs, _ in measured]))
                accuracy, sd = compute_mean_sd(np.array([shares[k] for _, shares in measured]))
                images = (scored.labels == k) if name != ALL else scored.labels >= 0
                rows.append(
                    {
                        "architecture": architecture, "variant": variant,
                        "test_set": scored.name, "class": name, "runs": len(seeds),
                        "images": int(images.sum()), "auc_mean": auc_mean, "auc_sd": auc_sd,
                        "accuracy_mean": accuracy, "accuracy_sd": sd,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def _measure_classes(probabilities: np.ndarray, labels: np.ndarray) -> tuple[list[float], ...]:
    """Return AUC and accuracy of each class and of all, [K+1] each. An absent class has NaN."""
    predicted = predict_classes(probabilities)
    aucs, accuracies = [], []
    for k in range(probabilities.shape[1]):
        own = labels == k
        known = own.any() and not own.all()
        aucs.append(compute_auc(probabilities[:, k], own) if known else math.nan)
        accuracies.append(float((predicted[own] == k).mean()) if own.any() else math.nan)
    return (
        [*aucs, compute_mean_sd(np.array(aucs))[0]],
        [*accuracies, float((predicted == labels).mean())],
    )


def predict_classes(probabilities: np.ndarray) -> np.ndarray:
    """Return the most probable class of each image, int64 [N], of probabilities [N,K].

    Of equal ones it is the last, as an image of probability 0.5 is called positive.

    >>> predict_classes(np.array([[0.5, 0.5], [0.7, 0.3]])).tolist()
    [1, 0]
    """
    predicted: np.ndarray = probabilities.shape[1] - 1 - probabilities[:, ::-1].argmax(axis=1)
    return predicted


def tabulate_confusion(results: Results, classes: list[str]) -> pd.DataFrame:
    """Return confusion.csv: share of the images of a class that are given each class.

    `share_mean` and `share_sd` are over runs. A class without images has no rows.
    """
    rows = []
    for (architecture, variant), seeds in results.seeds.items():
        for scored in results.sets:
            shares = np.stack(
                [
                    confusion_matrix(
                        scored.labels,
                        predict_classes(run),
                        labels=range(len(classes)),
                        normalize="true",
                    )
                    for run in scored.probabilities[architecture, variant]
                ]
            )
            for k, name in enumerate(classes):
                images = int((scored.labels == k).sum())
                for j, predicted in enumerate(classes if images else []):
                    mean, sd = compute_mean_sd(shares[:, k, j])
                    rows.append(
                        {
                            "architecture": architecture, "variant": variant,
                            "test_set": scored.name, "class": name, "predicted": predicted,
                            "runs": len(seeds), "images": images, "share_mean": mean,
                            "share_sd": sd,
                        }
                    )  # fmt: skip
    return pd.DataFrame(rows)
