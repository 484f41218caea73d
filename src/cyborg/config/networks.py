"""Define how a network is described: as a row of `architectures`, and resolved for a cell."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cyborg.common.schema import Parameters


class NetworkOptions(Parameters):
    """How a network is made before anything is trained."""

    network: str | None = Field(
        None, description="registered name or any timm name; null is the row's own name"
    )
    weights: str = Field(
        "imagenet", description="imagenet | package | none | path of a .safetensors/.pth file"
    )
    weights_sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="checksum of a weights file"
    )
    image_size: int | None = Field(
        None, ge=32, description="side of the input, pixels; null is the network's own"
    )
    output_stride: Literal[8, 16, 32] | None = Field(
        None, description="input pixels per map pixel; null is the network's own"
    )
    features: Literal["final", "published"] = Field(
        "final", description="tensor of the map: before pooling, or the published code's tap"
    )
    frozen: tuple[str, ...] = Field(
        (), description="prefixes of parameter names that are not trained"
    )
    freeze_batch_norm: bool = Field(
        False, description="keep BatchNorm in evaluation mode while training"
    )


class NetworkSpec(NetworkOptions):
    """A network with nothing left open: `cyborg.models.network.build_network` makes it.

    `cyborg.models.architectures.resolve_network` makes this record from a row of `architectures`.
    """

    name: str = Field(description="key of the row in `architectures`")
    network: str = Field(description="registered name or any timm name")
    image_size: int = Field(ge=32, description="side of the input, pixels")
