"""Specifications of cells that do nothing."""

from __future__ import annotations

from cyborg.config.networks import NetworkSpec
from cyborg.grid.kinds.wait import WaitSpec


def wait_spec(seed: int = 0, seconds: float = 0) -> WaitSpec:
    return WaitSpec(
        architecture=NetworkSpec(name="none", network="none", weights="none", image_size=32),
        variant="waiting",
        classes=("bona_fide", "synthetic"),
        seed=seed,
        seconds=seconds,
        inputs="",
        code="",
        parents=(),
    )
