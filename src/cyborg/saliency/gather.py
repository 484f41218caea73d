"""Annotations by image, outside of a project: for the commands `saliency` and `agreement`."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from cyborg.common.errors import UserError
from cyborg.common.files import sha256_file
from cyborg.config.saliency import Maps
from cyborg.saliency.annotation import Annotation
from cyborg.saliency.fit import fit
from cyborg.saliency.formats import _limits
from cyborg.saliency.match import ImageMatcher, list_images, make_candidates
from cyborg.saliency.names import make_file_stem
from cyborg.saliency.pictures import read_displayed_size
from cyborg.saliency.read import read_annotations


@dataclass(frozen=True)
class Annotated:
    """One image: its name as stated, its file if known, (width, height), what was said of it."""

    name: str
    file: Path | None
    size: tuple[int, int]
    annotations: tuple[Annotation, ...]

    @property
    def stem(self) -> str:
        """File name without extension: of the image's file, or else of the stated name."""
        return self.file.stem if self.file else make_file_stem(self.name)


def gather(path: Path, images: Path | None, format: str, maps: Maps) -> list[Annotated]:
    """All images that an annotation file or folder names, sorted by name, checked for size.

    images: folder of the images. An image that is not there is taken at its stated size; one
    whose size is not stated either is left out, with a note on stderr. Raises UserError where
    nothing is left, where two names mean one image, and as `fit` and the readers do.
    """
    grouped: dict[str, list[Annotation]] = {}
    for annotation in read_annotations(path, format, images):
        grouped.setdefault(_limits.name(annotation.image, str(path)), []).append(annotation)
    if not grouped:
        raise UserError("names no image", where=path)
    if maps.only_correct and not any(a.correct is not None for g in grouped.values() for a in g):
        raise UserError(
            "does not say whose decisions were right", where=path, hint="leave out only_correct"
        )
    files = _files(images, list(grouped), path) if images else {}
    found: list[Annotated] = []
    unsized: list[str] = []
    absent: list[str] = []
    for name, said in sorted(grouped.items()):
        file = files.get(name)
        if file is None and images is not None:
            absent.append(name)
        size = read_displayed_size(file) if file else _stated(said)
        if size is None:
            unsized.append(name)
            continue
        _limits.size(*size, f"{path}: {name}")
        fitted = tuple(fit(annotation, size, maps, str(path)) for annotation in said)
        found.append(Annotated(name, file, size, fitted))
    if not found:
        raise UserError(
            f"does not state the size of its images (the first is `{unsized[0]}`)"
            + (f", and none of them is in {images}" if images else ""),
            where=path,
            hint="give the folder of the images with --images",
        )
    missing = f"not in {images}" if images else "not given (--images)"
    _note(unsized, f"left out: the size is not stated and the image is {missing}")
    _note([name for name in absent if name not in unsized], f"{missing}: the stated size is used")
    return found


def _note(names: list[str], what: str) -> None:
    if names:
        print(f"note: {len(names)} images {what} (the first is `{names[0]}`)", file=sys.stderr)


def _files(images: Path, names: list[str], where: Path) -> dict[str, Path]:
    """The images that the names mean."""
    files = list_images(images)
    checksums = {}
    if any(re.fullmatch(r"[0-9a-f]{64}", name) for name in names):
        checksums = {sha256_file(file): inside for inside, file in files.items()}
    matcher = ImageMatcher(make_candidates(images, files), checksums)
    found = matcher.find_all(names, str(where))
    return {name: files[inside] for name, inside in found.items()}


def _stated(said: list[Annotation]) -> tuple[int, int] | None:
    return next((annotation.size for annotation in said if annotation.size is not None), None)
