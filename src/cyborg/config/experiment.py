"""Define params.yaml as a whole: one experiment, with one record per top-level key."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from cyborg.common.schema import Parameters
from cyborg.config.evaluation import Evaluation
from cyborg.config.networks import NetworkOptions
from cyborg.config.saliency import MapRecipe
from cyborg.config.training import Training

NAME = r"[a-z0-9][a-z0-9_]{0,63}"
# Snakemake takes a part of a path that is repeated more than 20 times for an endless rule.
REPEATED = r"(.+?)\1{9}"
# numpy and torch accept these seeds alike. `strict` refuses true and false.
Seed = Annotated[int, Field(strict=True, ge=0, le=2**32 - 1)]


class Data(Parameters):
    """`data`: which rows of the catalogue are trained on and which are tested on."""

    catalogue: str = Field("data/sources.csv", description="the table of all data sets")
    training_sets: dict[str, list[str]] = Field(
        description="name of a training set: its sources, which are rows of the catalogue"
    )
    test_sets: dict[str, list[str]] = Field(
        description="name of a test set: its sources, of both classes. Each has an AUC"
    )

    @model_validator(mode="after")
    def _check_sets(self) -> Data:
        for kind in ("training_sets", "test_sets"):
            for name, sources in getattr(self, kind).items():
                if not sources:
                    raise ValueError(f"{kind} `{name}` names no source")
                if len(set(sources)) < len(sources):
                    raise ValueError(f"{kind} `{name}` has a duplicate source")
        if not self.training_sets:
            raise ValueError("training_sets names no set")
        return self

    def list_sources(self) -> list[str]:
        """Return all sources that any training or test set names, sorted."""
        sets = [*self.training_sets.values(), *self.test_sets.values()]
        return sorted({source for names in sets for source in names})


class Phantom(Parameters):
    """`phantom`: how the procedural faces are drawn (sources whose access is `phantom`)."""

    size: int = Field(128, ge=32, le=1024, description="side of the drawn images, pixels")
    seed: Seed = Field(0, description="seed of every random choice of the drawing")
    annotators: int = Field(3, ge=1, le=20, description="simulated annotators per image")
    shortcut: float = Field(
        0.85, ge=0.5, le=1, description="share of synthetic training images with the shortcut cue"
    )
    strength: float = Field(1.0, gt=0, le=4, description="how visible the artefacts are")
    sites: Literal["separate", "shared"] = Field(
        "separate",
        description="where faults and cue lie: faults in the parts of the face and the cue beside "
        "them, or both at random sites of one list (parts, cheeks, forehead, hair, chin)",
    )
    extent: Literal["sites", "image"] = Field(
        "sites", description="what a fault covers: one or two sites, or the whole image"
    )
    cue: float = Field(0.06, ge=0, le=0.5, description="amplitude of the shortcut cue, grey values")
    grain_lost: float = Field(
        0.85, ge=0, le=1, description="share of the photograph's grain that is lost in a fault"
    )


class Split(Parameters):
    """`split`: which images train, which select the epoch, and which test."""

    validation: float = Field(
        0.15, ge=0, lt=1, description="share of each training source kept for validation"
    )
    test: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="share kept for testing of a source that is both trained and tested on",
    )
    seed: Seed = Field(0, description="seed of the draw. Images keep their part if sets grow")
    join_near_duplicates: bool = Field(
        True, description="images that look the same go into the same part"
    )


class Check(Parameters):
    """`check`: which findings stop the build, and which confounds are reported."""

    near_duplicate_bits: int = Field(
        8,
        ge=0,
        le=16,
        description="most differing bits, of 64, of two perceptual hashes to compare further",
    )
    near_duplicate_correlation: float = Field(
        0.95,
        gt=0,
        le=1,
        description="smallest correlation of thumbnails to call a pair the same picture",
    )
    on_near_duplicates: Literal["stop", "warn"] = Field(
        "stop",
        description="what to do if a test image looks like a training image, or if two classes "
        "show the same picture",
    )
    warn_auc: float = Field(
        0.6,
        ge=0.5,
        le=1,
        description="warn if header features or thumbnails alone predict the class with this AUC",
    )


class Pack(Parameters):
    """`pack`: how images are decoded, once, for all cells."""

    reencode: Literal["none", "jpeg"] = Field(
        "none",
        description="encode all images alike, so that no codec gives a class away",
    )
    quality: int = Field(95, ge=1, le=100, description="quality of `reencode: jpeg`")


class Architecture(NetworkOptions):
    """One row of `architectures`: a network and how it is made."""

    training: dict[str, Any] = Field({}, description="overrides of `training` for this network")


class Variant(Parameters):
    """One row of `variants`: a loss with its options, a training set and human guidance.

    Keys that are not listed here are the options of the loss, documented in its module.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    loss: str = Field(description="module in cyborg/losses")
    training_set: str | None = Field(
        None, description="one of data.training_sets. null is the first"
    )
    saliency: str | None = Field(
        None, description="one of the map sets of `saliency`. null is no human guidance"
    )
    control: str = Field(
        "none", description="wrong maps on purpose: a module in cyborg/training/controls, or none"
    )
    prepare: dict[str, dict[str, Any] | None] = Field(
        {},
        description="steps before training, in order: modules in cyborg/training/preparations "
        "with their options",
    )
    training: dict[str, Any] = Field({}, description="overrides of `training` for this variant")

    @property
    def options(self) -> dict[str, Any]:
        """Return the options of the loss as they are in the file."""
        return dict(self.model_extra or {})


class Report(Parameters):
    """`report`: how the tables are computed."""

    confidence: float = Field(0.95, gt=0.5, lt=1, description="coverage of the intervals")
    bootstrap: int = Field(2000, ge=100, description="resamples of images and seeds")
    seed: Seed = Field(0, description="seed of the resampling")
    baseline: str | None = Field(
        None, description="variant that the others are compared with. null is the first"
    )
    margin: float = Field(
        0.02,
        gt=0,
        lt=0.5,
        description="difference of AUC that does not matter. State it before you train",
    )
    power: float = Field(
        0.8, gt=0.5, lt=1, description="chance with which the smallest difference would be seen"
    )


class Experiment(Parameters):
    """An experiment: everything that decides a number in its tables."""

    name: str = Field("experiment", description="title of the report")
    classes: list[str] = Field(
        ["bona_fide", "synthetic"],
        min_length=2,
        description="labels of the catalogue, in order. The score is the probability of the last",
    )
    data: Data = Field(description="which sources are trained and tested on")
    phantom: Phantom = Field(Phantom(), description="how the procedural faces are drawn")
    saliency: dict[str, MapRecipe] = Field({}, description="map sets: name and recipe")
    split: Split = Field(Split(), description="training, validation, test")
    check: Check = Field(Check(), description="audit of the data")
    pack: Pack = Field(Pack(), description="decoding")
    architectures: dict[str, Architecture] = Field(min_length=1, description="networks")
    variants: dict[str, Variant] = Field(min_length=1, description="losses and controls")
    seeds: list[Seed] = Field(min_length=1, description="one run of each cell per seed")
    training: Training = Field(Training(), description="optimisation")
    evaluation: Evaluation = Field(Evaluation(), description="scoring")
    report: Report = Field(Report(), description="tables")
