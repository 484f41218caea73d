"""Read the outputs of the grid: the scores of every wanted cell, checked and aligned.

Reads   plan/train, plan/evaluate, runs/evaluate, runs/train, data/manifest.parquet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from cyborg.common.errors import UserError, UserErrors
from cyborg.common.files import read_json
from cyborg.common.generators import compare_generators, list_trained_generators
from cyborg.common.tables import MANIFEST_TABLE, read_table
from cyborg.config.evaluation import EvaluateSpec
from cyborg.config.experiment import Experiment
from cyborg.config.training import TrainSpec
from cyborg.grid.cell_paths import MANIFEST, RUNS, list_planned, read_spec

# Architecture and variant. The runs of a combination differ in their seed alone.
Combination = tuple[str, str]
# What environment.json says of the machine and the packages.
TrainingEnvironment = dict[str, object]

# Columns that are read from scores.parquet and from alignment.parquet.
SCORES = ["image", "set", "generator", "label", "score"]
ALIGNMENT = ["image", "set", "maps", "correlation", "inside", "chance"]


@dataclass(frozen=True)
class Cell:
    """One finished run.

    folder: its files in runs/evaluate. trained: its files in runs/train.
    spec: specification of its evaluation.
    """

    architecture: str
    variant: str
    seed: int
    folder: Path
    trained: Path
    spec: EvaluateSpec

    @property
    def combination(self) -> Combination:
        """Return architecture and variant."""
        return self.architecture, self.variant


@dataclass
class ScoredSet:
    """One test set and its scores.

    images: names, sorted, str [N]. labels: class numbers, int64 [N].
    positives: whether an image is of the last class, bool [N].
    generators: name of each image's generator, empty for bona fide ones, str [N].
    groups: name of each image's group, str [N].
    scores: probability of the positive class, float64 [runs,N] for each combination. The runs are
        in the order of `Results.seeds`.
    probabilities: those of all classes, float64 [runs,N,K] for each combination.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    positives: np.ndarray
    generators: np.ndarray
    groups: np.ndarray
    scores: dict[Combination, np.ndarray] = field(default_factory=dict)
    probabilities: dict[Combination, np.ndarray] = field(default_factory=dict)

    @property
    def counts(self) -> tuple[int, int]:
        """Return the numbers of negative (bona fide) and positive (synthetic) images."""
        return int((~self.positives).sum()), int(self.positives.sum())


@dataclass(frozen=True)
class Results:
    """All that the report is made from, in the order of params.yaml.

    cells: all finished runs. seeds: seeds of each combination, ascending.
    sets: the test sets. trained: specification of the training of each variant.
    seen: whether the generators of a test set are in the training set of a variant, by variant and
        test set: no, partly or yes.
    """

    cells: list[Cell]
    seeds: dict[Combination, list[int]]
    sets: list[ScoredSet]
    trained: dict[str, TrainSpec]
    seen: dict[tuple[str, str], str]


def read_results(experiment: Experiment, root: Path) -> Results:
    """Read all cells of an experiment.

    Raises UserErrors, which names each planned cell that is not finished. Raises UserError if plan
    and params.yaml disagree, if a file is broken, or if cells were scored on different images.
    """
    cells = _find_cells(experiment, root)
    manifest = MANIFEST_TABLE.read(root, ["image", "source", "generator", "group", "split"])
    seeds: dict[Combination, list[int]] = {}
    for cell in cells:
        seeds.setdefault(cell.combination, []).append(cell.seed)
    sets = _read_scores(cells, list(experiment.data.test_sets), experiment.classes, manifest)
    trained: dict[str, TrainSpec] = {}
    for cell in cells:
        if cell.variant not in trained:
            path = root / "plan" / "train" / f"{cell.spec.train}.json"
            spec = read_spec(path)
            if not isinstance(spec, TrainSpec):
                raise _stale_plan("is not the specification of a training cell", path)
            trained[cell.variant] = spec
    return Results(cells, seeds, sets, trained, _judge_sets(trained, sets, manifest))


def _find_cells(experiment: Experiment, root: Path) -> list[Cell]:
    """Return the cells that params.yaml asks for, or raise UserError if one is missing."""
    wanted = {
        (architecture, variant, seed): None
        for architecture in experiment.architectures
        for variant in experiment.variants
        for seed in sorted(experiment.seeds)
    }
    found: dict[tuple[str, str, int], Cell] = {}
    missing = []
    for name, path in list_planned(root, "evaluate").items():
        architecture, variant, seed = name.split("/")[:3]
        key = (architecture, variant, int(seed.removeprefix("seed")))
        spec = read_spec(path)
        if not isinstance(spec, EvaluateSpec):
            raise _stale_plan("is not the specification of an evaluation cell", path)
        folder, trained = RUNS / "evaluate" / name, RUNS / "train" / spec.train
        if key in found or key not in wanted:
            raise _stale_plan(f"plans `{name}`, which params.yaml does not", path)
        missing += [p for p in (trained, folder) if not (root / p / MANIFEST).is_file()]
        found[key] = Cell(*key, root / folder, root / trained, spec)
    if absent := [key for key in wanted if key not in found]:
        name = "{}/{}/seed{}".format(*absent[0])
        raise _stale_plan(
            f"has no cell `{name}`, which params.yaml asks for", root / "plan/evaluate"
        )
    if missing:
        raise UserErrors(
            [
                UserError(
                    "is planned but not finished",
                    location=path,
                    hint="run `dvc repro evaluate`; its log names the cell that failed",
                )
                for path in missing
            ]
        )
    return [found[key] for key in wanted]


def _stale_plan(what: str, where: Path) -> UserError:
    """Return the error for a plan that does not fit params.yaml."""
    return UserError(what, location=where, hint="run `dvc repro` (or `cyborg plan`) first")


def _read_scores(
    cells: list[Cell], names: list[str], classes: list[str], manifest: pd.DataFrame
) -> list[ScoredSet]:
    """Read the scores of all cells on the test sets `names`. The last class is positive."""
    groups = manifest.set_index("image")["group"]
    # With two classes the score says all. With more, there is a column for each class.
    columns = [f"score_{name}" for name in classes] if len(classes) > 2 else ["score"]
    sets: dict[str, ScoredSet] = {}
    collected: dict[tuple[str, Combination], list[np.ndarray]] = {}
    for cell in cells:
        path = cell.folder / "scores.parquet"
        table = read_table(path, "evaluate", [*SCORES, *(c for c in columns if c not in SCORES)])
        finite = np.isfinite(table[["score", *columns]]).all(axis=1)
        if not finite.all():
            row = table[~finite].iloc[0]
            raise UserError(f"the score of `{row['image']}` is not a number", location=path)
        for name in names:
            part = table[table["set"] == name].sort_values("image")
            images = part["image"].to_numpy(str)
            if name not in sets:
                sets[name] = _describe_set(name, part, classes, groups, path)
            elif not np.array_equal(images, sets[name].images):
                raise UserError(
                    f"test set `{name}` has other images than in the other cells",
                    location=path,
                    hint="run `dvc repro`, so that all cells are scored on the same images",
                )
            scores = part[columns].to_numpy(float)
            if len(classes) == 2:
                scores = np.concatenate([1 - scores, scores], axis=1)
            collected.setdefault((name, cell.combination), []).append(scores)
    for (name, combination), probabilities in collected.items():
        sets[name].probabilities[combination] = np.stack(probabilities)
        sets[name].scores[combination] = np.stack([run[:, -1] for run in probabilities])
    return list(sets.values())


def _describe_set(
    name: str, rows: pd.DataFrame, classes: list[str], groups: pd.Series, path: Path
) -> ScoredSet:
    """Return a test set without scores, from its rows of scores.parquet sorted by image.

    groups: group of each image of the manifest. Raises UserError if the set has no AUC, or a label
    that is not a class.
    """
    images = rows["image"].to_numpy(str)
    labels = rows["label"].map({label: k for k, label in enumerate(classes)})
    if labels.isna().any():
        label = rows["label"][labels.isna()].iloc[0]
        raise UserError(
            f"test set `{name}` has the label `{label}`, which is not a class",
            location=path,
            hint=f"expected one of {', '.join(classes)}; run `dvc repro`",
        )
    scored = ScoredSet(
        name,
        images,
        labels.to_numpy(np.int64),
        labels.to_numpy(np.int64) == len(classes) - 1,
        rows["generator"].fillna("").to_numpy(str),
        groups.reindex(images).fillna(pd.Series(images, images)).to_numpy(str),
    )
    if 0 in scored.counts:
        problem = (
            f"has no images of `{classes[-1]}`"
            if len(set(labels)) > 1
            else f"holds one class only ({len(images)} images)"
        )
        raise UserError(
            f"test set `{name}` {problem}",
            location=path,
            hint=f"an AUC needs images of `{classes[-1]}` and of another class",
        )
    return scored


def _judge_sets(
    trained: dict[str, TrainSpec], sets: Iterable[ScoredSet], manifest: pd.DataFrame
) -> dict[tuple[str, str], str]:
    """Return `Results.seen`: was a variant trained on the generators of a test set?"""
    seen = {}
    for variant, spec in trained.items():
        trained_on = list_trained_generators(manifest, spec.sources)
        for scored in sets:
            known, new = compare_generators(scored.generators[scored.positives], trained_on)
            seen[variant, scored.name] = "partly" if known and new else "yes" if known else "no"
    return seen


def read_alignments(cells: list[Cell]) -> pd.DataFrame:
    """Return alignment.parquet of all cells, with columns architecture, variant, seed in front."""
    return _concatenate(
        cells, lambda cell: read_table(cell.folder / "alignment.parquet", "evaluate", ALIGNMENT)
    )


def read_histories(cells: list[Cell]) -> pd.DataFrame:
    """Return history.csv of all cells, with columns architecture, variant, seed in front."""

    def read_history(cell: Cell) -> pd.DataFrame:
        path = cell.trained / "history.csv"
        try:
            return pd.read_csv(path)
        except (OSError, ValueError) as error:
            raise UserError(f"cannot be read ({error})", location=path) from None

    return _concatenate(cells, read_history)


def _concatenate(cells: list[Cell], read: Callable[[Cell], pd.DataFrame]) -> pd.DataFrame:
    """Return one table of those that `read` gives for the cells."""
    tables = []
    for cell in cells:
        table = read(cell)
        table.insert(0, "architecture", cell.architecture)
        table.insert(1, "variant", cell.variant)
        table.insert(2, "seed", cell.seed)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def count_environments(cells: list[Cell]) -> list[tuple[TrainingEnvironment, int]]:
    """Return the distinct environments of training, each with the number of its cells."""
    found: list[tuple[TrainingEnvironment, int]] = []
    for cell in cells:
        environment = read_json(cell.trained / "environment.json")
        for index, (known, count) in enumerate(found):
            if known == environment:
                found[index] = (known, count + 1)
                break
        else:
            found.append((environment, 1))
    return found
