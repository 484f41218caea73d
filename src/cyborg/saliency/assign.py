"""Assign the annotations of the sources in use to the images of data/images.parquet."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

from cyborg.catalogue.sources import Source
from cyborg.common.errors import UserError
from cyborg.common.tables import IMAGE_TABLE
from cyborg.config.saliency import MapRecipe
from cyborg.saliency.annotated import (
    AnnotatedImage,
    collect_labels,
    fit_annotations,
    read_by_name,
    require_judgements,
)
from cyborg.saliency.annotation import Annotation
from cyborg.saliency.left_out import report_left_out
from cyborg.saliency.match import Candidate, ImageMatcher
from cyborg.saliency.positions import check_gaze


@dataclass(frozen=True)
class ImageRow:
    """The columns of data/images.parquet that are needed here (docs/formats.md)."""

    image: str
    source: str
    label: str
    file: str
    sha256: str
    width: int
    height: int
    problem: str


@dataclass(frozen=True)
class AssignedFile:
    """The images that one annotation file marks, sorted, and the categories that occur in it."""

    images: list[tuple[ImageRow, AnnotatedImage]]
    labels: set[str]


def read_image_rows(root: Path) -> list[ImageRow]:
    """Read data/images.parquet. Raises UserError if it is missing or broken."""
    columns = [field.name for field in fields(ImageRow)]
    table = IMAGE_TABLE.read(root, columns)
    return [ImageRow(*row) for row in zip(*(table[name].tolist() for name in columns), strict=True)]


def group_by_file(sources: Iterable[Source], column: str) -> dict[str, list[Source]]:
    """Group sources by the annotation file or folder that they name. Several may share one."""
    found: dict[str, list[Source]] = {}
    for source in sources:
        found.setdefault(getattr(source, column), []).append(source)
    return dict(sorted(found.items()))


def assign_file(
    path: Path,
    sources: list[Source],
    rows: list[ImageRow],
    map_set: str,
    recipe: MapRecipe,
    root: Path,
) -> AssignedFile:
    """Assign the annotations of one file to the images of its sources, checked for their sizes.

    Names that mean no image are counted on stderr. Raises UserError if one of the sources has no
    image in the file, if a name means several images or two names one, and as `fit_annotation`
    does.
    """
    known = {row.image: row for source in sources for row in rows if row.source == source.name}
    folder = Path(os.path.commonpath([root / source.path for source in sources]))
    if not path.exists():
        raise UserError(
            f"there is no `{path}`",
            where=f"{sources[0].where}: {recipe.column}",
            hint=f"put the annotations of `{sources[0].name}` there, or leave the column empty",
        )
    by_name = read_by_name(path, recipe.format, folder)
    candidates = [
        Candidate(image, image.removeprefix(f"{row.source}/"), row.file)
        for image, row in known.items()
    ]
    checksums = {row.sha256: image for image, row in known.items()}
    image_of = ImageMatcher(candidates, checksums).match_names(by_name, str(path))
    strangers = sorted(by_name.keys() - image_of.keys())
    _report_strangers(path, sources, {known[i].source for i in image_of.values()}, strangers)
    # The check stage reports images with a problem. They have no size to compare with.
    used = [
        (name, known[image])
        for name, image in sorted(image_of.items(), key=lambda pair: pair[1])
        if not known[image].problem
    ]
    check_gaze(
        ((one, (row.width, row.height)) for name, row in used for one in by_name[name]),
        recipe,
        path,
    )
    found = []
    for name, row in used:
        size = (row.width, row.height)
        fitted = fit_annotations(by_name[name], size, recipe, path)
        judged = tuple(_judge_decision(annotation, row.label) for annotation in fitted)
        found.append((row, AnnotatedImage(row.image, root / row.file, size, judged)))
    report_left_out((one for _, image in found for one in image.annotations), path, recipe.strict)
    require_judgements(
        (annotation for _, image in found for annotation in image.annotations),
        recipe,
        path,
        hint=f"set `saliency.{map_set}.only_correct: false`",
    )
    everything = (one for marks in by_name.values() for one in marks)
    return AssignedFile(found, collect_labels(everything))


def _report_strangers(
    path: Path, sources: list[Source], met: set[str], strangers: list[str]
) -> None:
    """Print how many names mean no image. Raises UserError if all images of a source are absent.

    met: names of the sources that have an image in the file.
    """
    for source in sources:
        if source.name not in met:
            count = len(strangers)
            others = f" ({count} other names, the first is `{strangers[0]}`)" if count else ""
            raise UserError(
                f"names no image of `{source.name}`{others}",
                where=path,
                hint=f"names are compared with the paths inside {source.path}. Leave the column "
                "empty if the file has no marks for this source",
            )
    if strangers:
        names = ", ".join(source.name for source in sources)
        print(
            f"note: {path}: {len(strangers)} images are not in {names} "
            f"(the first is `{strangers[0]}`)",
            file=sys.stderr,
        )


def _judge_decision(annotation: Annotation, label: str) -> Annotation:
    """Fill in `correct` if the annotator's decision is known."""
    if annotation.correct is None and annotation.decision:
        return replace(annotation, correct=annotation.decision.casefold() == label.casefold())
    return annotation
