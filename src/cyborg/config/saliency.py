"""Define the parameters below `saliency`: map sets, each a recipe from annotations to maps."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from cyborg.common.schema import Parameters


class GazeRecipe(Parameters):
    """How recorded gaze becomes a map. It matters only if annotations hold gaze."""

    sigma: float = Field(1.0, gt=0, description="standard deviation of the Gaussian per fixation")
    unit: Literal["degrees", "pixels"] = Field(
        "degrees", description="unit of sigma, dispersion and velocity"
    )
    pixels_per_degree: float | None = Field(
        None,
        gt=0,
        description="pixels per degree of visual angle. Null takes the longer side of the image as "
        "30 degrees, as in free viewing on a desktop screen",
    )
    weight: Literal["duration", "count"] = Field(
        "count", description="height of each fixation: its duration, or one"
    )
    minimum: float = Field(
        0.0, ge=0, description="fixations shorter than this many seconds are left out"
    )
    drop_first: int = Field(
        0,
        ge=0,
        description="fixations left out at the start (the first is where gaze was before)",
    )
    only_first: int | None = Field(
        None, ge=1, description="keep only this many fixations (the initial phase). Null keeps all"
    )
    detection: Literal["ivt", "idt"] = Field(
        "ivt", description="how fixations are found in raw samples: by velocity or by dispersion"
    )
    velocity: float = Field(
        30.0,
        gt=0,
        description="ivt: samples slower than this are part of a fixation, units/second",
    )
    dispersion: float = Field(
        1.0, gt=0, description="idt: largest width plus height of a fixation, units"
    )
    shortest: float = Field(
        0.1, ge=0, description="shortest fixation to find in raw samples, seconds"
    )
    denoise: Literal["none", "hdbscan"] = Field(
        "none", description="leave out fixations of all annotators that belong to no cluster"
    )
    cluster: int = Field(5, ge=2, description="hdbscan: smallest cluster, fixations")
    position_unit: Literal["pixels", "shares", "height"] = Field(
        "pixels",
        description="unit of recorded positions: pixels, shares of width and height (0 to 1), or "
        "the height as 1. They are those of the image, or of `screen` if it is given",
    )
    origin: Literal["top_left", "bottom_left", "centre", "centre_up"] = Field(
        "top_left",
        description="where recorded positions are zero. y grows downwards from the top left and "
        "`centre`, upwards from the bottom left and `centre_up` (PsychoPy)",
    )
    screen: tuple[PositiveInt, PositiveInt] | None = Field(
        None,
        description="width and height of the screen in pixels, if positions are those of a "
        "screen that shows the image in its middle. Null if they are those of the image",
    )
    shown: Literal["original", "fit"] = Field(
        "original",
        description="size of the image on `screen`: its own, or as large as fits",
    )


class MapRecipe(Parameters):
    """One map set: which annotations are used, and how they become one map per image."""

    column: Literal["annotations", "segmentation"] = Field(
        "annotations",
        description="column of the catalogue that names the annotation file or folder",
    )
    format: str = Field(
        "auto", description="module in cyborg/saliency/formats, or auto (recognised by content)"
    )
    aggregate: Literal["mean", "union", "intersection", "vote"] = Field(
        "mean", description="how the maps of several annotators become one"
    )
    votes: int = Field(2, ge=1, description="annotators that must agree for `aggregate: vote`")
    time_weight: Literal["none", "longer", "shorter"] = Field(
        "none",
        description="weight of an annotator in `aggregate: mean`: equal, by the time spent, or by "
        "its inverse",
    )
    only_correct: bool = Field(
        False, description="use only annotators whose decision was right (published practice)"
    )
    labels: list[str] | None = Field(None, description="categories that are used. Null uses all")
    weights: dict[str, float] = Field(
        {}, description="height of the regions of a category, 0 to 1. Others have 1"
    )
    granularity: Literal["area", "outline", "box", "hull", "fine"] = Field(
        "area",
        description="part of each region that is filled: the area as drawn, its outline, its "
        "bounding box or its convex hull. Fine is open lines and points only",
    )
    line_width: float = Field(
        0.0, ge=0, description="width of open lines, points and outlines, pixels. 0 is no area"
    )
    antialias: Literal[1, 2, 4, 8] = Field(
        1, description="samples per pixel and direction. With 1 a pixel is in or out, by its centre"
    )
    blur: float = Field(
        0.0, ge=0, description="standard deviation of a Gaussian blur, in `blur_unit`. 0 is none"
    )
    blur_unit: Literal["pixels", "marks", "image"] = Field(
        "pixels",
        description="unit of blur: pixels, the longer side of the box around all marks of the "
        "image (a measure of the face), or the image's shorter side",
    )
    threshold: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="ready maps: values up to this become zero (JPEG maps have noise), 0 to 1",
    )
    on_size: Literal["refuse", "scale", "squeeze"] = Field(
        "refuse",
        description="if annotations were made on another size of the image. Scale needs the same "
        "aspect ratio, squeeze does not (the published code squeezes)",
    )
    on_outside: Literal["refuse", "clip"] = Field(
        "refuse",
        description="if regions leave the image by more than 2 % (at least a pixel), or if more "
        "than half of the positions of gaze are off it",
    )
    strict: bool = Field(
        False,
        description="refuse files with parts that no map can show, which are otherwise left out "
        "and counted",
    )
    on_absent: Literal["refuse", "skip"] = Field(
        "refuse",
        description="if annotations name an image that is in none of the folders they are for",
    )
    gaze: GazeRecipe = Field(GazeRecipe(), description="how recorded gaze becomes a map")

    @model_validator(mode="after")
    def _check_consistency(self) -> MapRecipe:
        if self.granularity == "outline" and self.line_width == 0:
            raise ValueError("granularity `outline` needs a line_width above 0")
        if self.time_weight != "none" and self.aggregate != "mean":
            raise ValueError("time_weight needs `aggregate: mean`")
        if self.labels is not None and not self.labels:
            raise ValueError("labels is empty, so that no region would be used. Null uses all")
        for label, weight in self.weights.items():
            if not 0 <= weight <= 1:
                raise ValueError(f"weight of `{label}` must be between 0 and 1")
        return self
