"""Assign the annotations of the sources in use to the images of data/images.parquet."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from cyborg.catalogue.members import walk_images
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

# Names of absent images that a message lists.
SHOWN = 5


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
    sharing: list[Source],
    rows: list[ImageRow],
    map_set: str,
    recipe: MapRecipe,
    root: Path,
) -> AssignedFile:
    """Assign the annotations of one file to the images of its sources, checked for their sizes.

    sharing: all sources that the annotations are for, in use or not. Two sources may have a folder
    in common, so that one image file may be several images. Each of them gets the annotations.

    Names that mean an image of these sources that is not in use are counted on stderr. Raises
    UserError if a name means no image at all (`on_absent`), if one of the sources has no image in
    the file, if a name means several image files or two names one, and as `fit_annotation` does.
    """
    if not path.exists():
        raise UserError(
            f"there is no `{path}`",
            location=f"{sources[0].location}: {recipe.column}",
            hint=f"put the annotations of `{sources[0].name}` there, or leave the column empty",
        )
    own = {source.name for source in sources}
    known: dict[str, list[ImageRow]] = {}
    for row in rows:
        if row.source in own:
            known.setdefault(row.file, []).append(row)
    common = Path(os.path.commonpath([root / source.path for source in sources]))
    by_name = read_by_name(path, recipe.format, common)
    file_of = _match_files(by_name, known, path)
    strangers = sorted(by_name.keys() - file_of.keys())
    met = {row.source for file in file_of.values() for row in known[file]}
    _require_images(path, sources, met, strangers)
    _report_strangers(path, sources, strangers, sharing, recipe, map_set, root)
    # The check stage reports images with a problem. They have no size to compare with.
    used = [(name, row) for name, file in file_of.items() for row in known[file] if not row.problem]
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
    found.sort(key=lambda pair: pair[0].image)
    report_left_out((one for _, image in found for one in image.annotations), path, recipe.strict)
    require_judgements(
        (annotation for _, image in found for annotation in image.annotations),
        recipe,
        path,
        hint=f"set `saliency.{map_set}.only_correct: false`",
    )
    everything = (one for marks in by_name.values() for one in marks)
    return AssignedFile(found, collect_labels(everything))


def _match_files(
    names: Iterable[str], known: Mapping[str, list[ImageRow]], path: Path
) -> dict[str, str]:
    """Return the image file that each name of an annotation file means, if it means one.

    known: the images of each file.
    """
    candidates = [
        Candidate(file, row.image.removeprefix(f"{row.source}/"), file)
        for file, images in known.items()
        for row in images
    ]
    checksums = {images[0].sha256: file for file, images in known.items()}
    return ImageMatcher(candidates, checksums).match_names(names, str(path))


def _require_images(path: Path, sources: list[Source], met: set[str], strangers: list[str]) -> None:
    """Raise UserError if a source has no image in the annotation file.

    met: names of the sources that have one. strangers: names that mean no image in use.
    """
    for source in sources:
        if source.name not in met:
            count = len(strangers)
            others = f" ({count} other names, the first is `{strangers[0]}`)" if count else ""
            raise UserError(
                f"names no image of `{source.name}`{others}",
                location=path,
                hint=f"names are compared with the paths inside {source.path}. Leave the column "
                "empty if the file has no marks for this source",
            )


def _report_strangers(
    path: Path,
    sources: list[Source],
    strangers: list[str],
    sharing: list[Source],
    recipe: MapRecipe,
    map_set: str,
    root: Path,
) -> None:
    """Print how many names mean no image in use. Raise UserError if they mean no image at all.

    sharing: all sources that the annotations are for. If one is not on this machine, nobody can
    tell which names mean its images.
    """
    if not strangers:
        return
    if recipe.on_absent == "refuse" and all((root / s.path).is_dir() for s in sharing):
        absent = _find_absent(path, strangers, sharing, root)
        if absent:
            shown = ", ".join(f"`{name}`" for name in absent[:SHOWN])
            raise UserError(
                f"annotated images that are not there: {len(absent)} ({shown}"
                + (" …)" if len(absent) > SHOWN else ")"),
                location=path,
                hint="correct the names or bring the images. If you left images out on purpose, "
                f"set `saliency.{map_set}.on_absent: skip`",
            )
    names = ", ".join(source.name for source in sources)
    print(
        f"note: {path}: annotated images that are not in {names}: {len(strangers)} "
        f"(the first is `{strangers[0]}`)",
        file=sys.stderr,
    )


def _find_absent(path: Path, names: list[str], sharing: list[Source], root: Path) -> list[str]:
    """Return the names that mean no image in any folder of the sources `sharing` the file."""
    candidates = [
        Candidate(inside, inside, f"{source.path}/{inside}")
        for source in sharing
        for inside in walk_images(root, source)
    ]
    matcher = ImageMatcher(candidates)
    absent = []
    for name in names:
        try:
            found = matcher.match_name(name, str(path))
        except UserError:  # it means several images, so it means one
            continue
        if found is None:
            absent.append(name)
    return absent


def _judge_decision(annotation: Annotation, label: str) -> Annotation:
    """Fill in `correct` if the annotator's decision is known."""
    if annotation.correct is None and annotation.decision:
        return replace(annotation, correct=annotation.decision.casefold() == label.casefold())
    return annotation
