"""Find pictures that look the same, by perceptual hashes and then by thumbnails.

Perceptual hashes alone would accuse innocent pairs, such as aligned faces or drawn ones. So this
module decodes both images of each pair with near hashes and correlates them.
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

# Side of the thumbnails that are compared, pixels.
SIDE = 32
# Pairs of hashes that are compared at a time: one byte each.
HASH_PAIRS = 1 << 22
# Pairs of thumbnails that are compared at a time. Each thumbnail takes 12 KiB as float32.
THUMBNAIL_PAIRS = 1 << 12
# Fewer thumbnails than this are decoded without a progress bar.
FEW = 500


def parse_hashes(texts: Iterable[str]) -> np.ndarray:
    """Return 64-bit hashes, uint64 [N], from texts of 16 hexadecimal digits.

    Raises ValueError for any other text.

    >>> parse_hashes(["00000000000000ff"])
    array([255], dtype=uint64)
    """
    texts = list(texts)
    if any(len(text) != 16 for text in texts):
        raise ValueError("a perceptual hash has 16 hexadecimal digits")
    return np.frombuffer(bytes.fromhex("".join(texts)), dtype=">u8").astype(np.uint64)


def find_near_hashes(
    left: np.ndarray, right: np.ndarray | None, bits: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Give all pairs (i, j, distance) of hashes that differ in at most `bits` bits, in blocks.

    left: uint64 [N]. right: uint64 [M], or None for the pairs i < j within `left`. All pairs are
    compared, about 10^9 per second.
    """
    other = left if right is None else right
    if not len(left) or not len(other):
        return
    step = max(1, HASH_PAIRS // len(other))
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
    """Thumbnails of images. Each is decoded when it is first asked for, and then kept.

    files: path of each image from `root`, by image name. side: pixels.
    """

    def __init__(self, root: Path, files: pd.Series, side: int = SIDE):
        self.root, self.files, self.side = root, files, side
        self.decoded: dict[str, np.ndarray] = {}

    def fetch(self, names: Iterable[str]) -> np.ndarray:
        """Return thumbnails, uint8 [N,side,side,3], in the order of `names`.

        Raises UserError if a file is missing or does not decode.
        """
        names = list(names)
        if not names:
            return np.zeros((0, self.side, self.side, 3), dtype=np.uint8)
        wanted = [name for name in dict.fromkeys(names) if name not in self.decoded]
        paths = [self.root / self.files[name] for name in wanted]
        with ThreadPoolExecutor(count_processors()) as pool:
            bar = tqdm(
                pool.map(lambda path: read_thumbnail(path, self.side), paths),
                total=len(wanted),
                desc="thumbnails",
                unit="image",
                disable=None if len(wanted) > FEW else True,
            )
            self.decoded.update(zip(wanted, bar, strict=True))
        return np.stack([self.decoded[name] for name in names])


def read_thumbnail(path: Path, side: int = SIDE) -> np.ndarray:
    """Return an image as uint8 [side,side,3]. Its aspect ratio is not kept.

    Raises UserError if the file is missing or does not decode.
    """
    try:
        image = decode_rgb(path, draft=4 * side)
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot be read: {error}", location=path, hint="run `dvc repro download --force`"
        ) from error
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))


def correlate_thumbnails(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the Pearson correlation [N] over pixels and channels of pairs of thumbnails.

    left, right: uint8 [N,side,side,3]. A thumbnail of one grey level has no correlation. Two of
    them count as the same picture (1) if their levels differ by less than 2. In all other pairs
    with such a thumbnail the correlation is 0.
    """
    a = left.reshape(len(left), -1).astype(np.float32)
    b = right.reshape(len(right), -1).astype(np.float32)
    value = correlate_rows(a, b, least_length=1e-3 * a.shape[1] ** 0.5)
    level = np.abs(a.mean(axis=1) - b.mean(axis=1))
    both_flat = (np.ptp(a, axis=1) == 0) & (np.ptp(b, axis=1) == 0)
    return np.where(np.isnan(value), (both_flat & (level < 2)).astype(float), value)


def find_near_duplicates(
    left: pd.DataFrame,
    right: pd.DataFrame | None,
    thumbnails: Thumbnails,
    *,
    bits: int,
    correlation: float,
) -> pd.DataFrame:
    """Return the pairs of images that look the same.

    The hashes of such a pair differ in at most `bits` bits, and its thumbnails correlate by at
    least `correlation`. left, right: rows of images with the columns `image` and `hash`. If right
    is None, pairs within `left` are returned. Images without a hash do not decode and are skipped.

    The columns are `a`, `b`, `distance` (bits) and `correlation`, sorted by `a` and `b`.
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
    for i, j, distance in find_near_hashes(hashes, other_hashes, bits):
        for start in range(0, len(i), THUMBNAIL_PAIRS):
            block = slice(start, start + THUMBNAIL_PAIRS)
            a, b = names[i[block]], others[j[block]]
            value = correlate_thumbnails(thumbnails.fetch(a), thumbnails.fetch(b))
            pairs = pd.DataFrame(
                {"a": a, "b": b, "distance": distance[block].astype(np.int64), "correlation": value}
            )
            found.append(pairs[value >= correlation])
    if not found:
        return pd.DataFrame(
            {"a": [], "b": [], "distance": np.zeros(0, np.int64), "correlation": np.zeros(0)}
        ).astype({"a": object, "b": object})
    return pd.concat(found).sort_values(["a", "b"], ignore_index=True)


def join_groups(images: pd.DataFrame, pairs: pd.DataFrame) -> pd.Series:
    """Return the name of each row's group, [N], after joining the groups of each pair of images.

    images: columns `image`, `group`. pairs: columns `a`, `b`. Groups that are joined are named by
    the first of their names in alphabetical order.

    >>> images = pd.DataFrame({"image": ["1", "2", "3"], "group": ["c", "b", "a"]})
    >>> join_groups(images, pd.DataFrame({"a": ["1"], "b": ["2"]})).tolist()
    ['b', 'b', 'a']
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
