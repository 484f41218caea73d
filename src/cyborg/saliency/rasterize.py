"""Run the rasterize stage: annotations of the sources in use become one saliency map per image.

Reads   data/sources.csv, the annotation files it names, data/images.parquet.
Writes  data/saliency/<map set>/<source>/… and data/saliency/index.parquet (docs/formats.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from cyborg.catalogue.sources import Source, find_used_sources, read_catalogue
from cyborg.common.errors import UserError, UserErrors
from cyborg.common.files import replacing_file, replacing_folder
from cyborg.common.registry import suggest_name
from cyborg.common.tables import MAP_TABLE
from cyborg.config.experiment import Experiment
from cyborg.config.saliency import MapRecipe
from cyborg.saliency.assign import ImageRow, assign_file, group_by_file, read_image_rows
from cyborg.saliency.draw import MapJob, draw_maps

FOLDER = MAP_TABLE.path.parent
ARROW_TYPES = {"str": pa.string(), "int": pa.int64(), "float": pa.float64()}


@dataclass(frozen=True)
class MapRow:
    """A row of data/saliency/index.parquet."""

    maps: str
    image: str
    file: str
    sha256: str
    width: int
    height: int
    annotators: int
    regions: int
    area: float


# Stated, because a table without rows does not tell its types.
SCHEMA = pa.schema([(field.name, ARROW_TYPES[str(field.type)]) for field in fields(MapRow)])


def rasterize(experiment: Experiment, root: Path = Path(), workers: int | None = None) -> None:
    """Write the maps of every map set, and their index. Earlier ones are replaced as a whole.

    workers: processes at most. None is one per processor that this process may use. The result
    does not depend on it. Raises UserError, naming file, image and region, for whatever does not
    fit. Earlier maps are then untouched.
    """
    sources = find_used_sources(experiment, root)
    catalogue = list(read_catalogue(root / experiment.data.catalogue).values())
    images = read_image_rows(root)
    with replacing_folder(root / FOLDER) as folder:
        rows: list[MapRow] = []
        for map_set, recipe in sorted(experiment.saliency.items()):
            jobs = _plan_map_set(map_set, recipe, sources, catalogue, images, root, folder)
            rows += _draw_map_set(map_set, jobs, folder, workers)
        rows.sort(key=lambda row: (row.maps, row.image))
        table = pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA)
        with replacing_file(folder / MAP_TABLE.path.name) as temporary:
            pq.write_table(table, temporary)


def _plan_map_set(
    map_set: str,
    recipe: MapRecipe,
    sources: dict[str, Source],
    catalogue: list[Source],
    images: list[ImageRow],
    root: Path,
    folder: Path,
) -> list[MapJob]:
    """Return the maps to draw for one map set, by image.

    catalogue: all sources, because annotations may also be for some that are not in use.
    """
    annotated = [source for _, source in sorted(sources.items()) if getattr(source, recipe.column)]
    if not annotated:
        raise UserError(
            f"no source in use has anything in the column `{recipe.column}`",
            location=f"saliency.{map_set}",
            hint="fill it in the catalogue (data.catalogue), or leave out the map set",
        )
    jobs: list[MapJob] = []
    labels: set[str] = set()
    for name, members in group_by_file(annotated, recipe.column).items():
        file = root / name
        sharing = [source for source in catalogue if getattr(source, recipe.column) == name]
        assigned = assign_file(file, members, sharing, images, map_set, recipe, root)
        labels |= assigned.labels
        for row, image in assigned.images:
            inside = PurePosixPath(row.image).relative_to(row.source).with_suffix(".png")
            target = folder / map_set / row.source / inside
            jobs.append(MapJob(image, recipe, str(file), target, skip_empty=True))
    _require_distinct_targets(jobs, folder)
    _require_known_labels(map_set, recipe, labels)
    return jobs


def _require_distinct_targets(jobs: Iterable[MapJob], folder: Path) -> None:
    """Refuse two images whose names differ in the extension only: they would share a map."""
    seen: dict[Path, str] = {}
    for job in jobs:
        other = seen.setdefault(job.target, job.image.name)
        if other != job.image.name:
            file = FOLDER / job.target.relative_to(folder)
            raise UserError(
                f"`{other}` and `{job.image.name}` would have the same map {file}",
                location=job.location,
                hint="rename one of the two images",
            )


def _require_known_labels(map_set: str, recipe: MapRecipe, labels: set[str]) -> None:
    """Refuse categories of the recipe that occur nowhere: they are misspelt."""
    found = [
        UserError(
            f"`{label}` is not a category of the annotations",
            location=f"saliency.{map_set}.{key}",
            hint=suggest_name(label, sorted(labels)),
        )
        for key, wanted in (("labels", recipe.labels or []), ("weights", recipe.weights))
        for label in wanted
        if label not in labels
    ]
    if found:
        raise UserErrors(found)


def _draw_map_set(
    map_set: str, jobs: list[MapJob], folder: Path, workers: int | None
) -> list[MapRow]:
    """Draw the maps. Return rows of the index, without images in which nothing was marked."""
    rows = [
        MapRow(
            maps=map_set,
            image=job.image.name,
            file=(FOLDER / job.target.relative_to(folder)).as_posix(),
            sha256=done.sha256,
            width=job.image.size[0],
            height=job.image.size[1],
            annotators=done.annotators,
            regions=done.regions,
            area=done.area,
        )
        for job, done in zip(jobs, draw_maps(jobs, f"maps {map_set}", workers), strict=True)
        if done.sha256
    ]
    if not rows:
        raise UserError(
            "leaves no image with anything marked",
            location=f"saliency.{map_set}",
            hint="look at labels, granularity, line_width, votes and only_correct",
        )
    return rows
