"""Find leaks: test images, and generators kept for testing, that are trained on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from cyborg.common.errors import UserError
from cyborg.common.generators import (
    TRAINING_PARTS,
    compare_generators,
    find_held_generators_trained_on,
    find_sources,
)
from cyborg.common.tables import MANIFEST_TABLE
from cyborg.config.experiment import Experiment
from cyborg.split.duplicates import Thumbnails, find_near_duplicates

# Mistakes of one kind that are named one by one.
SHOWN = 10
# Pairs of near duplicates that the report lists.
LISTED = 200


@dataclass
class Findings:
    """The result of the audit: errors that stop the build, warnings, and the measured numbers."""

    errors: list[UserError] = field(default_factory=list)
    warnings: list[UserError] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)

    def add(self, kind: str, mistakes: list[UserError], warn: bool = False) -> None:
        """Add mistakes of one kind, as warnings or errors: the first SHOWN and the count of all."""
        target = self.warnings if warn else self.errors
        target += mistakes[:SHOWN]
        if len(mistakes) > SHOWN:
            target.append(UserError(f"{len(mistakes)} {kind}. The first {SHOWN} are above"))


def group_by_set(experiment: Experiment, used: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """Return the rows of each set, by kind (`training_sets`, `test_sets`) and name.

    Training sets have the rows with split `train` or `validation`, test sets those with `test`.
    """
    found = {}
    for kind, sets, parts in (
        ("training_sets", experiment.data.training_sets, TRAINING_PARTS),
        ("test_sets", experiment.data.test_sets, ("test",)),
    ):
        for name, sources in sets.items():
            rows = used["source"].isin(sources) & used["split"].isin(parts)
            found[kind, name] = used[rows]
    return found


def check_generators(experiment: Experiment, used: pd.DataFrame, findings: Findings) -> None:
    """List the generators of each test set that are trained on, and those that are not.

    It is an error if a generator of a source with the role `test` is trained on.
    """

    def find_in(rows: pd.DataFrame) -> dict[str, set[str]]:
        pairs = rows[["generator", "source"]].drop_duplicates()
        return find_sources(pairs.itertuples(index=False, name=None))

    trained = find_in(used[used["split"].isin(TRAINING_PARTS)])
    held = find_in(used[(used["split"] == "test") & (used["role"] == "test")])
    findings.errors += find_held_generators_trained_on(held, trained)
    findings.numbers["generators"] = {}
    for (kind, name), rows in group_by_set(experiment, used).items():
        if kind == "test_sets":
            seen, unseen = compare_generators(rows["generator"], trained)
            findings.numbers["generators"][name] = {"seen": seen, "unseen": unseen}


def check_leaks(
    experiment: Experiment, used: pd.DataFrame, root: Path, findings: Findings
) -> pd.DataFrame:
    """Find test images in training or validation, by group and by looks.

    Returns the pairs that look the same, with the columns of `find_near_duplicates`: `a` is the
    test image.
    """
    test = used[used["split"] == "test"]
    trained = used[used["split"].isin(TRAINING_PARTS)]
    shared = test[test["group"].isin(set(trained["group"]))]
    found = [
        UserError(
            f"`{row.image}` is a test image, but images of its group `{row.group}` are trained on",
            location=MANIFEST_TABLE.path,
            hint="run `dvc repro --force split`",
        )
        for row in shared.itertuples()
    ]
    findings.add("test images have their group in training", found)

    settings = experiment.check
    thumbnails = Thumbnails(root, used.set_index("image")["file"])

    def find_pairs(left: pd.DataFrame, right: pd.DataFrame) -> pd.DataFrame:
        return find_near_duplicates(
            left,
            right,
            thumbnails,
            bits=settings.near_duplicate_bits,
            correlation=settings.near_duplicate_correlation,
        )

    pairs = find_pairs(test, trained)
    found = [
        UserError(
            f"test image `{row.a}` looks like `{row.b}`, which is trained on "
            f"({row.distance} bits, correlation {row.correlation:.3f})",
            location=MANIFEST_TABLE.path,
            hint="set split.join_near_duplicates: true, or take one of them out. If they are "
            "different pictures, raise check.near_duplicate_correlation",
        )
        for row in pairs.itertuples()
    ]
    warn = settings.on_near_duplicates == "warn"
    findings.add("test images look like training images", found, warn=warn)
    chosen = find_pairs(used[used["split"] == "validation"], used[used["split"] == "train"])
    if len(chosen):
        findings.warnings.append(
            UserError(
                f"{len(chosen)} pairs of validation and training images look the same, "
                f"e.g. `{chosen['a'].iloc[0]}` and `{chosen['b'].iloc[0]}`",
                location=MANIFEST_TABLE.path,
                hint="the epoch is selected by images that may be memorized",
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
