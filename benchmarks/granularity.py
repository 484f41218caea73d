"""Measure how far the map sets of a project differ, after `cyborg rasterize`.

    python benchmarks/granularity.py [--project .] [--reference area] [--input 160] [--cells 5]

Per map set, means over the images that the reference has as well: the share of the image above
zero (`area`, as in data/saliency/index.parquet), the highest value (0 to 1), how many maps are the
same byte by byte, and the correlation with the map of the reference, at the size of the image and
at the size at which a network's map is compared: resized to `input` pixels, then to `cells` x
`cells`, as training does. The last row is the reference against its map of another image (every
image against the next in order): what maps have in common that do not belong together.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.nn import functional

from cyborg.saliency.agreement import correlate_maps, standardize_maps


def resize_map(grey: np.ndarray, size: int, count: int) -> np.ndarray:
    """Return a map uint8 [H,W] as the loss sees it, float32 [count,count]."""
    value = torch.from_numpy(grey).float()[None, None]
    for side in (size, count):
        value = functional.interpolate(value, (side, side), mode="bilinear", antialias=True)
    return value[0, 0].numpy()


def correlate_pair(one: np.ndarray, other: np.ndarray) -> float:
    """Return the Pearson correlation of two maps of one size."""
    both = standardize_maps(np.stack((one.ravel(), other.ravel())).astype(np.float32))
    return float(correlate_maps(both[0], both[1:])[0])


def compare_map_sets(project: Path, reference: str, size: int, count: int) -> pd.DataFrame:
    """Return a row per map set. `maps` is its name, and the text above describes the others."""
    index = pd.read_parquet(project / "data/saliency/index.parquet")
    files = index.pivot(index="image", columns="maps", values="file")
    pairs = {name: files[[name, reference]].dropna().to_numpy() for name in files.columns}
    theirs = pairs[reference][:, 0]
    pairs["(other image)"] = np.stack((theirs, np.roll(theirs, -1)), axis=1)
    areas = index.set_index("file")["area"]
    rows = []
    for name, both in pairs.items():
        values = []
        for files_of_both in both:
            one, other = (np.array(Image.open(project / file)) for file in files_of_both)
            if one.shape != other.shape:
                continue
            small = (resize_map(one, size, count), resize_map(other, size, count))
            same = float((one == other).all())
            values.append(
                (one.max() / 255, same, correlate_pair(one, other), correlate_pair(*small))
            )
        rows.append((name, len(values), areas[both[:, 0]].mean(), *np.nanmean(values, axis=0)))
    columns = ["maps", "images", "area", "highest", "identical", "cc", f"cc_{count}x{count}"]
    return pd.DataFrame(rows, columns=columns)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--project", type=Path, default=Path(), help="project folder")
    parser.add_argument("--reference", default="area", help="map set that is compared with")
    parser.add_argument("--input", type=int, default=160, help="side of the network's input")
    parser.add_argument("--cells", type=int, default=5, help="side of the network's map")
    options = parser.parse_args()
    torch.set_num_threads(1)  # for small pictures, threads cost more than they bring
    table = compare_map_sets(options.project, options.reference, options.input, options.cells)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))


if __name__ == "__main__":
    main()
