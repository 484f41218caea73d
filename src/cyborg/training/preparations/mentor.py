"""MENTOR: first weights from an autoencoder that learned where people look.

A network with a decoder learns human maps from images, without labels, in a cell of its own; its
encoder is the network that is then trained as a classifier. Source: Boyd et al., "MENTOR: Human
Perception-Guided Pretraining for Increased Generalization", arXiv 2310.19545, code CVRL/MENTOR.
The defaults are those published.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from cyborg.common.schema import Parameters
from cyborg.config.networks import NetworkSpec
from cyborg.models.trained import load_trained
from cyborg.training.preparations._base import Context, Material, Preparation, Spec, Variants

VARIANT = "mentor_autoencoder"
"""Name of the autoencoder's cells: variants of equal options and maps share them."""


class Options(Parameters):
    """Options of `mentor`."""

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
    def _halved(cls, size: int) -> int:
        if size % 32:
            raise ValueError("must be a multiple of 32: the decoder doubles the size five times")
        return size


def parent(options: Options, own: Spec, variants: Variants) -> Spec:
    """The autoencoder's cell: it reads the images and maps of the variant, and no loss."""
    shared = ("kind", "architecture", "classes", "sources", "saliency", "control", "seed", "inputs")
    return {
        **{key: own[key] for key in shared},
        "variant": VARIANT,
        "autoencoder": options.model_dump(mode="json"),
        "parents": [],
    }


def prepare(material: Material, options: Options, context: Context) -> Material:
    """Give the network the weights of the autoencoder's encoder; the head keeps its own."""
    assert context.parent is not None  # `parent` above gives one
    spec, network = context.spec, context.network
    encoder = load_trained(
        context.parent,
        NetworkSpec.model_validate(spec["architecture"]),
        classes=len(spec["classes"]),
        seed=spec["seed"],
    )
    # The autoencoder never used the head: what it saved there are the same first values.
    network.load_state_dict(encoder.state_dict())
    return material


PREPARATION = Preparation(
    Options, prepare, needs_maps=True, parent=parent, parent_code=("cyborg.training.pretrain",)
)
