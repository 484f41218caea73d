"""Define `training`: how a cell is optimised, and the specification of a training cell.

Any key of `training` may be overridden per architecture and variant.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from cyborg.common.schema import Parameters
from cyborg.config.cells import GuidedSpec


class Augmentation(Parameters):
    """Random changes of an image **and** its human map. If all are zero, there are none."""

    flip: float = Field(0.0, ge=0, le=1, description="probability of a horizontal flip")
    scale: float = Field(0.0, ge=0, le=0.5, description="largest relative change of size")
    rotation: float = Field(0.0, ge=0, le=180, description="largest rotation, degrees")
    shift: float = Field(0.0, ge=0, le=0.5, description="largest shift, share of the side")
    blur: float = Field(0.0, ge=0, le=1, description="probability of a Gaussian blur (image only)")
    colour: float = Field(
        0.0, ge=0, le=1, description="largest change of brightness, contrast, saturation"
    )
    jpeg: float = Field(0.0, ge=0, le=1, description="probability of re-encoding as JPEG 50-95")


class Training(Parameters):
    """Optimisation of a cell. The defaults are the published ones (CVRL/CYBORG train_cam.py).

    Each architecture and each variant may override any key.
    """

    epochs: int = Field(50, ge=1, description="passes over the training set")
    batch_size: int = Field(20, ge=1, description="images per step")
    accumulate: int = Field(1, ge=1, description="batches whose gradients are added before a step")
    images_per_epoch: int | None = Field(
        None, ge=1, description="images drawn per epoch. null is the whole training set once"
    )
    balance: Literal["none", "class", "class_and_source"] = Field(
        "none", description="draw images so that classes (and sources within them) are equal"
    )
    optimiser: Literal["sgd", "adamw"] = Field("sgd", description="optimisation method")
    learning_rate: float = Field(0.005, gt=0, description="(highest) learning rate")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd. adamw ignores it")
    weight_decay: float = Field(1e-6, ge=0, description="weight decay")
    schedule: Literal["constant", "step", "cosine", "one_cycle"] = Field(
        "step", description="course of the learning rate"
    )
    step_epochs: int = Field(12, ge=1, description="epochs between two steps of `step`")
    step_factor: float = Field(0.1, gt=0, le=1, description="factor of each step of `step`")
    selection: Literal["accuracy", "auc", "loss", "last"] = Field(
        "accuracy",
        description="validation measure by which the epoch is chosen (ties: the later one)",
    )
    early_stopping: int | None = Field(
        None, ge=1, description="stop after this many epochs without improvement. null is never"
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="precision of the forward pass. The saliency term is always float32"
    )
    channels_last: bool = Field(
        True, description="use the memory format in which convolutions are fastest"
    )
    compile: bool = Field(False, description="compile the network with torch.compile")
    augmentation: Augmentation = Field(
        Augmentation(), description="random changes of image and map together"
    )


class LossSpec(Parameters):
    """A loss with all its options."""

    name: str = Field(description="module in cyborg/losses")
    options: dict[str, JsonValue] = Field(description="options of the loss")


class PreparationStep(Parameters):
    """A step before the training, with all its options."""

    name: str = Field(description="module in cyborg/training/preparations")
    options: dict[str, JsonValue] = Field(description="options of the preparation")
    parent: str | None = Field(
        description="folder under runs/ of the cell that the step starts from; null is none"
    )


class TrainSpec(GuidedSpec):
    """The specification of a cell that trains a classifier."""

    kind: Literal["train"] = "train"
    training_set: str = Field(description="key of `data.training_sets`")
    loss: LossSpec = Field(description="what is minimised")
    training: Training = Field(description="how it is minimised")
    prepare: tuple[PreparationStep, ...] = Field(
        description="what happens before the training, in this order"
    )
