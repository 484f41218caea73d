"""Describe how finished cells are scored: `evaluation` in params.yaml, and the cell made of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cyborg.common.schema import Parameters
from cyborg.config.cells import CellSpec


class Evaluation(Parameters):
    """`evaluation`: how finished cells are scored."""

    batch_size: int | None = Field(
        None,
        ge=1,
        description="images scored at a time. null is a number that suits the device (8 or 512)",
    )
    gallery: int = Field(6, ge=0, le=64, description="test images per set shown with their maps")


class EvaluateSpec(CellSpec):
    """The specification of a cell that scores all test sets with one trained cell."""

    kind: Literal["evaluate"] = "evaluate"
    train: str = Field(description="name of the trained cell: its folder under runs/train")
    test_sets: dict[str, tuple[str, ...]] = Field(
        description="name of each test set and its sources, sorted"
    )
    maps: tuple[str, ...] = Field(description="map sets that the network's maps are compared with")
    evaluation: Evaluation = Field(description="how the cell is scored")
