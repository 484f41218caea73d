"""Test images, and generators kept for testing, that were trained on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from cyborg.common.errors import UserError
from cyborg.common.tables import MANIFEST_TABLE
from cyborg.config.experiment import Experiment
from cyborg.split.duplicates import Thumbnails, near_duplicates

SHOWN = 10
"""Mistakes of one kind that are named one by one."""
LISTED = 200
"""Pairs of near duplicates that the report lists."""


@dataclass
class Findings:
    """What stops the build, what is warned of, and the numbers behind them."""

    errors: list[UserError] = field(default_factory=list)
    warnings: list[UserError] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)

    def named(self, kind: str, rows: list[UserError], warn: bool = False) -> None:
        """Add mistakes of one kind: the first SHOWN, and the number of all."""
        target = self.warnings if warn else self.errors
        target += rows[:SHOWN]
        if len(rows) > SHOWN:
            target.append(UserError(f"{len(rows)} {kind}; the first {SHOWN} are above"))


def sets_of(experiment: Experiment, used: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """Rows of (training_sets or test_sets, name): of training sets both parts."""
    found = {}
    for kind, sets, parts in (
        ("training_sets", experiment.data.training_sets, ["train", "validation"]),
        ("test_sets", experiment.data.test_sets, ["test"]),
    ):
        for name, sources in sets.items():
            rows = used["source"].isin(sources) & used["split"].isin(parts)
            found[kind, name] = used[rows]
    return found


def generators(experiment: Experiment, used: pd.DataFrame, findings: Findings) -> None:
    """Which generators of the test sets were trained on; sources of role `test` must not be."""

    def names_in(rows: pd.DataFrame) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for names, source in rows[["generator", "source"]].drop_duplicates().to_numpy():
            for name in names.split():
                found.setdefault(name, set()).add(source)
        return found

    trained = names_in(used[used["split"].isin(["train", "validation"])])
    held = used[(used["split"] == "test") & (used["role"] == "test")]
    for name, sources in sorted(names_in(held).items()):
        # A list may divide one source itself; another source of the generator must not train.
        if others := sorted(trained.get(name, set()) - sources):
            findings.errors.append(
                UserError(
                    f"generator `{name}` of the test source `{min(sources)}` is trained on: "
                    f"{', '.join(others)}",
                    where="params.yaml: data.training_sets",
                    hint="take it out of training, or give the test source the role `any`",
                )
            )
    findings.numbers["generators"] = {
        name: {
            "seen": sorted(n for n in names_in(rows) if n in trained),
            "unseen": sorted(n for n in names_in(rows) if n not in trained),
        }
        for (kind, name), rows in sets_of(experiment, used).items()
        if kind == "test_sets"
    }


def leaks(
    experiment: Experiment, used: pd.DataFrame, root: Path, findings: Findings
) -> pd.DataFrame:
    """Test images in training or validation: by group, and by looks. Gives the latter."""
    test = used[used["split"] == "test"]
    learnt = used[used["split"].isin(["train", "validation"])]
    shared = test[test["group"].isin(set(learnt["group"]))]
    found = [
        UserError(
            f"`{row.image}` is a test image, images of its group `{row.group}` are trained on",
            where=MANIFEST_TABLE.path,
            hint="run `dvc repro --force split`",
        )
        for row in shared.itertuples()
    ]
    findings.named("test images have their group in training", found)

    settings = experiment.check
    thumbnails = Thumbnails(root, used.set_index("image")["file"])

    def alike(left: pd.DataFrame, right: pd.DataFrame) -> pd.DataFrame:
        return near_duplicates(
            left,
            right,
            thumbnails,
            bits=settings.near_duplicate_bits,
            correlation=settings.near_duplicate_correlation,
        )

    pairs = alike(test, learnt)
    found = [
        UserError(
            f"test image `{row.a}` looks like `{row.b}`, which is trained on "
            f"({row.distance} bits, correlation {row.correlation:.3f})",
            where=MANIFEST_TABLE.path,
            hint="set split.join_near_duplicates: true, or take one of them out; where they are "
            "different pictures, raise check.near_duplicate_correlation",
        )
        for row in pairs.itertuples()
    ]
    warn = settings.on_near_duplicates == "warn"
    findings.named("test images look like training images", found, warn=warn)
    chosen = alike(used[used["split"] == "validation"], used[used["split"] == "train"])
    if len(chosen):
        findings.warnings.append(
            UserError(
                f"{len(chosen)} pairs of validation and training images look the same, "
                f"e.g. `{chosen['a'].iloc[0]}` and `{chosen['b'].iloc[0]}`",
                where=MANIFEST_TABLE.path,
                hint="the epoch is chosen by images that were partly learnt by heart",
            )
        )
    same = learnt.groupby("sha256")["label"].nunique()
    if contradictory := int((same > 1).sum()):
        findings.warnings.append(
            UserError(
                f"{contradictory} files are in training with two labels",
                where=MANIFEST_TABLE.path,
                hint="keep one of them",
            )
        )
    findings.numbers["near_duplicates"] = {
        "test_training": len(pairs),
        "validation_training": len(chosen),
        "pairs": [
            {**row, "correlation": round(row["correlation"], 3)}
            for row in pairs.head(LISTED).to_dict("records")
        ],
    }
    return pairs
