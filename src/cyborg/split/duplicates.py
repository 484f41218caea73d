"""Pictures that look the same: near perceptual hashes, confirmed by the correlation of thumbnails.

Perceptual hashes alone would accuse innocent pairs (aligned faces, drawn ones), so that every
pair of near hashes is decoded and compared; only those few images are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from cyborg.common.correlation import correlate_rows
from cyborg.common.decode import decode_rgb
from cyborg.common.errors import UserError
from cyborg.common.workers import count_processors

SIDE = 32
"""Side of the thumbnails that are compared, pixels."""
BLOCK = 1 << 22
"""Pairs of hashes, and pairs of thumbnails times 64, that are compared at a time."""


def parse_hashes(texts: Iterable[str]) -> np.ndarray:
    """64-bit hashes, uint64 [N], from 16 hexadecimal digits each.

    Raises ValueError for anything else.
    """
    texts = list(texts)
    if any(len(text) != 16 for text in texts):
        raise ValueError("a perceptual hash has 16 hexadecimal digits")
    return np.frombuffer(bytes.fromhex("".join(texts)), dtype=">u8").astype(np.uint64)


def near_hashes(
    left: np.ndarray, right: np.ndarray | None, bits: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Blocks of pairs (i, j, distance) of hashes that differ in at most `bits` of 64 bits.

    left: uint64 [N]; right: uint64 [M], or None for the pairs i < j within `left`. All pairs are
    compared, some 10^9 a second.
    """
    other = left if right is None else right
    if not len(left) or not len(other):
        return
    step = max(1, BLOCK // len(other))
    for start in range(0, len(left), step):
        first = start if right is None else 0
        distance = np.bitwise_count(left[start : start + step, None] ^ other[None, first:])
        i, j = np.nonzero(distance <= bits)
        near = distance[i, j]
        i, j = i + start, j + first
        if right is None:
            keep = i < j
            i, j, near = i[keep], j[keep], near[keep]
        if len(i):
            yield i, j, near


class Thumbnails:
    """Thumbnails of images, decoded when they are first asked for.

    files: path of each image from `root`, by image name. side: in pixels.
    """

    def __init__(self, root: Path, files: pd.Series, side: int = SIDE):
        self.root, self.files, self.side = root, files, side
        self.done: dict[str, np.ndarray] = {}

    def fetch(self, names: Iterable[str]) -> np.ndarray:
        """uint8 [N,side,side,3] in the order of `names`; UserError for a file that is gone."""
        names = list(names)
        if not names:
            return np.zeros((0, self.side, self.side, 3), dtype=np.uint8)
        wanted = [name for name in dict.fromkeys(names) if name not in self.done]
        paths = [self.root / self.files[name] for name in wanted]
        with ThreadPoolExecutor(count_processors()) as pool:
            bar = tqdm(
                pool.map(lambda path: thumbnail(path, self.side), paths),
                total=len(wanted),
                desc="thumbnails",
                unit="image",
                disable=None if len(wanted) > 500 else True,
            )
            self.done.update(zip(wanted, bar, strict=True))
        return np.stack([self.done[name] for name in names])


def thumbnail(path: Path, side: int = SIDE) -> np.ndarray:
    """An image, without regard to aspect, at uint8 [side,side,3]."""
    try:
        image = decode_rgb(path, draft=4 * side)
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot be read: {error}", where=path, hint="run `dvc repro download --force`"
        ) from error
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))


def correlations(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Pearson correlation [N] of thumbnails, uint8 [N,side,side,3] each, over pixels and channels.

    A thumbnail of one grey level has no correlation: two such are the same picture (1) where
    their levels differ by less than 2, else 0, and so is one beside any other picture.
    """
    a = left.reshape(len(left), -1).astype(np.float32)
    b = right.reshape(len(right), -1).astype(np.float32)
    value = correlate_rows(a, b, least_length=1e-3 * a.shape[1] ** 0.5)
    level = np.abs(a.mean(axis=1) - b.mean(axis=1))
    both_flat = (np.ptp(a, axis=1) == 0) & (np.ptp(b, axis=1) == 0)
    return np.where(np.isnan(value), (both_flat & (level < 2)).astype(float), value)


def near_duplicates(
    left: pd.DataFrame,
    right: pd.DataFrame | None,
    thumbnails: Thumbnails,
    *,
    bits: int,
    correlation: float,
) -> pd.DataFrame:
    """Pairs of images that look the same: hashes within `bits`, thumbnails at `correlation`.

    left, right: rows of images (columns `image`, `hash`); right None: pairs within `left`. Rows
    without hash (they do not decode) are passed over. Gives `a`, `b`, `distance` (bits),
    `correlation`, sorted by `a`, `b`.
    """
    left = left[left["hash"] != ""]
    names = left["image"].to_numpy(dtype=object)
    hashes = parse_hashes(left["hash"])
    others, other_hashes = names, None
    if right is not None:
        right = right[right["hash"] != ""]
        others = right["image"].to_numpy(dtype=object)
        other_hashes = parse_hashes(right["hash"])
    found: list[pd.DataFrame] = []
    for i, j, distance in near_hashes(hashes, other_hashes, bits):
        for start in range(0, len(i), BLOCK // 64 // 16):
            part = slice(start, start + BLOCK // 64 // 16)
            a, b = names[i[part]], others[j[part]]
            value = correlations(thumbnails.fetch(a), thumbnails.fetch(b))
            pairs = pd.DataFrame(
                {"a": a, "b": b, "distance": distance[part].astype(np.int64), "correlation": value}
            )
            found.append(pairs[value >= correlation])
    if not found:
        return pd.DataFrame(
            {"a": [], "b": [], "distance": np.zeros(0, np.int64), "correlation": np.zeros(0)}
        ).astype({"a": object, "b": object})
    return pd.concat(found).sort_values(["a", "b"], ignore_index=True)


def joined(images: pd.DataFrame, pairs: pd.DataFrame) -> pd.Series:
    """Name of the group of each row, [N]: `group` joined along pairs (`a`, `b`) of images.

    A group that grows together bears the name that sorts first.
    """
    codes, names = pd.factorize(images["group"], sort=True)
    position = pd.Series(codes, index=images["image"].to_numpy())
    a = position.reindex(pairs["a"]).to_numpy()
    b = position.reindex(pairs["b"]).to_numpy()
    graph = coo_array((np.ones(len(a), dtype=bool), (a, b)), shape=(len(names), len(names)))
    _, component = connected_components(graph, directed=False)
    # Codes follow the sorted names, so the first code of a component is its first name.
    first = pd.Series(np.arange(len(names))).groupby(component).min().to_numpy()
    return pd.Series(np.asarray(names, dtype=object)[first[component][codes]], index=images.index)
