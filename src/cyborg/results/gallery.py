"""Draw the gallery: test images, their human maps, and the CAM of each variant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from cyborg.common.errors import UserError
from cyborg.results.cells import Cell, Combination
from cyborg.results.figures import open_figure, render_png

# Images at most.
ROWS = 6
# Maps side by side at most.
COLUMNS = 9
# Side of a picture, in inches.
TILE = 1.3
# Height of the heads above a band, in tiles.
HEAD = 0.45
# Arrays of gallery.npz.
FIELDS = ("images", "cams", "maps", "names", "sets", "labels", "scores")


def draw_gallery(cells: list[Cell], classes: list[str]) -> bytes | None:
    """Draw a row per image: itself, its human map, and the CAM of each combination's first run.

    Images with a human map come first, one of each test set in turn, and all combinations show the
    same images. Returns None if the evaluation kept no images.
    """
    first: dict[Combination, Cell] = {}
    for cell in cells:
        first.setdefault(cell.combination, cell)
    packs = {combination: _read_gallery(cell.folder) for combination, cell in first.items()}
    pack = next(iter(packs.values()))
    if not len(pack["names"]):
        return None
    chosen = choose_images(pack["sets"], pack["labels"], pack["maps"], classes[-1])
    bands = _arrange_bands(list(packs))
    # Columns of the widest band, rows of all bands with room for their heads.
    width = max(2 + sum(map(len, band)) for band in bands)
    height = len(bands) * (len(chosen) + HEAD)
    with open_figure(width * TILE, height * TILE, layout="none") as figure:
        for number, band in enumerate(bands):
            top = number * (len(chosen) + HEAD) + HEAD
            tiles = _TileGrid(figure, width, height, top)
            for row, image in enumerate(chosen):
                tiles.draw_picture(row, 0, pack["images"][image],
                              f"{pack['sets'][image]}\n{pack['labels'][image]}")  # fmt: skip
                tiles.draw_picture(row, 1, _overlay_human_map(pack, image), "")
                column = 2
                for combination in (combination for block in band for combination in block):
                    own = packs[combination]
                    heat = overlay_map(pack["images"][image], own["cams"][image])
                    tiles.draw_picture(row, column, heat, f"P {own['scores'][image]:.2f}")
                    column += 1
            tiles.draw_head(0, "image")
            tiles.draw_head(1, "human map")
            column = 2
            for block in band:
                tiles.draw_head(column, block[0][0], bold=True)
                for _, variant in block:
                    tiles.draw_head(column, variant)
                    column += 1
        return render_png(figure, dpi=120)


def _arrange_bands(combinations: list[Combination]) -> list[list[list[Combination]]]:
    """Return bands of blocks: a block is an architecture, a band has as many blocks as fit."""
    bands: list[list[list[Combination]]] = []
    for architecture in dict.fromkeys(architecture for architecture, _ in combinations):
        block = [combination for combination in combinations if combination[0] == architecture]
        if bands and sum(map(len, bands[-1])) + len(block) <= COLUMNS:
            bands[-1].append(block)
        else:
            bands.append([block])
    return bands


def _overlay_human_map(pack: dict[str, np.ndarray], image: int) -> np.ndarray:
    """Return the image under its human map, or a white picture if it has none."""
    picture, human = pack["images"][image], pack["maps"][image]
    return overlay_map(picture, human / 255) if human.any() else np.ones(picture.shape)


@dataclass(frozen=True)
class _TileGrid:
    """A grid of `width` x `height` tiles, used from row `top` on."""

    figure: Figure
    width: float
    height: float
    top: float

    def draw_picture(self, row: int, column: int, picture: np.ndarray, text: str) -> None:
        """Draw a picture on a tile, with a text in its lower left corner."""
        left, bottom = column / self.width, 1 - (self.top + row + 1) / self.height
        box = (left, bottom, 0.97 / self.width, 0.97 / self.height)
        axis = self.figure.add_axes(box)
        axis.imshow(picture, aspect="auto")
        axis.set_axis_off()
        _write_text(axis, text)

    def draw_head(self, column: int, text: str, bold: bool = False) -> None:
        """Write a head above a column, or higher if it is bold."""
        self.figure.text(
            column / self.width, 1 - (self.top - (0.26 if bold else 0.06)) / self.height, text,
            fontsize=8 if bold else 7, fontweight="bold" if bold else "normal",
        )  # fmt: skip


def _write_text(axis: Axes, text: str) -> None:
    """Write white text with a dark outline into the lower left corner."""
    axis.text(
        0.03, 0.03, text, transform=axis.transAxes, fontsize=6.5, color="white", va="bottom",
        linespacing=1.1, path_effects=[withStroke(linewidth=1.6, foreground="#1a1a1a")],
    )  # fmt: skip


def _read_gallery(folder: Path) -> dict[str, np.ndarray]:
    """Read gallery.npz of a cell, or raise UserError if it is broken."""
    path = folder / "gallery.npz"
    try:
        with np.load(path) as archive:
            return {name: archive[name] for name in FIELDS}
    except (OSError, KeyError, ValueError, EOFError) as error:
        raise UserError(f"cannot be read ({error})", location=path) from None


def choose_images(
    sets: np.ndarray, labels: np.ndarray, maps: np.ndarray, positive: str
) -> list[int]:
    """Return the numbers of at most ROWS images, one of each test set in turn.

    sets, labels: test set and class of each image, str [n]. maps: human maps uint8 [n,S,S].
    Within a set, images with a map come first, then images of the class `positive`.
    """
    queues = []
    for name in dict.fromkeys(sets.tolist()):
        members = [i for i in range(len(sets)) if sets[i] == name]
        queues.append(sorted(members, key=lambda i: (not maps[i].any(), labels[i] != positive, i)))
    turns = [queue[turn] for turn in range(max(map(len, queues))) for queue in queues
             if turn < len(queue)]  # fmt: skip
    return turns[:ROWS]


def overlay_map(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Return an image uint8 [S,S,3] under a heat map [h,w] (0..1): float64 [S,S,3] (0..1).

    The map is enlarged bilinearly with half-pixel centres. The image is grey, so that colour means
    attention.
    """
    size = picture.shape[:2]
    grey = (picture @ np.array([0.299, 0.587, 0.114]) / 255)[..., None]
    heat = enlarge_map(np.asarray(heat, float), *size)
    colours = matplotlib.colormaps["inferno"](heat)[..., :3]
    strength = 0.25 + 0.5 * heat[..., None]
    result: np.ndarray = (1 - strength) * grey + strength * colours
    return result


def enlarge_map(heat: np.ndarray, height: int, width: int) -> np.ndarray:
    """Enlarge a map [h,w] bilinearly to [height,width], with continued edges.

    >>> enlarge_map(np.array([[0.0, 1.0]]), 1, 4).tolist()
    [[0.0, 0.25, 0.75, 1.0]]
    """

    def build_weights(size: int, target: int) -> np.ndarray:
        """Return the share [target,size] of each value in each enlarged one."""
        centre = (np.arange(target) + 0.5) * size / target - 0.5
        distance = np.abs(np.clip(centre, 0, size - 1)[:, None] - np.arange(size))
        return np.asarray(np.clip(1 - distance, 0, None))

    rows, columns = build_weights(heat.shape[0], height), build_weights(heat.shape[1], width)
    enlarged: np.ndarray = rows @ heat @ columns.T
    return enlarged
