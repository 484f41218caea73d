"""Annotations of the sources in use, assigned to the images of data/images.parquet."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cyborg.catalogue.sources import Source
from cyborg.common.errors import UserError
from cyborg.config.saliency import Maps
from cyborg.saliency.annotation import Annotation
from cyborg.saliency.fit import fit
from cyborg.saliency.match import Candidate, ImageMatcher
from cyborg.saliency.read import read_annotations

COLUMNS = ("image", "source", "label", "file", "sha256", "width", "height", "problem")


@dataclass(frozen=True)
class Assigned:
    """Row of images.parquet and annotations of each image, sorted; categories that occur."""

    images: list[tuple[dict[str, Any], list[Annotation]]]
    labels: set[str]


def indexed(root: Path) -> list[dict[str, Any]]:
    """Rows of data/images.parquet; UserError where it is missing or broken."""
    path = root / "data" / "images.parquet"
    try:
        rows: list[dict[str, Any]] = pq.read_table(path, columns=list(COLUMNS)).to_pylist()
    except FileNotFoundError:
        raise UserError(
            "there is no such file", where=path, hint="run `cyborg download` first"
        ) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"cannot be read: {error}", where=path, hint="run `cyborg download` again"
        ) from error
    return rows


def by_file(sources: Iterable[Source], column: str) -> dict[str, list[Source]]:
    """Sources by the annotation file or folder that they name; several may share one."""
    found: dict[str, list[Source]] = {}
    for source in sources:
        found.setdefault(getattr(source, column), []).append(source)
    return dict(sorted(found.items()))


def assign(
    path: Path,
    sources: list[Source],
    images: list[dict[str, Any]],
    name: str,
    maps: Maps,
    root: Path,
) -> Assigned:
    """What an annotation file says of the images of its sources, checked against their sizes.

    Names that mean no image are counted on stderr. Raises UserError where one of the sources has
    no image in the file, where a name means several images or two names one, and as `fit` does.
    """
    rows = {
        row["image"]: row for source in sources for row in images if row["source"] == source.name
    }
    folder = Path(os.path.commonpath([root / source.path for source in sources]))
    if not path.exists():
        raise UserError(
            f"there is no `{path}`",
            where=f"{sources[0].where}: {maps.column}",
            hint=f"put the annotations of `{sources[0].name}` there, or leave the column empty",
        )
    said: dict[str, list[Annotation]] = {}
    for annotation in read_annotations(path, maps.format, images=folder):
        said.setdefault(annotation.image, []).append(annotation)
    candidates = [
        Candidate(image, image.removeprefix(f"{row['source']}/"), row["file"])
        for image, row in rows.items()
    ]
    checksums = {row["sha256"]: image for image, row in rows.items()}
    meant = ImageMatcher(candidates, checksums).find_all(said, str(path))
    strangers = sorted(said.keys() - meant.keys())
    _met(path, sources, {rows[image]["source"] for image in meant.values()}, strangers)
    found = []
    for stated, image in sorted(meant.items(), key=lambda pair: pair[1]):
        row = rows[image]
        if not row["problem"]:  # else the check stage reports it; it has no size to hold against
            size = (row["width"], row["height"])
            fitted = [fit(annotation, size, maps, str(path)) for annotation in said[stated]]
            found.append((row, [_judged(annotation, row["label"]) for annotation in fitted]))
    if maps.only_correct and all(a.correct is None for _, one in found for a in one):
        raise UserError(
            "does not say whose decisions were right",
            where=path,
            hint=f"set `saliency.{name}.only_correct: false`",
        )
    labels = {
        region.label or shape.label
        for annotations in said.values()
        for annotation in annotations
        for region in annotation.regions
        for shape in region.shapes
    }
    return Assigned(found, labels)


def _met(path: Path, sources: list[Source], met: set[str], strangers: list[str]) -> None:
    """Every source must have an image in the file that it names; the rest is a note."""
    for source in sources:
        if source.name not in met:
            count = len(strangers)
            others = f" ({count} other names, the first is `{strangers[0]}`)" if count else ""
            raise UserError(
                f"names no image of `{source.name}`{others}",
                where=path,
                hint=f"names are compared with the paths inside {source.path}; leave the column "
                "empty if the file has no marks for this source",
            )
    if strangers:
        names = ", ".join(source.name for source in sources)
        print(
            f"note: {path}: {len(strangers)} images are not in {names} "
            f"(the first is `{strangers[0]}`)",
            file=sys.stderr,
        )


def _judged(annotation: Annotation, label: str) -> Annotation:
    """With `correct` filled in where the annotator's decision is known."""
    if annotation.correct is None and annotation.decision:
        return replace(annotation, correct=annotation.decision.casefold() == label.casefold())
    return annotation
