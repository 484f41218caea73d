"""The gallery: test images, their human maps, and where each variant looked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from cyborg.common.errors import UserError
from cyborg.results.cells import Cell, Pair
from cyborg.results.figures import png, styled

ROWS = 6  # images
COLUMNS = 9  # maps side by side
TILE = 1.3  # side of a picture, inches
HEAD = 0.45  # room for heads, tiles
FIELDS = ("images", "cams", "maps", "names", "sets", "labels", "scores")


def gallery_figure(cells: list[Cell], classes: list[str]) -> bytes | None:
    """A row per image: itself, its human map, and the CAM of each pair's first run.

    Images with a human map come first, one of each test set in turn; the same for all. None
    where the evaluation kept no images.
    """
    first: dict[Pair, Cell] = {}
    for cell in cells:
        first.setdefault(cell.pair, cell)
    packs = {pair: _read(cell.folder) for pair, cell in first.items()}
    pack = next(iter(packs.values()))
    if not len(pack["names"]):
        return None
    chosen = choose(pack["sets"], pack["labels"], pack["maps"], classes[-1])
    bands = _bands(list(packs))
    # Columns of the widest band, rows of all bands with room for their heads.
    width = max(2 + sum(map(len, band)) for band in bands)
    height = len(bands) * (len(chosen) + HEAD)
    with styled(width * TILE, height * TILE, layout="none") as figure:
        for number, band in enumerate(bands):
            top = number * (len(chosen) + HEAD) + HEAD
            place = _Place(figure, width, height, top)
            for row, image in enumerate(chosen):
                place.picture(row, 0, pack["images"][image],
                              f"{pack['sets'][image]}\n{pack['labels'][image]}")  # fmt: skip
                place.picture(row, 1, _human(pack, image), "")
                column = 2
                for pair in (pair for pairs in band for pair in pairs):
                    own = packs[pair]
                    heat = overlay(pack["images"][image], own["cams"][image])
                    place.picture(row, column, heat, f"P {own['scores'][image]:.2f}")
                    column += 1
            place.head(0, "image")
            place.head(1, "human map")
            column = 2
            for pairs in band:
                place.head(column, pairs[0][0], bold=True)
                for _, variant in pairs:
                    place.head(column, variant)
                    column += 1
        return png(figure, dpi=120)


def _bands(pairs: list[Pair]) -> list[list[list[Pair]]]:
    """Pairs by architecture; as many architectures side by side as fit."""
    bands: list[list[list[Pair]]] = []
    for architecture in dict.fromkeys(pair[0] for pair in pairs):
        block = [pair for pair in pairs if pair[0] == architecture]
        if bands and sum(map(len, bands[-1])) + len(block) <= COLUMNS:
            bands[-1].append(block)
        else:
            bands.append([block])
    return bands


def _human(pack: dict[str, np.ndarray], image: int) -> np.ndarray:
    """The image under its human map; white where there is none."""
    picture, human = pack["images"][image], pack["maps"][image]
    return overlay(picture, human / 255) if human.any() else np.ones(picture.shape)


@dataclass(frozen=True)
class _Place:
    """Puts tiles and heads on a grid of `width` x `height` tiles, from row `top` on."""

    figure: Figure
    width: float
    height: float
    top: float

    def picture(self, row: int, column: int, picture: np.ndarray, text: str) -> None:
        left, bottom = column / self.width, 1 - (self.top + row + 1) / self.height
        box = (left, bottom, 0.97 / self.width, 0.97 / self.height)
        axis = self.figure.add_axes(box)
        axis.imshow(picture, aspect="auto")
        axis.set_axis_off()
        _write(axis, text)

    def head(self, column: int, text: str, bold: bool = False) -> None:
        self.figure.text(
            column / self.width, 1 - (self.top - (0.26 if bold else 0.06)) / self.height, text,
            fontsize=8 if bold else 7, fontweight="bold" if bold else "normal",
        )  # fmt: skip


def _write(axis: Any, text: str) -> None:
    axis.text(
        0.03, 0.03, text, transform=axis.transAxes, fontsize=6.5, color="white", va="bottom",
        linespacing=1.1, path_effects=[withStroke(linewidth=1.6, foreground="#1a1a1a")],
    )  # fmt: skip


def _read(folder: Path) -> dict[str, np.ndarray]:
    path = folder / "gallery.npz"
    try:
        with np.load(path) as archive:
            return {name: archive[name] for name in FIELDS}
    except (OSError, KeyError, ValueError, EOFError) as error:
        raise UserError(f"cannot be read ({error})", where=path) from None


def choose(sets: np.ndarray, labels: np.ndarray, maps: np.ndarray, positive: str) -> list[int]:
    """Up to ROWS images: those with a map, then positives, one of each test set in turn."""
    queues = []
    for name in dict.fromkeys(sets.tolist()):
        members = [i for i in range(len(sets)) if sets[i] == name]
        queues.append(sorted(members, key=lambda i: (not maps[i].any(), labels[i] != positive, i)))
    turns = [queue[turn] for turn in range(max(map(len, queues))) for queue in queues
             if turn < len(queue)]  # fmt: skip
    return turns[:ROWS]


def overlay(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Image uint8 [S,S,3] under a heat map [h,w] (0..1): float [S,S,3] in 0..1.

    The map is enlarged bilinearly with half-pixel centres; the image is greyed so that colour
    means attention.
    """
    size = picture.shape[:2]
    grey = (picture @ np.array([0.299, 0.587, 0.114]) / 255)[..., None]
    heat = enlarge(np.asarray(heat, float), *size)
    colours = matplotlib.colormaps["inferno"](heat)[..., :3]
    strength = 0.25 + 0.5 * heat[..., None]
    result: np.ndarray = (1 - strength) * grey + strength * colours
    return result


def enlarge(heat: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear enlargement of [h,w] to [height,width], edges continued."""

    def matrix(size: int, target: int) -> np.ndarray:
        centre = (np.arange(target) + 0.5) * size / target - 0.5
        distance = np.abs(np.clip(centre, 0, size - 1)[:, None] - np.arange(size))
        return np.asarray(np.clip(1 - distance, 0, None))

    result: np.ndarray = matrix(heat.shape[0], height) @ heat @ matrix(heat.shape[1], width).T
    return result
