"""From scores to tables: every number of the report is computed here, in plain data frames."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cyborg.config.experiment import Report
from cyborg.results import statistics
from cyborg.results.cells import Pair, Results, Scored, alignments
from cyborg.results.metrics._base import compute_metrics
from cyborg.results.metrics.error_rates import compute_roc
from cyborg.results.statistics import interval, mean_sd, resampled_mean

UNSEEN = "(mean unseen)"
# False-positive rates at which ROC curves are averaged: fine at the left, where it matters.
RATES = np.unique(np.concatenate([[0.001, 0.002, 0.005], np.linspace(0, 1, 101)]))


@dataclass(frozen=True)
class Bootstrap:
    """AUC of every run, as observed [runs] and in every resample of the images [runs,B]."""

    observed: dict[tuple[Pair, str], np.ndarray]
    resampled: dict[tuple[Pair, str], np.ndarray]


def bootstrap(results: Results, settings: Report) -> Bootstrap:
    """Resample the images of each test set, the same draws for all pairs and runs."""
    observed, resampled = {}, {}
    for scored in results.sets:
        pairs = list(scored.scores)
        stacked = np.concatenate([scored.scores[pair] for pair in pairs])
        aucs = statistics.placements(stacked, scored.positives)[0]
        drawn = statistics.resampled_auc(
            stacked, scored.positives, scored.groups, settings.bootstrap, settings.seed
        )
        start = 0
        for pair in pairs:
            part = slice(start, start + len(scored.scores[pair]))
            observed[pair, scored.name], resampled[pair, scored.name] = aucs[part], drawn[part]
            start = part.stop
    return Bootstrap(observed, resampled)


def auc_table(results: Results, settings: Report, draws: Bootstrap) -> pd.DataFrame:
    """One row per architecture, variant and test set: mean ± sd over runs, interval of the mean."""
    rows = []
    for pair in results.seeds:
        for scored in results.sets:
            aucs = draws.observed[pair, scored.name]
            mean, sd = mean_sd(aucs)
            resampled = resampled_mean(draws.resampled[pair, scored.name], settings.seed)
            low, high = interval(resampled, settings.confidence, 0, 1)
            if aucs.min() == aucs.max() and aucs[0] in (0, 1):
                bound = statistics.perfect_bound(_pairs(scored), settings.confidence)
                low, high = (bound, 1.0) if aucs[0] else (0.0, 1 - bound)
            negatives, positives = scored.counts
            rows.append(
                {
                    "architecture": pair[0], "variant": pair[1], "test_set": scored.name,
                    "runs": len(aucs), "auc_mean": mean, "auc_sd": sd,
                    "ci_low": low, "ci_high": high, "seen": results.seen[pair[1], scored.name],
                    "negatives": negatives, "positives": positives,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _pairs(scored: Scored) -> int:
    """Number of disjoint pairs of independent images, one of each class."""
    return min(
        len(np.unique(scored.groups[members])) for members in (scored.positives, ~scored.positives)
    )


def references(results: Results, baseline: str) -> list[tuple[str, str, str]]:
    """What is compared: (variant, reference, kind), kind `baseline` or `control`.

    Every variant against the baseline; and every variant that is guided by maps against those
    that differ from it in wrong maps only (same loss and options, training set and map set).
    """
    variants = list(results.trained)
    compared = [(name, baseline, "baseline") for name in variants if name != baseline]
    same = ("loss", "training_set", "saliency")
    for name, spec in results.trained.items():
        if spec["saliency"] is None or spec["control"] != "none":
            continue
        compared += [
            (name, other, "control")
            for other, wrong in results.trained.items()
            if wrong["control"] != "none" and all(spec[key] == wrong[key] for key in same)
        ]
    return compared


def comparisons(
    results: Results, settings: Report, draws: Bootstrap, baseline: str
) -> pd.DataFrame:
    """Differences of mean AUC, variant minus reference, over the seeds that both were run with.

    Besides each test set, a row `(mean unseen)` averages the differences over the test sets
    whose generators neither variant has seen in training, where there are at least two.
    """
    rows = []
    for architecture in dict.fromkeys(pair[0] for pair in results.seeds):
        for variant, reference, kind in references(results, baseline):
            ours, theirs = (architecture, variant), (architecture, reference)
            common = sorted(set(results.seeds[ours]) & set(results.seeds[theirs]))
            if not common:
                continue
            mine = [results.seeds[ours].index(seed) for seed in common]
            other = [results.seeds[theirs].index(seed) for seed in common]
            key = {
                "architecture": architecture, "variant": variant, "reference": reference,
                "kind": kind,
            }  # fmt: skip
            unseen = []
            for scored in results.sets:
                a, b = (ours, scored.name), (theirs, scored.name)
                observed = draws.observed[a][mine] - draws.observed[b][other]
                resampled = draws.resampled[a][mine] - draws.resampled[b][other]
                p = _paired(scored, ours, theirs, mine, other)
                rows.append(key | _difference(scored.name, observed, resampled, settings) | p)
                if {results.seen[v, scored.name] for v in (variant, reference)} == {"no"}:
                    unseen.append((observed, resampled))
            if len(unseen) > 1:
                observed = np.mean([values for values, _ in unseen], axis=0)
                resampled = np.mean([values for _, values in unseen], axis=0)
                p = {"delong_p": math.nan}
                rows.append(key | _difference(UNSEEN, observed, resampled, settings) | p)
    columns = [
        "architecture", "variant", "reference", "kind", "test_set", "runs", "difference_mean",
        "difference_sd", "ci_low", "ci_high", "delong_p",
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    table["delong_p_holm"] = statistics.holm(table["delong_p"].to_numpy(float))
    return table


def _difference(
    name: str, observed: np.ndarray, resampled: np.ndarray, settings: Report
) -> dict[str, object]:
    mean, sd = mean_sd(observed)
    low, high = interval(resampled_mean(resampled, settings.seed), settings.confidence, -1, 1)
    if not resampled.any():  # both perfect in every resample: nothing is known of the error
        low = high = math.nan
    return {
        "test_set": name, "runs": len(observed), "difference_mean": mean, "difference_sd": sd,
        "ci_low": low, "ci_high": high,
    }  # fmt: skip


def _paired(
    scored: Scored, ours: Pair, theirs: Pair, mine: list[int], other: list[int]
) -> dict[str, float]:
    stacked = np.concatenate([scored.scores[ours][mine], scored.scores[theirs][other]])
    aucs, covariance = statistics.delong(stacked, scored.positives)
    weights = np.repeat([1 / len(mine), -1 / len(other)], len(mine))
    return {"delong_p": statistics.contrast(aucs, covariance, weights).p}


def roc_table(results: Results) -> pd.DataFrame:
    """ROC curves, averaged over runs at fixed false-positive rates (vertical averaging)."""
    tables = []
    for pair in results.seeds:
        for scored in results.sets:
            curves = roc_curves(scored, pair)
            tables.append(
                pd.DataFrame(
                    {
                        "architecture": pair[0], "variant": pair[1], "test_set": scored.name,
                        "false_positive_rate": np.concatenate([[0.0], RATES]),
                        "true_positive_rate": np.concatenate([[0.0], curves.mean(axis=0)]),
                    }
                )
            )  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def roc_curves(scored: Scored, pair: Pair) -> np.ndarray:
    """True-positive rates [runs,R] at RATES, on the ROC polyline; its top where it is upright."""
    curves = []
    for scores in scored.scores[pair]:
        x, y, _ = compute_roc(scores, scored.positives)
        before = np.searchsorted(x, RATES, side="right") - 1
        after = np.minimum(before + 1, len(x) - 1)
        run = np.where(after > before, x[after] - x[before], 1)
        curves.append(y[before] + (y[after] - y[before]) * (RATES - x[before]) / run)
    return np.stack(curves)


def operating_points(results: Results) -> pd.DataFrame:
    """All measures of cyborg/results/metrics, mean ± sd over runs.

    `generator` is empty for the whole test set; where it has several, there are rows for each
    (its images against all negatives), as attacks are to be reported by species.
    """
    rows = []
    for pair, seeds in results.seeds.items():
        for scored in results.sets:
            kinds = sorted(set(scored.generators[scored.positives].tolist()))
            for kind in ["", *kinds] if len(kinds) > 1 else [""]:
                taken = ~scored.positives | ((scored.generators == kind) if kind else True)
                runs = [
                    compute_metrics(scores[taken], scored.positives[taken])
                    for scores in scored.scores[pair]
                ]
                for measure in runs[0]:
                    mean, sd = mean_sd(np.array([run[measure] for run in runs]))
                    rows.append(
                        {
                            "architecture": pair[0], "variant": pair[1], "test_set": scored.name,
                            "generator": kind, "measure": measure, "runs": len(seeds),
                            "mean": mean, "sd": sd,
                        }
                    )  # fmt: skip
    return pd.DataFrame(rows)


def alignment_table(results: Results) -> pd.DataFrame:
    """Where the networks look: agreement of CAM and human map, mean over images, then runs.

    `undefined` is the share of images whose correlation does not exist (a constant map); they
    are left out of `correlation_mean`. `ratio` is inside_mean / chance_mean: 1 is chance.
    """
    columns = [
        "architecture", "variant", "maps", "test_set", "runs", "images", "correlation_mean",
        "correlation_sd", "inside_mean", "inside_sd", "chance_mean", "ratio", "undefined",
    ]  # fmt: skip
    rows = []
    table = alignments(results.cells)
    for pair in results.seeds:
        own = table[(table["architecture"] == pair[0]) & (table["variant"] == pair[1])]
        for maps in sorted(own["maps"].unique()):
            for scored in results.sets:
                part = own[(own["maps"] == maps) & (own["set"] == scored.name)]
                if part.empty:
                    continue
                runs = part.groupby("seed")[["correlation", "inside", "chance"]].mean()
                inside, chance = mean_sd(runs["inside"].to_numpy()), float(runs["chance"].mean())
                rows.append(
                    (
                        *pair, maps, scored.name, len(runs), part["image"].nunique(),
                        *mean_sd(runs["correlation"].to_numpy()), *inside, chance,
                        inside[0] / chance if chance else math.nan,
                        float(part["correlation"].isna().mean()),
                    )
                )  # fmt: skip
    return pd.DataFrame(rows, columns=columns)
