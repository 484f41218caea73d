"""Turn scores into tables: every number of the report is computed here, in plain data frames."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cyborg.common.ranking import compute_auc
from cyborg.config.experiment import Report
from cyborg.results import statistics
from cyborg.results.cells import Combination, Results, ScoredSet, read_alignments
from cyborg.results.metrics._base import compute_metrics
from cyborg.results.metrics.error_rates import compute_roc
from cyborg.results.statistics import compute_interval, compute_mean_sd, resample_mean

# False-positive rates at which ROC curves are averaged: fine at the left, where it matters.
RATES = np.unique(np.concatenate([[0.001, 0.002, 0.005], np.linspace(0, 1, 101)]))


@dataclass(frozen=True)
class Bootstrap:
    """AUCs of every run, by combination of architecture and variant, and by test set.

    observed: AUC of each run [runs].
    resampled: AUC of each run in every resample of the images [runs,resamples].
    """

    observed: dict[tuple[Combination, str], np.ndarray]
    resampled: dict[tuple[Combination, str], np.ndarray]


def resample_test_sets(results: Results, settings: Report) -> Bootstrap:
    """Resample the images of each test set, with the same draws for all combinations and runs."""
    observed, resampled = {}, {}
    for scored in results.sets:
        stacked = np.concatenate(list(scored.scores.values()))
        aucs = np.array([compute_auc(scores, scored.positives) for scores in stacked])
        drawn = statistics.resample_aucs(
            stacked, scored.positives, scored.groups, settings.bootstrap, settings.seed
        )
        start = 0
        for combination, scores in scored.scores.items():
            runs = slice(start, start + len(scores))
            observed[combination, scored.name] = aucs[runs]
            resampled[combination, scored.name] = drawn[runs]
            start = runs.stop
    return Bootstrap(observed, resampled)


def tabulate_aucs(results: Results, settings: Report, draws: Bootstrap) -> pd.DataFrame:
    """Return auc.csv: mean, standard deviation and interval per combination and test set."""
    rows = []
    for combination in results.seeds:
        for scored in results.sets:
            architecture, variant = combination
            aucs = draws.observed[combination, scored.name]
            mean, sd = compute_mean_sd(aucs)
            resampled = resample_mean(draws.resampled[combination, scored.name], settings.seed)
            low, high = compute_interval(resampled, settings.confidence, 0, 1)
            if aucs.min() == aucs.max() and aucs[0] in (0, 1):
                pairs = _count_disjoint_pairs(scored)
                bound = statistics.bound_perfect_auc(pairs, settings.confidence)
                low, high = (bound, 1.0) if aucs[0] else (0.0, 1 - bound)
            negatives, positives = scored.counts
            rows.append(
                {
                    "architecture": architecture, "variant": variant, "test_set": scored.name,
                    "runs": len(aucs), "auc_mean": mean, "auc_sd": sd,
                    "ci_low": low, "ci_high": high, "seen": results.seen[variant, scored.name],
                    "negatives": negatives, "positives": positives,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _count_disjoint_pairs(scored: ScoredSet) -> int:
    """Return the number of disjoint pairs of independent images, one of each class."""
    return min(
        len(np.unique(scored.groups[members])) for members in (scored.positives, ~scored.positives)
    )


def tabulate_rocs(results: Results) -> pd.DataFrame:
    """Return roc.csv: ROC curves, averaged over runs at fixed false-positive rates.

    Source: Fawcett, Pattern Recognition Letters 27(8), 2006 (vertical averaging).
    """
    tables = []
    for architecture, variant in results.seeds:
        for scored in results.sets:
            curves = interpolate_rocs(scored, (architecture, variant))
            tables.append(
                pd.DataFrame(
                    {
                        "architecture": architecture, "variant": variant, "test_set": scored.name,
                        "false_positive_rate": np.concatenate([[0.0], RATES]),
                        "true_positive_rate": np.concatenate([[0.0], curves.mean(axis=0)]),
                    }
                )
            )  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def interpolate_rocs(scored: ScoredSet, combination: Combination) -> np.ndarray:
    """Return true-positive rates [runs,R] at RATES, on the ROC polyline of each run.

    At a rate at which the polyline is upright, the value is its top.
    """
    curves = []
    for scores in scored.scores[combination]:
        x, y, _ = compute_roc(scores, scored.positives)
        before = np.searchsorted(x, RATES, side="right") - 1
        after = np.minimum(before + 1, len(x) - 1)
        run = np.where(after > before, x[after] - x[before], 1)
        curves.append(y[before] + (y[after] - y[before]) * (RATES - x[before]) / run)
    return np.stack(curves)


def tabulate_operating_points(results: Results) -> pd.DataFrame:
    """Return operating_points.csv: all metrics, mean and standard deviation over runs.

    `generator` is empty for the whole test set. A set with several generators has further rows for
    each of them (its images against all negatives), because ISO/IEC 30107-3 asks for attacks to be
    reported by species.
    """
    rows = []
    for (architecture, variant), seeds in results.seeds.items():
        for scored in results.sets:
            kinds = sorted(set(scored.generators[scored.positives].tolist()))
            for kind in ["", *kinds] if len(kinds) > 1 else [""]:
                taken = ~scored.positives | ((scored.generators == kind) if kind else True)
                runs = [
                    compute_metrics(scores[taken], scored.positives[taken])
                    for scores in scored.scores[architecture, variant]
                ]
                for measure in runs[0]:
                    mean, sd = compute_mean_sd(np.array([run[measure] for run in runs]))
                    rows.append(
                        {
                            "architecture": architecture, "variant": variant,
                            "test_set": scored.name,
                            "generator": kind, "measure": measure, "runs": len(seeds),
                            "mean": mean, "sd": sd,
                        }
                    )  # fmt: skip
    return pd.DataFrame(rows)


def tabulate_alignment(results: Results) -> pd.DataFrame:
    """Return alignment.csv: agreement of CAM and human map, mean over images and then over runs.

    `undefined` is the share of images whose correlation does not exist (a constant map). They are
    left out of `correlation_mean`. `ratio` is inside_mean / chance_mean, so chance gives 1.
    """
    columns = [
        "architecture", "variant", "maps", "test_set", "runs", "images", "correlation_mean",
        "correlation_sd", "inside_mean", "inside_sd", "chance_mean", "ratio", "undefined",
    ]  # fmt: skip
    rows = []
    table = read_alignments(results.cells)
    for architecture, variant in results.seeds:
        own = table[(table["architecture"] == architecture) & (table["variant"] == variant)]
        for maps in sorted(own["maps"].unique()):
            for scored in results.sets:
                part = own[(own["maps"] == maps) & (own["set"] == scored.name)]
                if part.empty:
                    continue
                runs = part.groupby("seed")[["correlation", "inside", "chance"]].mean()
                inside = compute_mean_sd(runs["inside"].to_numpy())
                chance = float(runs["chance"].mean())
                rows.append(
                    (
                        architecture, variant, maps, scored.name, len(runs),
                        part["image"].nunique(),
                        *compute_mean_sd(runs["correlation"].to_numpy()), *inside, chance,
                        inside[0] / chance if chance else math.nan,
                        float(part["correlation"].isna().mean()),
                    )
                )  # fmt: skip
    return pd.DataFrame(rows, columns=columns)
