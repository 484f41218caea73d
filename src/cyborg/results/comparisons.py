"""Compare variants with the baseline and with wrong maps: a table of differences of AUC."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from cyborg.config.experiment import Report
from cyborg.results import statistics
from cyborg.results.analysis import Bootstrap
from cyborg.results.cells import Combination, Results, ScoredSet
from cyborg.results.power import Spread, compute_equivalence_p, find_smallest_difference
from cyborg.results.run_level_tests import (
    compute_sign_flip_p,
    compute_simultaneous_intervals,
    resample_sets,
)
from cyborg.results.statistics import compute_interval, compute_mean_sd, resample_mean

# Name of the row that averages over the test sets with unseen generators.
UNSEEN = "(mean unseen)"


def list_comparisons(results: Results, baseline: str) -> list[tuple[str, str, str]]:
    """Return the comparisons as (variant, reference, kind), kind `baseline` or `control`.

    Every variant is compared with the baseline. Every variant that is guided by maps is compared
    with those that differ from it in wrong maps only (same loss and options, training set and map
    set).
    """
    variants = list(results.trained)
    compared = [(name, baseline, "baseline") for name in variants if name != baseline]
    for name, spec in results.trained.items():
        if spec.saliency is None or spec.control != "none":
            continue
        same = (spec.loss, spec.training_set, spec.saliency)
        compared += [
            (name, other, "control")
            for other, wrong in results.trained.items()
            if wrong.control != "none" and (wrong.loss, wrong.training_set, wrong.saliency) == same
        ]
    return compared


def tabulate_comparisons(
    results: Results, settings: Report, draws: Bootstrap, baseline: str
) -> pd.DataFrame:
    """Return comparisons.csv: differences of mean AUC over the seeds of both variants.

    A difference is variant minus reference. Besides a row for each test set, a row `(mean unseen)`
    averages the differences over the test sets whose generators neither variant saw in training, if
    there are at least two. `generators_low` and `generators_high` are its interval if the test sets
    are drawn as well. `all_low` and `all_high` hold in all rows of an architecture at once. The
    modules power.py and run_level_tests.py explain the other columns. `delong_p` is known for one
    run only: DeLong's test ignores the spread between runs, so its p would be far too small.
    """
    rows: list[dict[str, object]] = []
    resampled_means: list[np.ndarray] = []
    for architecture in dict.fromkeys(architecture for architecture, _ in results.seeds):
        for variant, reference, kind in list_comparisons(results, baseline):
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
                means = resample_mean(resampled, settings.seed)
                p = _test_difference(scored, ours, theirs, mine, other)
                summary = _summarize_difference(scored.name, observed, resampled, means, settings)
                rows.append(key | summary | p)
                resampled_means.append(means)
                if {results.seen[v, scored.name] for v in (variant, reference)} == {"no"}:
                    unseen.append((observed, resampled, means))
            if len(unseen) > 1:
                observed = np.mean([values for values, _, _ in unseen], axis=0)
                resampled = np.mean([values for _, values, _ in unseen], axis=0)
                means = resample_mean(resampled, settings.seed)
                drawn = [values for _, _, values in unseen]
                low, high = compute_interval(
                    resample_sets(np.stack(drawn), settings.seed), settings.confidence, -1, 1
                )
                further = {
                    "delong_p": math.nan, "generators_low": low, "generators_high": high,
                }  # fmt: skip
                summary = _summarize_difference(UNSEEN, observed, resampled, means, settings)
                rows.append(key | summary | further)
                resampled_means.append(means)
    columns = [
        "architecture", "variant", "reference", "kind", "test_set", "runs", "difference_mean",
        "difference_sd", "ci_low", "ci_high", "all_low", "all_high", "generators_low",
        "generators_high", "sign_flip_p", "equivalence_p", "smallest_difference",
        "image_error", "delong_p",
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    if rows:
        # Rows of one architecture are read together, so their intervals hold together.
        for _, index in table.groupby("architecture", sort=False).groups.items():
            table.loc[index, ["all_low", "all_high"]] = np.stack(
                compute_simultaneous_intervals(
                    table.loc[index, "difference_mean"].to_numpy(float),
                    np.stack([resampled_means[k] for k in index]),
                    settings.confidence,
                ),
                axis=1,
            )
    table["delong_p_holm"] = statistics.adjust_p_values(table["delong_p"].to_numpy(float))
    return table


def _summarize_difference(
    name: str, observed: np.ndarray, resampled: np.ndarray, means: np.ndarray, settings: Report
) -> dict[str, object]:
    """Return the columns of a difference, observed [runs] and resampled [runs,resamples].

    means: the mean over resampled runs in every resample of the images [resamples].
    """
    mean, sd = compute_mean_sd(observed)
    low, high = compute_interval(means, settings.confidence, -1, 1)
    spread = Spread.measure(observed, resampled)
    # Both are perfect in every resample, so nothing is known of the error.
    if not resampled.any():
        low = high = math.nan
    return {
        "test_set": name, "runs": len(observed), "difference_mean": mean, "difference_sd": sd,
        "ci_low": low, "ci_high": high,
        "sign_flip_p": compute_sign_flip_p(observed, settings.seed),
        "equivalence_p": compute_equivalence_p(mean, spread, settings.margin),
        "smallest_difference": find_smallest_difference(
            spread, settings.confidence, settings.power
        ),
        "image_error": math.sqrt(spread.images),
    }  # fmt: skip


def _test_difference(
    scored: ScoredSet, ours: Combination, theirs: Combination, mine: list[int], other: list[int]
) -> dict[str, float]:
    """Return DeLong's p of run `mine` minus run `other`, or NaN for several runs."""
    if len(mine) > 1:
        return {"delong_p": math.nan}
    stacked = np.concatenate([scored.scores[ours][mine], scored.scores[theirs][other]])
    aucs, covariance = statistics.compute_delong_covariance(stacked, scored.positives)
    return {"delong_p": statistics.contrast_aucs(aucs, covariance, np.array([1, -1])).p}
