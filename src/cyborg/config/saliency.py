"""`saliency`: map sets, each a recipe that turns the annotations of a source into maps."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cyborg.config.base import Parameters


class Maps(Parameters):
    """One map set: which annotations are used, how they become one map per image."""

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
    only_correct: bool = Field(
        False, description="use only annotators whose decision was right (published practice)"
    )
    granularity: Literal["area", "outline", "box", "hull", "fine"] = Field(
        "area", description="what of each region is filled"
    )
    line_width: float = Field(
        0.0, ge=0, description="width of open lines, points and outlines, pixels; 0 is no area"
    )
    blur: float = Field(0.0, ge=0, description="standard deviation of a Gaussian blur, pixels")
    labels: list[str] | None = Field(None, description="categories that are used; null is all")
