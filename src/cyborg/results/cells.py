"""Read what the grid left behind: the scores of every wanted cell, checked and aligned.

Reads   plan/train, plan/evaluate, runs/evaluate, runs/train, data/manifest.parquet.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cyborg.common.errors import UserError, UserErrors
from cyborg.common.files import read_json
from cyborg.config.evaluation import EvaluateSpec
from cyborg.config.experiment import Experiment
from cyborg.config.training import TrainSpec
from cyborg.grid.layout import MANIFEST, RUNS, list_planned, read_spec

Pair = tuple[str, str]  # architecture, variant

SCORES = ["image", "set", "generator", "label", "score"]
ALIGNMENT = ["image", "set", "maps", "correlation", "inside", "chance"]


@dataclass(frozen=True)
class Cell:
    """One finished run: where its files lie and what it was."""

    architecture: str
    variant: str
    seed: int
    folder: Path
    trained: Path
    spec: EvaluateSpec

    @property
    def pair(self) -> Pair:
        """Architecture and variant; the runs of a pair differ in their seed alone."""
        return self.architecture, self.variant


@dataclass
class Scored:
    """One test set: its images [N] and the scores [runs,N] that each pair gave them.

    The runs of a pair are in ascending order of seed (`Results.seeds`).
    """

    name: str
    images: np.ndarray
    positives: np.ndarray
    generators: np.ndarray
    groups: np.ndarray
    scores: dict[Pair, np.ndarray] = field(default_factory=dict)

    @property
    def counts(self) -> tuple[int, int]:
        """Numbers of bona fide (negative) and synthetic (positive) images."""
        return int((~self.positives).sum()), int(self.positives.sum())


@dataclass(frozen=True)
class Results:
    """Everything the report is made of, in the order of params.yaml."""

    cells: list[Cell]
    seeds: dict[Pair, list[int]]
    sets: list[Scored]
    trained: dict[str, TrainSpec]  # variant: specification of its training
    seen: dict[tuple[str, str], str]  # (variant, test set): no | partly | yes


def read(experiment: Experiment, root: Path) -> Results:
    """Read all wanted cells.

    Raises UserErrors naming each planned cell that is not finished, and UserError where plan and
    params.yaml disagree, a file is broken, or cells were scored on different images.
    """
    cells = _cells(experiment, root)
    manifest = _table(root / "data" / "manifest.parquet", ["image", "source", "generator", "group"])
    seeds: dict[Pair, list[int]] = {}
    for cell in cells:
        seeds.setdefault(cell.pair, []).append(cell.seed)
    sets = _scores(cells, list(experiment.data.test_sets), experiment.classes, manifest)
    trained: dict[str, TrainSpec] = {}
    for cell in cells:
        if cell.variant not in trained:
            path = root / "plan" / "train" / f"{cell.spec.train}.json"
            spec = read_spec(path)
            if not isinstance(spec, TrainSpec):
                raise _stale("is not the specification of a training cell", path)
            trained[cell.variant] = spec
    return Results(cells, seeds, sets, trained, _seen(trained, sets, manifest))


def _cells(experiment: Experiment, root: Path) -> list[Cell]:
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
            raise _stale("is not the specification of an evaluation cell", path)
        folder, trained = RUNS / "evaluate" / name, RUNS / "train" / spec.train
        if key in found or key not in wanted:
            raise _stale(f"plans `{name}`, which params.yaml does not", path)
        missing += [p for p in (trained, folder) if not (root / p / MANIFEST).is_file()]
        found[key] = Cell(*key, root / folder, root / trained, spec)
    if absent := [key for key in wanted if key not in found]:
        name = "{}/{}/seed{}".format(*absent[0])
        raise _stale(f"has no cell `{name}`, which params.yaml asks for", root / "plan/evaluate")
    if missing:
        raise UserErrors(
            [
                UserError(
                    "is planned but not finished",
                    where=path,
                    hint="run `dvc repro evaluate`; its log names the cell that failed",
                )
                for path in missing
            ]
        )
    return [found[key] for key in wanted]


def _stale(what: str, where: Path) -> UserError:
    return UserError(what, where=where, hint="run `dvc repro` (or `cyborg plan`) first")


def _table(path: Path, columns: list[str]) -> pd.DataFrame:
    """Read columns of a Parquet file; a missing or broken one is a UserError that names it."""
    try:
        return pd.read_parquet(path, columns=columns)
    except FileNotFoundError:
        raise UserError("there is no such file", where=path, hint="run `dvc repro`") from None
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are of these kinds
        raise UserError(
            f"cannot be read ({str(error).splitlines()[0]})",
            where=path,
            hint=f"expected Parquet with columns {', '.join(columns)}; remove it and run "
            "`dvc repro`",
        ) from None


def _scores(
    cells: list[Cell], names: list[str], classes: list[str], manifest: pd.DataFrame
) -> list[Scored]:
    groups = manifest.set_index("image")["group"]
    sets: dict[str, Scored] = {}
    collected: dict[tuple[str, Pair], list[np.ndarray]] = {}
    for cell in cells:
        path = cell.folder / "scores.parquet"
        table = _table(path, SCORES)
        if not np.isfinite(table["score"]).all():
            row = table[~np.isfinite(table["score"])].iloc[0]
            raise UserError(f"the score of `{row['image']}` is not a number", where=path)
        for name in names:
            part = table[table["set"] == name].sort_values("image")
            images = part["image"].to_numpy(str)
            if name not in sets:
                sets[name] = Scored(
                    name,
                    images,
                    (part["label"] == classes[-1]).to_numpy(bool),
                    part["generator"].fillna("").to_numpy(str),
                    groups.reindex(images).fillna(pd.Series(images, images)).to_numpy(str),
                )
                if 0 in sets[name].counts:
                    raise UserError(
                        f"test set `{name}` holds one class only ({len(images)} images)",
                        where=path,
                        hint=f"an AUC needs images of `{classes[-1]}` and of another class",
                    )
            elif not np.array_equal(images, sets[name].images):
                raise UserError(
                    f"test set `{name}` has other images than in the other cells",
                    where=path,
                    hint="run `dvc repro`, so that all cells are scored on the same images",
                )
            collected.setdefault((name, cell.pair), []).append(part["score"].to_numpy(float))
    for (name, pair), scores in collected.items():
        sets[name].scores[pair] = np.stack(scores)
    return list(sets.values())


def _seen(
    trained: dict[str, TrainSpec], sets: Iterable[Scored], manifest: pd.DataFrame
) -> dict[tuple[str, str], str]:
    """Whether the generators of each test set are among those of each variant's training set."""
    seen = {}
    for variant, spec in trained.items():
        rows = manifest[manifest["source"].isin(list(spec.sources))]
        known = set(rows["generator"].fillna("")) - {""}
        for scored in sets:
            own = set(scored.generators[scored.positives].tolist()) - {""}
            common = len(own & known)
            seen[variant, scored.name] = (
                "no" if not common else "yes" if common == len(own) else "partly"
            )
    return seen


def alignments(cells: list[Cell]) -> pd.DataFrame:
    """alignment.parquet of all cells, with columns architecture, variant, seed in front."""
    return _gather(cells, lambda cell: _table(cell.folder / "alignment.parquet", ALIGNMENT))


def histories(cells: list[Cell]) -> pd.DataFrame:
    """history.csv of all cells, with columns architecture, variant, seed in front."""

    def one(cell: Cell) -> pd.DataFrame:
        path = cell.trained / "history.csv"
        try:
            return pd.read_csv(path)
        except (OSError, ValueError) as error:
            raise UserError(f"cannot be read ({error})", where=path) from None

    return _gather(cells, one)


def _gather(cells: list[Cell], one: Any) -> pd.DataFrame:
    tables = []
    for cell in cells:
        table = one(cell)
        table.insert(0, "architecture", cell.architecture)
        table.insert(1, "variant", cell.variant)
        table.insert(2, "seed", cell.seed)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def environments(cells: list[Cell]) -> list[tuple[dict[str, Any], int]]:
    """The distinct environments the cells were trained in, each with the number of its cells."""
    found: list[tuple[dict[str, Any], int]] = []
    for cell in cells:
        environment = read_json(cell.trained / "environment.json")
        for index, (known, count) in enumerate(found):
            if known == environment:
                found[index] = (known, count + 1)
                break
        else:
            found.append((environment, 1))
    return found
