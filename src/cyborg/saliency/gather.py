"""Gather annotations by image outside of a project, for the commands `saliency` and `agreement`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from cyborg.common.errors import UserError
from cyborg.common.files import sha256_file
from cyborg.config.saliency import MapRecipe
from cyborg.saliency.annotated import (
    AnnotatedImage,
    fit_annotations,
    read_by_name,
    require_judgements,
)
from cyborg.saliency.annotation import Annotation
from cyborg.saliency.formats import _limits
from cyborg.saliency.left_out import report_left_out
from cyborg.saliency.match import ImageMatcher, list_images, make_candidates
from cyborg.saliency.pictures import read_displayed_size
from cyborg.saliency.positions import check_gaze


def gather_images(
    path: Path, images: Path | None, format: str, recipe: MapRecipe
) -> list[AnnotatedImage]:
    """Return all images that an annotation file or folder names, sorted, checked for size.

    images: folder of the images. An image that is not there has its stated size. If its size is
    not stated either, it is left out, with a note on stderr. Raises UserError if nothing is left,
    if two names mean one image, and as `fit_annotation` and the readers do.
    """
    by_name = read_by_name(path, format, images)
    if not by_name:
        raise UserError("names no image", location=path)
    everything = (one for marks in by_name.values() for one in marks)
    require_judgements(everything, recipe, path, hint="leave out only_correct")
    files = _find_files(images, list(by_name), path) if images else {}
    sized: list[tuple[str, Path | None, tuple[int, int]]] = []
    unsized: list[str] = []
    absent: list[str] = []
    for name, marks in sorted(by_name.items()):
        file = files.get(name)
        if file is None and images is not None:
            absent.append(name)
        size = read_displayed_size(file) if file else _find_stated_size(marks)
        if size is None:
            unsized.append(name)
            continue
        _limits.check_size(*size, f"{path}: {name}")
        sized.append((name, file, size))
    check_gaze(((one, size) for name, _, size in sized for one in by_name[name]), recipe, path)
    found = [
        AnnotatedImage(name, file, size, fit_annotations(by_name[name], size, recipe, path))
        for name, file, size in sized
    ]
    if not found:
        raise UserError(
            f"does not state the size of its images (the first is `{unsized[0]}`)"
            + (f", and none of them is in {images}" if images else ""),
            location=path,
            hint="give the folder of the images with --images",
        )
    missing = f"not in {images}" if images else "not given (--images)"
    _print_note(unsized, f"left out: the size is not stated and the image is {missing}")
    _print_note(
        [name for name in absent if name not in unsized], f"{missing}: the stated size is used"
    )
    report_left_out((one for image in found for one in image.annotations), path, recipe.strict)
    return found


def _print_note(names: list[str], text: str) -> None:
    if names:
        print(f"note: {len(names)} images {text} (the first is `{names[0]}`)", file=sys.stderr)


def _find_files(images: Path, names: list[str], path: Path) -> dict[str, Path]:
    """Return the files in a folder of images that the names in an annotation file mean."""
    files = list_images(images)
    checksums: dict[str, str] = {}
    if any(re.fullmatch(r"[0-9a-f]{64}", name) for name in names):
        checksums = {sha256_file(file): inside for inside, file in files.items()}
    matcher = ImageMatcher(make_candidates(images, files), checksums)
    return {name: files[inside] for name, inside in matcher.match_names(names, str(path)).items()}


def _find_stated_size(annotations: list[Annotation]) -> tuple[int, int] | None:
    return next((one.size for one in annotations if one.size is not None), None)
