"""Define the specification of a cell: the fields that all kinds of cells share.

A cell is the unit of work that the grid runs, caches and shares. Its specification holds everything
that decides its results and nothing else, because a change in it runs the cell again. Each kind of
cell adds fields of its own (`TrainSpec`, `PretrainSpec`, `EvaluateSpec`).
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field

from cyborg.common.files import encode_canonically, sha256_bytes
from cyborg.common.schema import Parameters
from cyborg.config.networks import NetworkSpec


class CellSpec(Parameters):
    """The specification of a cell of any kind."""

    kind: str = Field(description="name of the kind: a module in cyborg/grid/kinds")
    architecture: NetworkSpec = Field(description="the network")
    variant: str = Field(description="row of `variants` that the cell belongs to")
    classes: tuple[str, ...] = Field(description="labels, in the order of params.yaml")
    seed: int = Field(description="decides every random choice")
    inputs: str = Field(description="sha256 of the data that the cell reads; empty if unknown")
    code: str = Field(description="sha256 of the code that the cell runs")
    parents: tuple[str, ...] = Field(
        description="folders under runs/ of the cells whose results it reads"
    )

    def to_json(self) -> dict[str, Any]:
        """Return the content of the specification's file."""
        return self.model_dump(mode="json")

    def compute_digest(self) -> str:
        """Return the sha256 of the specification's encode_canonically JSON."""
        return sha256_bytes(encode_canonically(self.to_json()))

    def replace_fields(self, **changes: object) -> Self:
        """Return a copy with some fields changed and all fields checked."""
        return type(self).model_validate({**dict(self), **changes})


class GuidedSpec(CellSpec):
    """The specification of a cell that learns from training images and maps of them."""

    sources: tuple[str, ...] = Field(description="rows of the catalogue, sorted")
    saliency: str | None = Field(description="map set that guides the cell; null is none")
    control: str = Field(description="how the maps are made wrong on purpose; none is not at all")
