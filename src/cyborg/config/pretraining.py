"""Describe how a saliency autoencoder is trained: the first stage of MENTOR, a cell of its own."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from cyborg.common.schema import Parameters
from cyborg.config.cells import GuidedSpec


class Pretraining(Parameters):
    """Options of `mentor`. The defaults are those published (CVRL/MENTOR)."""

    decoder: Literal["unet", "unetplusplus"] = Field(
        "unetplusplus", description="decoder, of segmentation_models_pytorch"
    )
    image_size: int = Field(
        256, ge=32, description="side to which images and maps are resized for it, pixels"
    )
    epochs: int = Field(11, ge=1, description="largest number of epochs; the best one is kept")
    batch_size: int = Field(4, ge=2, description="images per step")
    learning_rate: float = Field(1e-4, gt=0, description="learning rate of Adam")

    @field_validator("image_size")
    @classmethod
    def _check_halvings(cls, size: int) -> int:
        if size % 32:
            raise ValueError("must be a multiple of 32: the decoder doubles the size five times")
        return size


class PretrainSpec(GuidedSpec):
    """The specification of a cell that trains a saliency autoencoder."""

    kind: Literal["pretrain"] = "pretrain"
    autoencoder: Pretraining = Field(description="how the autoencoder is trained")
