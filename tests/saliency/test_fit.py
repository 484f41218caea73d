"""Annotations made on another size, or that leave their image."""

from __future__ import annotations

import numpy as np
import pytest

from cyborg.common.errors import UserError
from cyborg.config.saliency import MapRecipe
from cyborg.saliency.annotation import Annotation, Region, Shape
from cyborg.saliency.fit import fit_annotation


def test_fit_scales_and_refuses() -> None:
    drawn = Annotation(
        "a.jpg",
        (8, 6),
        (Region((Shape("ellipse", ((4.0, 3.0), (2.0, 1.0)), rotation=30, width=1.0),)),),
        fixations=np.array([[4.0, 3.0, 0.2]]),
    )
    twice = fit_annotation(drawn, (16, 12), MapRecipe(on_size="scale"), "f")
    shape = twice.regions[0].shapes[0]
    assert shape.points == ((8.0, 6.0), (4.0, 2.0))
    assert (shape.rotation, shape.width) == (30, 2.0)
    assert twice.fixations is not None
    assert twice.fixations.tolist() == [[8.0, 6.0, 0.2]]
    with pytest.raises(UserError, match="made on 8 x 6 pixels, the image has 16 x 12"):
        fit_annotation(drawn, (16, 12), MapRecipe(), "f")
    with pytest.raises(UserError, match="made on 8 x 6") as error:
        fit_annotation(drawn, (6, 8), MapRecipe(on_size="scale"), "f")
    assert "EXIF" in str(error.value.hint)
    with pytest.raises(UserError, match="made on 8 x 6"):
        fit_annotation(drawn, (16, 14), MapRecipe(on_size="scale"), "f")
