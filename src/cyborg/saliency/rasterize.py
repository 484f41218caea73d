"""The rasterize stage: annotations of all sources in use become one saliency map per image.

Reads   data/sources.csv, the annotation files it names, data/images.parquet.
Writes  data/saliency/<map set>/<source>/… and data/saliency/index.parquet (docs/formats.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from cyborg.catalogue.sources import Source, find_used_sources
from cyborg.common.errors import UserError, UserErrors
from cyborg.common.files import replacing_file, replacing_folder, sha256_file
from cyborg.common.registry import suggest_name
from cyborg.common.workers import map_in_processes
from cyborg.config.experiment import Experiment
from cyborg.config.saliency import Maps
from cyborg.saliency.aggregate import render
from cyborg.saliency.annotation import Annotation
from cyborg.saliency.assign import assign, by_file, indexed

OUT = Path("data/saliency")
SCHEMA = pa.schema(
    [("maps", pa.string()), ("image", pa.string()), ("file", pa.string()), ("sha256", pa.string())]
    + [(name, pa.int64()) for name in ("width", "height", "annotators", "regions")]
    + [("area", pa.float64())]
)


@dataclass(frozen=True)
class Job:
    """One image of one map set: what is drawn, and the file that is written."""

    name: str
    image: str
    size: tuple[int, int]
    annotations: tuple[Annotation, ...]
    maps: Maps
    where: str
    place: Path
    file: Path


def rasterize(experiment: Experiment, root: Path = Path(), workers: int | None = None) -> None:
    """Write the maps of every map set, and their index; replaces earlier ones as a whole.

    workers: processes; None is one per processor that this process may use. The result does not
    depend on it. Raises UserError naming file, image and region for whatever does not fit; then
    earlier maps are untouched.
    """
    sources = find_used_sources(experiment, root)
    images = indexed(root)
    target = root / OUT
    with replacing_folder(target) as part:
        rows: list[dict[str, Any]] = []
        for name, maps in sorted(experiment.saliency.items()):
            jobs = _jobs(name, maps, sources, images, root, part)
            rows += _run(name, jobs, workers)
        rows.sort(key=lambda row: (row["maps"], row["image"]))
        with replacing_file(part / "index.parquet") as temporary:
            pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), temporary)


def _jobs(
    name: str,
    maps: Maps,
    sources: dict[str, Source],
    images: list[dict[str, Any]],
    root: Path,
    part: Path,
) -> list[Job]:
    """What there is to draw for one map set, by image."""
    annotated = [s for _, s in sorted(sources.items()) if getattr(s, maps.column)]
    if not annotated:
        raise UserError(
            f"no source in use has anything in the column `{maps.column}`",
            where=f"saliency.{name}",
            hint="fill it in the catalogue (data.catalogue), or leave out the map set",
        )
    jobs: list[Job] = []
    labels: set[str] = set()
    for file, members in by_file(annotated, maps.column).items():
        found = assign(root / file, members, images, name, maps, root)
        labels |= found.labels
        for row, said in found.images:
            inside = PurePosixPath(row["image"]).relative_to(row["source"])
            picture = OUT / name / row["source"] / inside.with_suffix(".png")
            place = part / picture.relative_to(OUT)
            size = (row["width"], row["height"])
            where = str(root / file)
            jobs.append(Job(name, row["image"], size, tuple(said), maps, where, place, picture))
    _distinct(jobs)
    _known(name, maps, labels)
    return jobs


def _distinct(jobs: Iterable[Job]) -> None:
    """Two images whose names differ in the extension only would share a map."""
    seen: dict[Path, str] = {}
    for job in jobs:
        other = seen.setdefault(job.file, job.image)
        if other != job.image:
            raise UserError(
                f"`{other}` and `{job.image}` would have the same map {job.file}",
                where=job.where,
                hint="rename one of the two images",
            )


def _known(name: str, maps: Maps, labels: set[str]) -> None:
    """Categories of the recipe that occur nowhere are misspelt."""
    found = [
        UserError(
            f"`{label}` is no category of the annotations",
            where=f"saliency.{name}.{key}",
            hint=suggest_name(label, sorted(labels)),
        )
        for key, wanted in (("labels", maps.labels or []), ("weights", maps.weights))
        for label in wanted
        if label not in labels
    ]
    if found:
        raise UserErrors(found)


def _run(name: str, jobs: list[Job], workers: int | None) -> list[dict[str, Any]]:
    """Draw in parallel; rows of the index, without images in which nothing was marked."""
    rows = map_in_processes(draw, jobs, f"maps {name}", workers)
    marked = [row for row in rows if row is not None]
    if not marked:
        raise UserError(
            "leaves no image with anything marked",
            where=f"saliency.{name}",
            hint="look at labels, granularity, line_width, votes and only_correct",
        )
    return marked


def draw(job: Job) -> dict[str, Any] | None:
    """Write one map; its row of the index, or None where nothing is marked."""
    done = render(list(job.annotations), job.size, job.maps, job.where)
    if not done.map.any():
        return None
    job.place.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(done.map).save(job.place, format="PNG")
    return {
        "maps": job.name,
        "image": job.image,
        "file": job.file.as_posix(),
        "sha256": sha256_file(job.place),
        "width": job.size[0],
        "height": job.size[1],
        "annotators": done.annotators,
        "regions": done.regions,
        "area": float((done.map > 0).mean()),
    }
