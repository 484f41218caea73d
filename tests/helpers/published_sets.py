"""Tiny fakes of published data sets, laid out as their catalogue rows say."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from cyborg.catalogue.sources import Source

# Side of the pictures, pixels.
SIDE = 48


def draw_picture(name: str, fake: bool) -> Image.Image:
    """Return a picture that looks like no other, with a checked patch if it is fake."""
    rng = np.random.default_rng(list(name.encode()))
    coarse = Image.fromarray(rng.integers(30, 225, (8, 8, 3)).astype(np.uint8))
    pixels = np.array(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    if fake:
        pixels[8:24:2, 8:24] = 255
    return Image.fromarray(pixels)


def encode_picture(name: str, fake: bool) -> bytes:
    """Return the bytes of a picture, encoded as the ending of its name says."""
    buffer = BytesIO()
    draw_picture(name, fake).save(buffer, "JPEG" if name.endswith((".jpg", ".jpeg")) else "PNG")
    return buffer.getvalue()


def save_picture(path: Path, fake: bool) -> None:
    """Write a picture whose looks depend on the last three parts of its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_picture("/".join(path.parts[-3:]), fake))


def draw_source(
    source: Source, root: Path, count: int = 8, ending: str = "png", first: str = "bona_fide"
) -> None:
    """Draw one source where its row of the catalogue says: a folder, a list or an archive.

    A list is divided into `train` and `val`, or is all `test` if the source is. Archives become
    zip files in data/raw, to which several sources may add their folders. first: the class of
    real images.
    """
    if source.store:
        _add_to_archive(source, root, count, ending, first)
    elif source.list:
        rows = []
        for n in range(2 * count):
            label, split = ("Real", "Synthetic")[n % 2], ("train", "val")[n // 2 % 4 == 3]
            split = "test" if source.role == "test" else split
            inside = f"part_{n % 3}/{label.lower()}_{n:05d}.{ending}"
            save_picture(root / source.path / inside, label == "Synthetic")
            rows.append((split, label, f"/{inside}"))
        write_list(root / source.list, rows)
    else:
        for n in range(count):
            save_picture(root / source.path / f"{n:05d}.{ending}", source.label != first)


def write_list(path: Path, rows: Sequence[tuple[str, str, str]]) -> None:
    """Write a list in the published layout, with the line ends of its authors: CRLF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as handle:
        csv.writer(handle, lineterminator="\r\n").writerows(rows)


def write_catalogue(original: Path, target: Path, changes: Mapping[str, Mapping[str, str]]) -> None:
    """Copy the catalogue without the numbers of images, which the fakes do not have.

    changes: new cells by row and column.
    """
    table = pd.read_csv(original, dtype=str, keep_default_na=False).set_index("name", drop=False)
    table.loc[table["access"] != "phantom", "count"] = ""
    for name, cells in changes.items():
        for column, text in cells.items():
            table.loc[name, column] = text
    target.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(target, index=False)


def draw_paper(root: Path) -> None:
    """Draw the collection of the paper: folders, lists, heat maps, two real and six fake tests.

    Real training images are JPEG and PNG, fakes as well. Heat maps and masks have the names of
    their images and are PNG. The list `large_dataset_7x` has all images of the list `original`
    that are trained on, and further ones. The part `test` of a list is in the folder `val`.
    """
    top = root / "data/raw/und_cyborg"
    original, more = [], []
    for n in range(12):
        for label in ("Real", "Synthetic"):
            name = f"{label.lower()}_{n:03d}.{'png' if n % 2 else 'jpg'}"
            original.append(("train", label, f"/train/{label}/{name}"))
            more.append(("train", label, f"/train_7x/{label}/{name}"))
            original.append(("test", label, f"/val/{label}/{name}"))
    trained = [row for row in original if row[0] == "train"]
    for _, label, path in (*original, *more):
        save_picture(top / path[1:], label == "Synthetic")
    for _, _, path in trained:
        for k, folder in enumerate(("heatmaps", "segmentation")):
            human = np.zeros((SIDE, SIDE), np.uint8)
            human[8 : 24 + 8 * k, 8:24] = 255
            target = top / "train" / folder / Path(path).with_suffix(".png").name
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(human).save(target)
    write_list(top / "csvs/original.csv", original)
    write_list(top / "csvs/large_dataset_7x.csv", [*trained, *more])


def _add_to_archive(source: Source, root: Path, count: int, ending: str, first: str) -> None:
    inside = Path(source.path).relative_to(f"data/fetched/{source.store}")
    archive = root / f"data/raw/{source.store}.zip"
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "a") as packed:
        for n in range(count):
            name = (inside / f"{source.name}_{n:05d}.{ending}").as_posix()
            packed.writestr(name, encode_picture(name, source.label != first))
