"""Describe and read the Parquet tables that one stage writes and later stages read.

docs/formats.md explains every column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from cyborg.common.errors import UserError
from cyborg.common.files import write_table

Filter = tuple[str, str, Any]
"""Column, comparison and value, such as `("split", "==", "test")`."""


@dataclass(frozen=True)
class StageTable:
    """A table that one stage writes and later stages read.

    path: of the file, from the project folder.
    stage: name of the stage that writes it.
    columns: all of its columns, in order.
    """

    path: Path
    stage: str
    columns: tuple[str, ...]

    def read(
        self,
        root: Path,
        columns: Sequence[str] | None = None,
        filters: Sequence[Filter] | None = None,
    ) -> pd.DataFrame:
        """Read the table of the project at `root`, as `read_table` does.

        columns: those to read, None for all. filters: conditions that every row must fulfil.
        """
        return read_table(root / self.path, self.stage, columns or self.columns, filters)

    def write(self, root: Path, table: pd.DataFrame) -> None:
        """Write the table of the project at `root`, its columns in order."""
        write_table(root / self.path, table[list(self.columns)])


def read_table(
    path: Path, stage: str, columns: Sequence[str], filters: Sequence[Filter] | None = None
) -> pd.DataFrame:
    """Read columns of a Parquet file that `stage` writes. Missing text becomes empty text.

    Raises UserError if the file is missing or broken, or does not have the columns. The hint
    names the stage to run.
    """
    try:
        missing = [name for name in columns if name not in pq.read_schema(path).names]
        if missing:
            raise UserError(
                f"column `{missing[0]}` is missing",
                location=path,
                hint=f"an earlier version wrote this file. Run `dvc repro {stage} --force`",
            )
        conditions = list(filters) if filters else None
        table = pd.read_parquet(path, columns=list(columns), filters=conditions)
    except FileNotFoundError:
        raise UserError(
            "there is no such file", location=path, hint=f"run `dvc repro {stage}` first"
        ) from None
    except (OSError, ValueError, KeyError) as error:  # the kinds of errors that pyarrow raises
        raise UserError(
            f"cannot be read: {str(error).splitlines()[0]}",
            location=path,
            hint=f"run `dvc repro {stage} --force`",
        ) from error
    for column in table.select_dtypes(exclude=["number", "bool"]).columns:
        table[column] = table[column].astype(object).fillna("")
    return table


# One row per image of every source in use.
IMAGE_TABLE = StageTable(
    Path("data/images.parquet"),
    "download",
    (
        "image", "source", "label", "generator", "role", "file", "sha256", "bytes", "width",
        "height", "format", "mode", "header", "hash", "group", "sample_weight", "problem",
    ),
)  # fmt: skip

# One row per image and map set.
MAP_TABLE = StageTable(
    Path("data/saliency/index.parquet"),
    "rasterize",
    (
        "maps", "image", "file", "sha256", "width", "height", "annotators", "regions", "area",
    ),
)  # fmt: skip

# One row per image that is trained on, validated on or tested on.
MANIFEST_TABLE = StageTable(
    Path("data/manifest.parquet"),
    "split",
    (
        "image", "source", "label", "generator", "file", "sha256", "group", "split", "saliency",
        "sample_weight",
    ),
)  # fmt: skip

# One row per packed image and packed map.
PACK_TABLE = StageTable(
    Path("data/packs/index.parquet"),
    "pack",
    ("kind", "size", "source", "image", "row", "sha256"),
)
