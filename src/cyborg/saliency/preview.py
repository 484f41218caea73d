"""Draw a contact sheet: image, saliency map, and the map laid over the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from cyborg.common.decode import convert_to_rgb, open_image, turn_upright
from cyborg.saliency.pictures import open_picture

# Side of a tile, gap between tiles, and height of a line of text, pixels.
TILE, GAP, TEXT = 200, 6, 14
# Nobody looks at more rows. They are picked evenly over all images.
ROWS = 30
BACKGROUND, NO_IMAGE, TEXT_COLOUR = (24, 24, 24), (60, 60, 60), (220, 220, 220)


def draw_contact_sheet(rows: list[tuple[str, Path | None, Path]]) -> Image.Image:
    """Draw (name, image file or None, map file) as rows of three tiles, two rows side by side."""
    picked = [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, ROWS).round().astype(int))]
    columns = 1 if len(picked) == 1 else 2
    lines = -(-len(picked) // columns)
    width, height = 3 * TILE + 4 * GAP, TILE + TEXT + 2 * GAP
    sheet = Image.new("RGB", (columns * width, lines * height), BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    for number, (name, file, map_file) in enumerate(picked):
        left = (number % columns) * width + GAP
        top = (number // columns) * height + GAP
        # The built-in font knows Latin letters only.
        label = name[-90:].encode("ascii", "replace").decode()
        pen.text((left, top), label, fill=TEXT_COLOUR)
        for place, tile in enumerate(_draw_tiles(file, map_file)):
            sheet.paste(tile, (left + place * (TILE + GAP), top + TEXT))
    return sheet


def _draw_tiles(file: Path | None, map_file: Path) -> list[Image.Image]:
    with open_image(map_file, ("PNG",)) as picture:
        grey = picture.convert("L")
    grey.thumbnail((TILE, TILE))
    if file:
        with open_picture(file) as picture:
            image = convert_to_rgb(turn_upright(picture)).resize(grey.size)
    else:
        image = Image.new("RGB", grey.size, NO_IMAGE)
    return [image, grey.convert("RGB"), overlay_map(image, grey)]


def overlay_map(image: Image.Image, grey: Image.Image) -> Image.Image:
    """Return the image, darkened and without colour, with the map as red glow. Sizes are equal."""
    strength = np.asarray(grey, dtype=np.float32)[..., None] / 255
    base = np.asarray(image.convert("L").convert("RGB"), dtype=np.float32)
    red = np.array([255.0, 40.0, 20.0], dtype=np.float32)
    mixed = base * (1 - 0.55 * strength) + red * (0.55 * strength)
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))
