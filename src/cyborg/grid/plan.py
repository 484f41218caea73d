"""Resolve params.yaml into one specification per cell: parameters, inputs and code, by content.

Reads   data/manifest.parquet, data/packs/index.parquet (docs/formats.md).
Writes  plan/train, plan/evaluate (docs/formats.md#cells).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

import pandas as pd

from cyborg.common.closure import hash_code
from cyborg.common.errors import UserError
from cyborg.common.families import CELL_KINDS, LOSSES, PREPARATIONS
from cyborg.common.files import encode_canonically, replacing_folder, sha256_bytes, write_json
from cyborg.common.tables import MANIFEST_TABLE, PACK_TABLE
from cyborg.config.cells import CellSpec
from cyborg.config.evaluation import EvaluateSpec
from cyborg.config.experiment import Experiment
from cyborg.config.load import resolve_loss_options, resolve_training
from cyborg.config.preparations import resolve_options
from cyborg.config.training import LossSpec, PreparationStep, TrainSpec
from cyborg.grid.cell_paths import PLAN, cell_name, cell_path
from cyborg.models.architectures import resolve_network

Spec = TypeVar("Spec", bound=CellSpec)
# Every experiment has cells in both.
GRIDS = ("train", "evaluate")


@dataclass(frozen=True)
class Selection:
    """The data that a cell reads: which images, at which size, with which maps.

    weights: whether the cell reads the weights of samples too.
    """

    sources: tuple[str, ...]
    splits: tuple[str, ...]
    size: int
    maps: tuple[str, ...]
    weights: bool = False


@dataclass(frozen=True)
class Inputs:
    """The data of the experiment: the manifest, and the checksum of every packed image and map."""

    manifest: pd.DataFrame
    packs: pd.DataFrame

    @classmethod
    def read(cls, root: Path) -> Inputs:
        """Read both tables. Raises UserError, which names the stage to run, if one is missing."""
        return cls(MANIFEST_TABLE.read(root), PACK_TABLE.read(root))

    def hash_selection(self, selection: Selection) -> str:
        """Return the sha256 of the selected rows of the manifest, packed images and packed maps."""
        rows = self.manifest[
            self.manifest["source"].isin(selection.sources)
            & self.manifest["split"].isin(selection.splits)
        ]
        columns = ["image", "source", "label", "generator", "split"]
        if selection.weights and "sample_weight" in rows:
            rows = rows.assign(sample_weight=rows["sample_weight"].map(repr))
            columns.append("sample_weight")
        rows = rows[columns].sort_values("image")
        packed = self.packs[
            (self.packs["size"] == selection.size)
            & self.packs["kind"].isin(["images", *selection.maps])
            & self.packs["image"].isin(rows["image"])
        ]
        packed = packed[["kind", "image", "sha256"]].sort_values(["kind", "image"])
        return sha256_bytes(encode_canonically([rows.values.tolist(), packed.values.tolist()]))


class Planner:
    """Resolve the cells of an experiment. Without `inputs` (no data) their `inputs` is empty.

    cells: the cells so far, parents before the cells that start from them, by their path
    `<grid>/<name>`. A parent that several cells share is in it once.
    """

    def __init__(self, experiment: Experiment, inputs: Inputs | None = None):
        self.experiment = experiment
        self.inputs = inputs
        self.cells: dict[str, CellSpec] = {}
        self.digests: dict[Selection, str] = {}
        self.networks = {
            name: resolve_network(name, row) for name, row in experiment.architectures.items()
        }

    def plan_all(self) -> list[CellSpec]:
        """Return every cell of the experiment."""
        for architecture in self.experiment.architectures:
            for variant in self.experiment.variants:
                for seed in self.experiment.seeds:
                    trained = self.plan_training(variant, architecture, seed)
                    self.plan_evaluation(trained)
        return list(self.cells.values())

    def plan_training(self, variant: str, architecture: str, seed: int) -> TrainSpec:
        """Add the training cell of a variant, and before it the cells that it starts from."""
        row = self.experiment.variants[variant]
        network = self.networks[architecture]
        training_set = find_training_set(self.experiment, variant)
        sources = tuple(sorted(self.experiment.data.training_sets[training_set]))
        alone = TrainSpec(
            architecture=network,
            variant=variant,
            classes=self.experiment.classes,
            seed=seed,
            training_set=training_set,
            sources=sources,
            saliency=row.saliency,
            control=row.control,
            loss=LossSpec(name=row.loss, options=resolve_loss_options(row)),
            training=resolve_training(self.experiment, architecture, variant),
            inputs=self.find_digest(
                Selection(
                    sources,
                    ("train", "validation"),
                    network.image_size,
                    (row.saliency,) if row.saliency else (),
                    weights="sample_weight" in LOSSES.find(row.loss).extras,
                )
            ),
            prepare=(),
            code="",
            parents=(),
        )
        steps = []
        for name, options in resolve_options(row).items():
            plan_parent = PREPARATIONS.find(name).plan_parent
            parent = None
            if plan_parent is not None:
                plan_variant = partial(self.plan_training, architecture=architecture, seed=seed)
                parent = cell_path(self.add_cell(plan_parent(options, alone, plan_variant)))
            values = options.model_dump(mode="json")
            steps.append(PreparationStep(name=name, options=values, parent=parent))
        parents = tuple(step.parent for step in steps if step.parent is not None)
        return self.add_cell(alone.replace_fields(prepare=tuple(steps), parents=parents))

    def plan_evaluation(self, trained: TrainSpec) -> EvaluateSpec:
        """Add the evaluation cell of a training cell."""
        test_sets = {
            name: tuple(sorted(sources))
            for name, sources in sorted(self.experiment.data.test_sets.items())
        }
        sources = tuple(sorted({source for names in test_sets.values() for source in names}))
        maps = tuple(sorted(self.experiment.saliency))
        size = trained.architecture.image_size
        spec = EvaluateSpec(
            architecture=trained.architecture,
            variant=trained.variant,
            classes=trained.classes,
            seed=trained.seed,
            train=cell_name(trained),
            test_sets=test_sets,
            maps=maps,
            evaluation=self.experiment.evaluation,
            inputs=self.find_digest(Selection(sources, ("test",), size, maps)),
            code="",
            parents=(cell_path(trained),),
        )
        return self.add_cell(spec)

    def add_cell(self, spec: Spec) -> Spec:
        """Fill in the hash of the code that a cell runs, and keep the cell."""
        modules = CELL_KINDS.find(spec.kind).list_modules(spec)
        complete = spec.replace_fields(code=hash_modules(tuple(sorted(modules))))
        self.cells[cell_path(complete)] = complete
        return complete

    def find_digest(self, selection: Selection) -> str:
        """Return the digest of a selection, computed once for the many cells that read the same."""
        if self.inputs is None:
            return ""
        if selection not in self.digests:
            self.digests[selection] = self.inputs.hash_selection(selection)
        return self.digests[selection]


def plan(experiment: Experiment, root: Path = Path()) -> None:
    """Write plan/train and plan/evaluate, one file per cell, named by its fingerprint."""
    inputs = Inputs.read(root)
    check_maps_exist(experiment, inputs)
    cells = Planner(experiment, inputs).plan_all()
    for grid in GRIDS:
        with replacing_folder(root / PLAN / grid) as fresh:
            for spec in cells:
                if CELL_KINDS.find(spec.kind).grid == grid:
                    write_json(fresh / f"{cell_name(spec)}.json", spec.to_json())
    evaluated = sum(isinstance(spec, EvaluateSpec) for spec in cells)
    print(
        f"plan: {len(cells) - evaluated} cells to train, {evaluated} to evaluate "
        f"({len(experiment.architectures)} architectures, {len(experiment.variants)} variants, "
        f"{len(experiment.seeds)} seeds)"
    )


def check_maps_exist(experiment: Experiment, inputs: Inputs) -> None:
    """Refuse variants whose maps exist for no training image: they would be cross-entropy."""
    in_training = set(inputs.manifest.loc[inputs.manifest["split"] == "train", "image"])
    for name, row in experiment.variants.items():
        sources = experiment.data.training_sets[find_training_set(experiment, name)]
        packed = inputs.packs[
            (inputs.packs["kind"] == row.saliency) & inputs.packs["source"].isin(sources)
        ]
        makes_maps = any(PREPARATIONS.find(step).gives_maps for step in row.prepare)
        if row.saliency and not makes_maps and in_training.isdisjoint(packed["image"]):
            column = experiment.saliency[row.saliency].column
            raise UserError(
                f"no training image has a map of `{row.saliency}`",
                location=f"params.yaml: variants.{name}.saliency",
                hint=f"fill the column `{column}` of data/sources.csv for one of "
                f"{', '.join(sources)}, or remove the variant",
            )


def find_training_set(experiment: Experiment, variant: str) -> str:
    """Return the name of a variant's training set: the first one if it names none."""
    return experiment.variants[variant].training_set or next(iter(experiment.data.training_sets))


@cache
def hash_modules(modules: tuple[str, ...]) -> str:
    """Return the hash of some modules and of all that they import, read from disk once."""
    return hash_code(list(modules))
