"""Draw saliency maps into PNG files, several at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cyborg.common.files import sha256_file
from cyborg.common.workers import map_in_processes
from cyborg.config.saliency import MapRecipe
from cyborg.saliency.aggregate import render_map
from cyborg.saliency.annotated import AnnotatedImage


@dataclass(frozen=True)
class MapJob:
    """One map to draw.

    location: the annotation file, named in errors. target: the file to write. skip_empty: whether
    nothing is written if nothing was marked.
    """

    image: AnnotatedImage
    recipe: MapRecipe
    location: str
    target: Path
    skip_empty: bool


@dataclass(frozen=True)
class DrawnMap:
    """A map that was drawn.

    sha256: of its file, empty if none was written. annotators, regions: number that went into it.
    marked: pixels that any annotator marked. area: share of the pixels that are above zero.
    """

    sha256: str
    annotators: int
    regions: int
    marked: int
    area: float


def draw_maps(jobs: list[MapJob], description: str, workers: int | None = None) -> list[DrawnMap]:
    """Draw maps in several processes, in the order of the jobs, with a progress bar.

    workers: processes at most. None is one per processor that this process may use. The result
    does not depend on it.
    """
    return map_in_processes(draw_map, jobs, description, workers)


def draw_map(job: MapJob) -> DrawnMap:
    """Write one map."""
    done = render_map(list(job.image.annotations), job.image.size, job.recipe, job.location)
    digest = ""
    if done.map.any() or not job.skip_empty:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(done.map).save(job.target, format="PNG")
        digest = sha256_file(job.target)
    area = float((done.map > 0).mean())
    return DrawnMap(digest, done.annotators, done.regions, done.marked, area)
