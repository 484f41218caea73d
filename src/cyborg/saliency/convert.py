"""Convert any annotation export to saliency maps, for the command `cyborg saliency`."""

from __future__ import annotations

import csv
import io
import os
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from cyborg.common.errors import UserError
from cyborg.common.files import describe_write_error, write_text
from cyborg.config.saliency import MapRecipe
from cyborg.saliency.annotated import AnnotatedImage
from cyborg.saliency.draw import MapJob, draw_maps
from cyborg.saliency.gather import gather_images
from cyborg.saliency.names import join_folders
from cyborg.saliency.preview import draw_contact_sheet

SUMMARY, PREVIEW = "summary.csv", "preview.jpg"


@dataclass(frozen=True)
class SummaryRow:
    """A row of summary.csv.

    area: pixels that any annotator marked. left_out: parts that no map can show.
    """

    image: str
    width: int
    height: int
    annotators: int
    regions: int
    area: int
    left_out: int


def convert_annotations(
    input: Path,
    images: Path | None,
    out: Path,
    format: str = "auto",
    recipe: MapRecipe | None = None,
    preview: bool = False,
) -> list[SummaryRow]:
    """Write OUT/<image stem>.png for every image that `input` names, and OUT/summary.csv.

    Maps are uint8 of the image's size, 0..255, and black if nothing was marked. Images with equal
    stems are told apart by their whole names (`a/1.jpg` becomes `a_1.jpg.png`), with a note.
    preview: also write OUT/preview.jpg. Files are written complete or not at all, and nowhere
    else than in OUT. A file in OUT is replaced only if OUT/summary.csv says that it is a map of an
    earlier call. Raises UserError if another file is in its place, and as the readers,
    `gather_images` and `render_map` do.
    """
    recipe = (recipe or MapRecipe()).model_copy(update={"format": format})
    pictures = gather_images(input, images, format, recipe)
    names = choose_file_names(pictures, input)
    _refuse_others_files(out, [*names, SUMMARY, *([PREVIEW] if preview else [])])
    try:
        out.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part.", dir=out))
    except OSError as error:
        raise describe_write_error(out, error) from error
    try:
        jobs = [
            MapJob(picture, recipe, str(input), part / name, skip_empty=False)
            for picture, name in zip(pictures, names, strict=True)
        ]
        done = draw_maps(jobs, "maps")
        rows = [
            SummaryRow(
                picture.name,
                *picture.size,
                one.annotators,
                one.regions,
                one.marked,
                sum(len(mark.left_out) for mark in picture.annotations),
            )
            for picture, one in zip(pictures, done, strict=True)
        ]
        for name in names:
            (part / name).replace(out / name)
        write_text(out / SUMMARY, _format_csv(rows))
        if preview:
            sheet = draw_contact_sheet(
                [(p.name, p.file, out / n) for p, n in zip(pictures, names, strict=True)]
            )
            sheet.save(part / PREVIEW, quality=90)
            (part / PREVIEW).replace(out / PREVIEW)
    except OSError as error:
        raise describe_write_error(out, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return rows


def choose_file_names(pictures: list[AnnotatedImage], location: Path) -> list[str]:
    """Return different file names of the maps: the stems, or whole names if stems are equal.

    Raises UserError, naming `location`, if two whole names are equal as well.
    """
    stems = [picture.stem for picture in pictures]
    # Some file systems do not tell upper from lower case.
    often = Counter(stem.casefold() for stem in stems)
    clashing = [p.name for p, s in zip(pictures, stems, strict=True) if often[s.casefold()] > 1]
    if clashing:
        print(
            f"note: {len(clashing)} images share their stem with another. Their maps are "
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
            location=location,
            hint="rename one of them",
        )
    return names


def _refuse_others_files(out: Path, names: list[str]) -> None:
    """Raise UserError if writing `names` into OUT would replace a file that is not of this command.

    The summary of an earlier call lists the images whose maps are in OUT.
    """
    listed: set[str] = set()
    try:
        with open(out / SUMMARY, encoding="utf-8", newline="") as handle:
            table = csv.DictReader(handle)
            if table.fieldnames == [field.name for field in fields(SummaryRow)]:
                images = [row["image"] for row in table]
                listed = {SUMMARY, PREVIEW, *(f"{Path(image).stem}.png" for image in images)}
                listed |= {f"{join_folders(image)}.png" for image in images}
    except (OSError, UnicodeDecodeError, csv.Error):
        pass  # no summary, or not one of ours
    for name in names:
        if name not in listed and os.path.lexists(out / name):
            raise UserError(
                f"contains `{name}`, which this command did not write",
                location=out,
                hint="choose a new or an empty folder as --out",
            )


def _format_csv(rows: list[SummaryRow]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(SummaryRow)])
    writer.writerows(astuple(row) for row in rows)
    return text.getvalue()
