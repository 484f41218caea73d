"""Any annotation export to saliency maps, by hand: the command `cyborg saliency`."""

from __future__ import annotations

import csv
import io
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cyborg.common.errors import UserError
from cyborg.common.files import describe_write_error, write_text
from cyborg.common.workers import map_in_processes
from cyborg.config.saliency import Maps
from cyborg.saliency.aggregate import render
from cyborg.saliency.gather import Annotated, gather
from cyborg.saliency.names import join_folders
from cyborg.saliency.preview import contact_sheet

COLUMNS = ("image", "width", "height", "annotators", "regions", "area")
SUMMARY, PREVIEW = "summary.csv", "preview.jpg"


@dataclass(frozen=True)
class Job:
    """One image and the file that its map is written to."""

    picture: Annotated
    place: Path
    maps: Maps
    where: str


@dataclass(frozen=True)
class Row:
    """A row of summary.csv."""

    image: str
    width: int
    height: int
    annotators: int
    regions: int
    area: int


def saliency(
    input: Path,
    images: Path | None,
    out: Path,
    format: str = "auto",
    maps: Maps | None = None,
    preview: bool = False,
) -> list[Row]:
    """Write OUT/<image stem>.png for every image that `input` names, and OUT/summary.csv.

    Maps are uint8 of the image's size, 0..255; black where nothing was marked. Images whose stems
    are equal are told apart by their whole names (`a/1.jpg` becomes `a_1.jpg.png`), with a note.
    preview: also OUT/preview.jpg. Files are written complete or not at all, and nowhere else than
    in OUT. Raises UserError as the readers, `gather` and `render` do.
    """
    maps = Maps() if maps is None else maps
    pictures = gather(input, images, format, maps)
    names = file_names(pictures, input)
    try:
        out.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part.", dir=out))
    except OSError as error:
        raise describe_write_error(out, error) from error
    try:
        jobs = [
            Job(picture, part / name, maps, str(input))
            for picture, name in zip(pictures, names, strict=True)
        ]
        rows = map_in_processes(draw, jobs, "maps")
        for name in names:
            (part / name).replace(out / name)
        write_text(out / SUMMARY, _csv(rows))
        if preview:
            sheet = contact_sheet(
                [(p.name, p.file, out / n) for p, n in zip(pictures, names, strict=True)]
            )
            sheet.save(part / PREVIEW, quality=90)
            (part / PREVIEW).replace(out / PREVIEW)
    except OSError as error:
        raise describe_write_error(out, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return rows


def file_names(pictures: list[Annotated], where: Path) -> list[str]:
    """File names of the maps: the stems, or whole names where stems are equal; all different."""
    stems = [picture.stem for picture in pictures]
    # Some file systems do not tell upper from lower case.
    often = Counter(stem.casefold() for stem in stems)
    clashing = [p.name for p, s in zip(pictures, stems, strict=True) if often[s.casefold()] > 1]
    if clashing:
        print(
            f"note: {len(clashing)} images share their stem with another; their maps are "
            f"named by the whole name (the first is `{clashing[0]}`)",
            file=sys.stderr,
        )
    names = [
        f"{stem if often[stem.casefold()] == 1 else join_folders(picture.name)}.png"
        for picture, stem in zip(pictures, stems, strict=True)
    ]
    twice = [name for name, n in Counter(name.casefold() for name in names).items() if n > 1]
    if twice:
        raise UserError(
            f"several images would be written to `{twice[0]}`",
            where=where,
            hint="rename one of them",
        )
    return names


def draw(job: Job) -> Row:
    """Write one map; its row of the summary."""
    picture = job.picture
    done = render(list(picture.annotations), picture.size, job.maps, job.where)
    Image.fromarray(done.map).save(job.place, format="PNG")
    return Row(picture.name, *picture.size, done.annotators, done.regions, done.area)


def _csv(rows: list[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([getattr(row, column) for column in COLUMNS] for row in rows)
    return text.getvalue()
