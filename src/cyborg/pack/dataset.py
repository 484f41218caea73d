"""Read the data of a cell: rows of the manifest, packed images and packed maps.

The files are data/manifest.parquet and data/packs (docs/formats.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cyborg.common.errors import UserError
from cyborg.common.tables import MANIFEST_TABLE, PACK_TABLE


def name_folder(kind: str, size: int) -> str:
    """Return the folder of packed arrays below data/packs.

    kind: `images` or the name of a map set. size: side in pixels.

    >>> name_folder("images", 224), name_folder("human", 224)
    ('images/224', 'maps/human/224')
    """
    return f"images/{size}" if kind == "images" else f"maps/{kind}/{size}"


class Pack:
    """Packed images, or packed maps of one map set, at one size. Look them up by image name.

    kind: `images` or the name of a map set. size: side in pixels. The arrays are memory-mapped, so
    that processes with the same pack share its memory. Raises UserError if the pack is missing or
    contradicts its index.
    """

    def __init__(self, root: Path, kind: str, size: int):
        index = PACK_TABLE.read(
            root, ["source", "image", "row"], [("kind", "==", kind), ("size", "==", size)]
        )
        path = root / PACK_TABLE.path
        self.folder = path.parent / name_folder(kind, size)
        self.size = size
        self.shape = (size, size, 3) if kind == "images" else (size, size)
        self.sources = sorted(index["source"].unique())
        self.source = index["source"].map({s: n for n, s in enumerate(self.sources)}).to_numpy()
        self.row = index["row"].to_numpy()
        self.position = pd.Index(index["image"])
        if not self.position.is_unique:
            duplicate = self.position[self.position.duplicated()][0]
            raise UserError(f"duplicate `{duplicate}` in {kind} of size {size}", location=path)
        self.arrays: dict[int, np.ndarray] = {}

    def locate(self, names: Sequence[str]) -> np.ndarray:
        """Return the positions [N] of images in the index, -1 for an image that is not packed."""
        found: np.ndarray = self.position.get_indexer(pd.Index(names, dtype=self.position.dtype))
        return found

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Return the arrays at index positions [N], uint8 [N,size,size,3] or [N,size,size].

        The result is a copy. Nothing else of the pack is read.
        """
        out = np.empty((len(positions), *self.shape), dtype=np.uint8)
        source, row = self.source[positions], self.row[positions]
        for number in np.unique(source):
            here = np.flatnonzero(source == number)
            out[here] = self._open_array(int(number), int(row[here].max()))[row[here]]
        return out

    def _open_array(self, number: int, last: int) -> np.ndarray:
        """Return the memory-mapped array of a source, which must have the row `last`."""
        if number not in self.arrays:
            path = self.folder / f"{self.sources[number]}.npy"
            try:
                array = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise UserError(
                    f"cannot be read: {error}", location=path, hint="run `dvc repro pack`"
                ) from error
            if array.dtype != np.uint8 or array.shape[1:] != self.shape:
                raise UserError(
                    f"holds {array.dtype} {list(array.shape)}",
                    location=path,
                    hint=f"expected uint8 [N,{','.join(map(str, self.shape))}]; run `dvc repro "
                    "pack --force`",
                )
            self.arrays[number] = array
        array = self.arrays[number]
        if last >= len(array):
            raise UserError(
                f"`{self.sources[number]}` of size {self.size} has {len(array)} rows, its index "
                f"names row {last}",
                location=self.folder,
                hint="run `dvc repro pack --force`",
            )
        return array


def read_images(root: Path, size: int, names: Sequence[str]) -> np.ndarray:
    """Return packed images by name, uint8 [N,size,size,3].

    Raises UserError if one of them is not packed.
    """
    pack = Pack(root, "images", size)
    return pack.take(locate_images(pack, names))


def read_maps(
    root: Path, map_set: str, size: int, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the packed maps, uint8 [M,size,size], of those images that have one.

    The second array [M] holds the places of these images in `names`, in rising order.
    """
    pack = Pack(root, map_set, size)
    positions = pack.locate(names)
    rows = np.flatnonzero(positions >= 0)
    return pack.take(positions[rows]), rows


def locate_images(pack: Pack, names: Sequence[str]) -> np.ndarray:
    """Return the index positions [N] of images. Raises UserError if one is not packed."""
    positions = pack.locate(names)
    if (positions < 0).any():
        missing = [names[int(n)] for n in np.flatnonzero(positions < 0)]
        raise UserError(
            f"{len(missing)} images are not packed at size {pack.size}, e.g. `{missing[0]}`",
            location=pack.folder,
            hint="run `dvc repro pack`",
        )
    return positions


@dataclass(frozen=True)
class ManifestRows:
    """Rows of the manifest: image names, class numbers int64 [N], sources and generators.

    weights: float64 [N], the column `sample_weight`. It is NaN for an image without a weight.
    """

    names: list[str]
    labels: np.ndarray
    sources: np.ndarray
    generators: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.names)


def read_manifest_rows(
    root: Path, sources: Sequence[str], split: str, classes: Sequence[str]
) -> ManifestRows:
    """Return the rows of some sources with one split, sorted by image.

    Raises UserError if a row's label is not among `classes`.
    """
    rows = MANIFEST_TABLE.read(
        root,
        ["image", "source", "label", "generator", "sample_weight"],
        [("source", "in", list(sources)), ("split", "==", split)],
    ).sort_values("image")
    numbers = rows["label"].map({name: n for n, name in enumerate(classes)})
    if numbers.isna().any():
        row = rows[numbers.isna()].iloc[0]
        raise UserError(
            f"`{row['image']}` has the label `{row['label']}`",
            location=root / MANIFEST_TABLE.path,
            hint=f"`classes` in params.yaml names {', '.join(classes)}",
        )
    return ManifestRows(
        rows["image"].tolist(),
        numbers.to_numpy(dtype=np.int64),
        rows["source"].to_numpy(dtype=object),
        rows["generator"].to_numpy(dtype=object),
        rows["sample_weight"].to_numpy(dtype=np.float64),
    )
