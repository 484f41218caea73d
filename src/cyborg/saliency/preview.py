"""A contact sheet to look at: image, saliency map, and the map laid over the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from cyborg.common.decode import convert_to_rgb, open_image, turn_upright
from cyborg.saliency.pictures import open_picture

TILE, GAP, TEXT = 200, 6, 14
# More rows are no longer looked at; they are picked evenly over all images.
ROWS = 30


def contact_sheet(rows: list[tuple[str, Path | None, Path]]) -> Image.Image:
    """Draw (name, image file or None, map file) as rows of three tiles, two rows side by side."""
    picked = [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, ROWS).round().astype(int))]
    columns = 1 if len(picked) == 1 else 2
    lines = -(-len(picked) // columns)
    width, height = 3 * TILE + 4 * GAP, TILE + TEXT + 2 * GAP
    sheet = Image.new("RGB", (columns * width, lines * height), (24, 24, 24))
    pen = ImageDraw.Draw(sheet)
    for number, (name, file, map_file) in enumerate(picked):
        left = (number % columns) * width + GAP
        top = (number // columns) * height + GAP
        # The built-in font knows Latin letters only.
        label = name[-90:].encode("ascii", "replace").decode()
        pen.text((left, top), label, fill=(220, 220, 220))
        for place, tile in enumerate(_tiles(file, map_file)):
            sheet.paste(tile, (left + place * (TILE + GAP), top + TEXT))
    return sheet


def _tiles(file: Path | None, map_file: Path) -> list[Image.Image]:
    with open_image(map_file, ("PNG",)) as picture:
        grey = picture.convert("L")
    grey.thumbnail((TILE, TILE))
    if file:
        with open_picture(file) as picture:
            image = convert_to_rgb(turn_upright(picture)).resize(grey.size)
    else:
        image = Image.new("RGB", grey.size, (60, 60, 60))
    return [image, grey.convert("RGB"), overlay(image, grey)]


def overlay(image: Image.Image, grey: Image.Image) -> Image.Image:
    """The image, darkened and without colour, with the map as red glow; both of one size."""
    strength = np.asarray(grey, dtype=np.float32)[..., None] / 255
    base = np.asarray(image.convert("L").convert("RGB"), dtype=np.float32)
    red = np.array([255.0, 40.0, 20.0], dtype=np.float32)
    mixed = base * (1 - 0.55 * strength) + red * (0.55 * strength)
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))
