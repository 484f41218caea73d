"""Bring the annotations of one image together. The pipeline and the commands share this."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cyborg.common.errors import UserError
from cyborg.config.saliency import MapRecipe
from cyborg.saliency.annotation import Annotation
from cyborg.saliency.fit import fit_annotation
from cyborg.saliency.formats import _limits
from cyborg.saliency.names import make_file_stem
from cyborg.saliency.read import read_annotations


@dataclass(frozen=True)
class AnnotatedImage:
    """One image and its annotations, which are in pixels of the image.

    name: its key in data/images.parquet, or, outside of a project, the name that the annotation
    file states. file: None if it is not known. size: (width, height) as displayed.
    """

    name: str
    file: Path | None
    size: tuple[int, int]
    annotations: tuple[Annotation, ...]

    @property
    def stem(self) -> str:
        """Return the file name without extension: of the image's file, or else of its name."""
        return self.file.stem if self.file else make_file_stem(self.name)


def read_by_name(path: Path, format: str, images: Path | None) -> dict[str, list[Annotation]]:
    """Read a file or folder of annotations and return them by the stated name of the image.

    images: the folder of the images, or None. Raises UserError for a name that no image can have,
    and as `read_annotations` does.
    """
    by_name: dict[str, list[Annotation]] = {}
    for annotation in read_annotations(path, format, images):
        by_name.setdefault(_limits.check_name(annotation.image, str(path)), []).append(annotation)
    return by_name


def fit_annotations(
    annotations: Iterable[Annotation], size: tuple[int, int], recipe: MapRecipe, path: Path
) -> tuple[Annotation, ...]:
    """Return annotations in pixels of an image of `size`. Raises UserError as `fit_annotation`."""
    return tuple(fit_annotation(one, size, recipe, str(path)) for one in annotations)


def require_judgements(
    annotations: Iterable[Annotation], recipe: MapRecipe, path: Path, hint: str
) -> None:
    """Raise UserError if the recipe uses correct decisions only, and no decision is judged."""
    if recipe.only_correct and all(one.correct is None for one in annotations):
        raise UserError("does not say whose decisions were right", location=path, hint=hint)


def collect_labels(annotations: Iterable[Annotation]) -> set[str]:
    """Return the categories that occur in annotations."""
    return {
        region.label or shape.label
        for annotation in annotations
        for region in annotation.regions
        for shape in region.shapes
    }
