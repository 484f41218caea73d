"""Tell how many runs and test images a difference needs, from the spread of finished runs.

The command `cyborg power` prints it. It reads results/comparisons.csv alone.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cyborg.common.errors import UserError
from cyborg.results.power import POWER, Spread, count_runs_needed, find_smallest_difference
from cyborg.results.tables import format_number

IMAGE_FACTORS = (1, 2, 4)
NEEDED = ("difference_sd", "image_error", "runs")


def describe_power(
    root: Path, difference: float, confidence: float = 0.95, power: float = POWER
) -> str:
    """Return a table of the runs that would tell `difference` from zero, one row per comparison.

    root: the project folder. difference: of mean AUC, 0..1. The table has one column per number of
    test images: as many as there are, twice, and four times as many. Raises UserError if there is
    no report, or it has no comparison of at least two runs.
    """
    if not 0 < difference < 1:
        raise UserError(
            f"`{difference:g}` is not a difference of AUC",
            location="--difference",
            hint="give a number above 0 and below 1, such as 0.05",
        )
    path = root / "results" / "comparisons.csv"
    if not path.is_file():
        raise UserError("no such file", location=path, hint="run `dvc repro` first")
    table = pd.read_csv(path)
    missing = [column for column in NEEDED if column not in table]
    if missing:
        raise UserError(
            f"does not have the column `{missing[0]}`",
            location=path,
            hint="run `dvc repro report` to renew it",
        )
    table = table[table["runs"] > 1]
    if table.empty:
        raise UserError(
            "holds no comparison of at least two runs",
            location=path,
            hint="give at least two seeds in params.yaml",
        )
    heads = ["comparison", "test set", "runs", "could be seen"]
    heads += [f"runs needed, {factor}x images" for factor in IMAGE_FACTORS]
    lines = []
    for row in table.to_dict("records"):
        spread = Spread(row["image_error"] ** 2, row["difference_sd"] ** 2, row["runs"])
        counts = [
            count_runs_needed(difference, spread, confidence, power, factor)
            for factor in IMAGE_FACTORS
        ]
        lines.append(
            [
                f"{row['architecture']}: {row['variant']} - {row['reference']}",
                row["test_set"],
                str(row["runs"]),
                format_number(find_smallest_difference(spread, confidence, power)),
                *(str(count) if count else "more images" for count in counts),
            ]
        )
    body = pd.DataFrame(lines, columns=heads).to_string(index=False)
    return (
        f"Runs that tell a true difference of {difference:g} from zero in {power:.0%} of cases "
        f"({confidence:.0%} intervals):\n\n{body}"
    )
