"""Resolve params.yaml into one specification per cell: parameters, inputs and code, by content.

Reads   data/manifest.parquet, data/packs/index.parquet (docs/formats.md).
Writes  plan/train, plan/evaluate (docs/formats.md#cells).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from cyborg.common.closure import hash_code
from cyborg.common.errors import UserError
from cyborg.common.families import LOSSES, PREPARATIONS
from cyborg.common.files import encode_canonically, replacing_folder, sha256_bytes, write_json
from cyborg.common.tables import MANIFEST_TABLE, PACK_TABLE
from cyborg.config import preparations
from cyborg.config.experiment import Experiment, Variant
from cyborg.config.load import resolve_loss_options, resolve_training
from cyborg.config.networks import NetworkSpec
from cyborg.grid.layout import PLAN, cell_name
from cyborg.models.architectures import list_modules, resolve_network

Spec = dict[str, Any]


@dataclass(frozen=True)
class Inputs:
    """The data that cells read: the manifest, and the checksum of every packed image and map."""

    manifest: pd.DataFrame
    packs: pd.DataFrame

    @classmethod
    def read(cls, root: Path) -> Inputs:
        """Read both tables; a missing one is a UserError that names the stage that makes it."""
        return cls(MANIFEST_TABLE.read(root), PACK_TABLE.read(root))

    def digest(
        self, sources: list[str], splits: list[str], size: int, maps: list[str], weights: bool
    ) -> str:
        """sha256 over what a cell reads: rows of the manifest, packed images and packed maps.

        weights: whether it reads the weights of samples too.
        """
        rows = self.manifest[
            self.manifest["source"].isin(sources) & self.manifest["split"].isin(splits)
        ]
        columns = ["image", "source", "label", "generator", "split"]
        if weights and "sample_weight" in rows:
            rows = rows.assign(sample_weight=rows["sample_weight"].map(repr))
            columns.append("sample_weight")
        rows = rows[columns].sort_values("image")
        packed = self.packs[
            (self.packs["size"] == size)
            & self.packs["kind"].isin(["images", *maps])
            & self.packs["image"].isin(rows["image"])
        ]
        packed = packed[["kind", "image", "sha256"]].sort_values(["kind", "image"])
        return sha256_bytes(encode_canonically([rows.values.tolist(), packed.values.tolist()]))


def plan(experiment: Experiment, root: Path = Path()) -> None:
    """Write plan/train and plan/evaluate, one file per cell, named by its fingerprint."""
    inputs = Inputs.read(root)
    _guided(experiment, inputs)
    cells = specifications(experiment, inputs)
    trained = sum(spec["kind"] == "train" for spec in cells)
    for kind in ("train", "evaluate"):
        with replacing_folder(root / PLAN / kind) as fresh:
            for spec in cells:
                if spec["kind"] == kind:
                    write_json(fresh / f"{cell_name(spec)}.json", spec)
    print(
        f"plan: {trained} cells to train, {len(cells) - trained} to evaluate "
        f"({len(experiment.architectures)} architectures, {len(experiment.variants)} variants, "
        f"{len(experiment.seeds)} seeds)"
    )


def specifications(experiment: Experiment, inputs: Inputs | None = None) -> list[Spec]:
    """All cells of an experiment, fully resolved; without `inputs` (no data) their digest is "".

    A specification holds what decides the cell's results and nothing else: whatever is in it
    retrains the cell when it changes.
    """
    digest = _digests(inputs)
    cells: dict[str, Spec] = {}
    for architecture in experiment.architectures:
        for variant in experiment.variants:
            for seed in experiment.seeds:
                # Parents come first; one that several cells start from is made once.
                for trained in _train(experiment, architecture, variant, seed, digest):
                    cells[f"train/{cell_name(trained)}"] = trained
                evaluated = _evaluate(experiment, trained, digest)
                cells[f"evaluate/{cell_name(evaluated)}"] = evaluated
    return list(cells.values())


def _guided(experiment: Experiment, inputs: Inputs) -> None:
    """Refuse variants whose maps exist for no training image: they would be cross-entropy."""
    training = set(inputs.manifest.loc[inputs.manifest["split"] == "train", "image"])
    for name, row in experiment.variants.items():
        sources = experiment.data.training_sets[_training_set(experiment, name)]
        packed = inputs.packs[
            (inputs.packs["kind"] == row.saliency) & inputs.packs["source"].isin(sources)
        ]
        if row.saliency and not _taught(row) and training.isdisjoint(packed["image"]):
            column = experiment.saliency[row.saliency].column
            raise UserError(
                f"no training image has a map of `{row.saliency}`",
                where=f"params.yaml: variants.{name}.saliency",
                hint=f"fill the column `{column}` of data/sources.csv for one of "
                f"{', '.join(sources)}, or remove the variant",
            )


def _taught(row: Variant) -> bool:
    """Whether a preparation gives the variant maps that people did not."""
    modules = [PREPARATIONS.find(name) for name in row.prepare]
    return any(module.gives_maps for module in modules)


def _training_set(experiment: Experiment, variant: str) -> str:
    return experiment.variants[variant].training_set or next(iter(experiment.data.training_sets))


def _digests(inputs: Inputs | None) -> Any:
    """Inputs.digest, computed once for the many cells that read the same."""
    if inputs is None:
        return lambda *_: ""
    digest = cache(
        lambda sources, splits, size, maps, weights: inputs.digest(
            list(sources), list(splits), size, list(maps), weights
        )
    )
    return lambda sources, splits, size, maps, weights=False: digest(
        tuple(sources), tuple(splits), size, tuple(maps), weights
    )


def _architecture(experiment: Experiment, name: str) -> NetworkSpec:
    return resolve_network(name, experiment.architectures[name])


def _train(
    experiment: Experiment, architecture: str, variant: str, seed: int, digest: Any
) -> list[Spec]:
    """The training cell of a variant, behind the cells that it starts from."""
    row = experiment.variants[variant]
    network = _architecture(experiment, architecture)
    training_set = _training_set(experiment, variant)
    sources = sorted(experiment.data.training_sets[training_set])
    maps = [row.saliency] if row.saliency else []
    weighted = "sample_weight" in LOSSES.find(row.loss).extras
    own = {
        "kind": "train",
        "architecture": network.model_dump(mode="json"),
        "variant": variant,
        "classes": experiment.classes,
        "loss": {"name": row.loss, "options": resolve_loss_options(row)},
        "training_set": training_set,
        "sources": sources,
        "saliency": row.saliency,
        "control": row.control,
        "training": resolve_training(experiment, architecture, variant).model_dump(mode="json"),
        "seed": seed,
        "inputs": digest(sources, ["train", "validation"], network.image_size, maps, weighted),
    }
    code = list_modules(network)
    if row.control != "none":
        code.append(f"cyborg.training.controls.{row.control}")
    above: list[Spec] = []
    steps = []

    def variants(name: str) -> Spec:
        above.extend(_train(experiment, architecture, name, seed, digest))
        return above[-1]

    for name, options in preparations.options(row).items():
        module = PREPARATIONS.find(name)
        parent = None
        if module.parent is not None:
            spec = module.parent(options, own, variants)
            if "code" not in spec:
                spec["code"] = _code(tuple(sorted([*module.parent_code, *code])))
                above.append(spec)
            parent = f"train/{cell_name(spec)}"
        steps.append({"name": name, "options": options.model_dump(mode="json"), "parent": parent})
    code += ["cyborg.training.train", f"cyborg.losses.{row.loss}"]
    code += [f"cyborg.training.preparations.{step['name']}" for step in steps]
    own |= {
        "prepare": steps,
        "code": _code(tuple(sorted(code))),
        "parents": [step["parent"] for step in steps if step["parent"]],
    }
    return [*above, own]


def _evaluate(experiment: Experiment, trained: Spec, digest: Any) -> Spec:
    network = NetworkSpec.model_validate(trained["architecture"])
    test_sets = {name: sorted(s) for name, s in sorted(experiment.data.test_sets.items())}
    sources = sorted({source for names in test_sets.values() for source in names})
    maps = sorted(experiment.saliency)
    return {
        "kind": "evaluate",
        "architecture": network.model_dump(mode="json"),
        "variant": trained["variant"],
        "classes": experiment.classes,
        "seed": trained["seed"],
        "train": cell_name(trained),
        "test_sets": test_sets,
        "maps": maps,
        "evaluation": experiment.evaluation.model_dump(mode="json"),
        "inputs": digest(sources, ["test"], network.image_size, maps),
        "code": _code(tuple(sorted(["cyborg.evaluation.evaluate", *list_modules(network)]))),
        "parents": [f"train/{cell_name(trained)}"],
    }


@cache
def _code(starts: tuple[str, ...]) -> str:
    return hash_code(list(starts))
