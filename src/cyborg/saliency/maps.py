"""Turn one annotation file into maps, for Python code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from cyborg.common.schema import collect_mistakes
from cyborg.config.saliency import MapRecipe
from cyborg.saliency.aggregate import render_map
from cyborg.saliency.gather import gather_images


def rasterize(
    path: str | Path, images: str | Path | None = None, *, format: str = "auto", **recipe: Any
) -> dict[str, np.ndarray]:
    """Return a saliency map for every image that an annotation file or folder names.

    path: the annotations, in any format of docs/annotations.md. images: folder of the images, for
    formats that do not state their size. format: name of the format, or `auto`. recipe: keys of a
    map set as in params.yaml, such as `granularity="box"`, `aggregate="vote"`, or `blur=5`.

    A map is uint8 [H,W] of the size of its image, 0..255, and zeros if nothing was marked. The keys
    are the names that the file states, sorted.
    Raises UserError if the file cannot be read, and for an unknown key of the recipe.
    """
    try:
        checked = MapRecipe.model_validate(recipe)
    except ValidationError as error:
        raise collect_mistakes(error, MapRecipe, "rasterize") from None
    checked = checked.model_copy(update={"format": format})
    folder = None if images is None else Path(images)
    pictures = gather_images(Path(path), folder, format, checked)
    return {
        picture.name: render_map(list(picture.annotations), picture.size, checked, str(path)).map
        for picture in pictures
    }
