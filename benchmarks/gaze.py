"""Compare maps made of recorded gaze with other maps of the same images: CC, SIM, two controls.

    python benchmarks/gaze.py FOLDER [--sigma 0.5 1 2]

FOLDER holds what the sets publish: `eye_tracking/osie` (fixations.mat, mouse_lab, mouse_amt,
stimuli_400), `eye_tracking/salicon` (fixations_train2014examples.json, images) and
`heatmaps/salicon_base64/fake_results.json`, the maps that come with SALICON: results of a saliency
model, not of people. OSIE comes without maps, but with three recordings of the same images. The
maps of SALICON's own rule (a one in each pixel that was fixated, a Gaussian of 19 pixels, scaled
to 0..1; NUS-VIP/salicon-api, buildFixMap) are made here from the JSON, without this project's code.

Controls: x and y exchanged, as a reader would that takes (row, column) for (x, y); and the maps of
other images, which have in common that people look at the middle. Sigma is in degrees of visual
angle, the image taken as 30 degrees wide, and that of both maps where both are recordings.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from cyborg.config.saliency import MapRecipe
from cyborg.saliency import agreement
from cyborg.saliency.aggregate import render_map
from cyborg.saliency.annotated import AnnotatedImage
from cyborg.saliency.annotation import Annotation
from cyborg.saliency.gather import gather_images

FILES = {
    "OSIE, eyes": ("eye_tracking/osie/fixations.mat", "eye_tracking/osie/stimuli_400"),
    "OSIE, mouse, laboratory": ("eye_tracking/osie/mouse_lab", "eye_tracking/osie/stimuli_400"),
    "OSIE, mouse, web": ("eye_tracking/osie/mouse_amt", "eye_tracking/osie/stimuli_400"),
    "SALICON, mouse": (
        "eye_tracking/salicon/fixations_train2014examples.json",
        "eye_tracking/salicon/images",
    ),
    "SALICON's maps": (
        "heatmaps/salicon_base64/fake_results.json",
        "eye_tracking/salicon/images",
    ),
}
PAIRS = [
    ("SALICON, mouse", "SALICON's maps"),
    ("OSIE, eyes", "OSIE, mouse, laboratory"),
    ("OSIE, eyes", "OSIE, mouse, web"),
    ("OSIE, mouse, laboratory", "OSIE, mouse, web"),
]
# Standard deviation of SALICON's own rule, pixels.
RULE = 19.0
ByImage = dict[str, np.ndarray]


@dataclass(frozen=True)
class Agreed:
    """Means over `images` of (CC, SIM): the maps as they are, and the two controls."""

    images: int
    right: tuple[float, float]
    exchanged: tuple[float, float]
    other: tuple[float, float]


@cache
def read_recordings(folder: Path, name: str) -> list[AnnotatedImage]:
    """Return the images of a set of FILES with their recordings, in pixels of the given images."""
    path, images = FILES[name]
    # The images of OSIE are here at half their size.
    return gather_images(folder / path, folder / images, "auto", MapRecipe(on_size="scale"))


def draw_maps(pictures: list[AnnotatedImage], exchanged: bool = False, **gaze: Any) -> ByImage:
    """Return maps float32 [H,W], 0..255, by stem of the image. gaze: keys of a recipe's `gaze`."""
    recipe = MapRecipe.model_validate({"on_size": "scale", "gaze": gaze})
    found = {}
    for picture in pictures:
        said = [_exchange_axes(a) if exchanged else a for a in picture.annotations]
        found[picture.stem] = render_map(said, picture.size, recipe, "").map.astype(np.float32)
    return found


def _exchange_axes(annotation: Annotation) -> Annotation:
    """Exchange x and y. Positions that then lie off the image are left out of the map."""
    if annotation.fixations is None:
        return annotation
    return replace(annotation, fixations=annotation.fixations[:, [1, 0, 2]])


def draw_by_their_rule(folder: Path) -> ByImage:
    """Return maps by SALICON's own rule, float32 [H,W], 0..1, by the stem of the image."""
    content = json.loads((folder / FILES["SALICON, mouse"][0]).read_text())
    found = {}
    for image in content["images"]:
        grid = np.zeros((image["height"], image["width"]))
        for said in content["annotations"]:
            if said["image_id"] == image["id"]:
                rows, columns = np.array(said["fixations"]).T
                grid[rows - 1, columns - 1] = 1
        smooth = gaussian_filter(grid, RULE)
        smooth = (smooth - smooth.min()) / np.ptp(smooth)
        found[Path(image["file_name"]).stem] = smooth.astype(np.float32)
    return found


def measure_agreement(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Return CC and SIM of two maps [H,W], as `cyborg agreement` measures them."""
    stack = np.stack((one.ravel(), other.ravel()))
    alike, common = agreement.standardize_maps(stack), agreement.divide_by_sum(stack)
    cc = agreement.correlate_maps(alike[0], alike[1:])
    return float(cc[0]), float(agreement.intersect_histograms(common[0], common[1:])[0])


def measure_each(ours: ByImage, theirs: ByImage) -> np.ndarray:
    """Return CC and SIM, float64 [n,2], of the images that both have, sorted by name."""
    return np.array(
        [measure_agreement(ours[name], theirs[name]) for name in sorted(ours.keys() & theirs)]
    )


def measure_with_controls(ours: ByImage, exchanged: ByImage, theirs: ByImage) -> Agreed:
    """Compare ours, and ours with x and y exchanged, with theirs, and ours with other images'."""
    names = sorted(ours.keys() & theirs)
    of_next = dict(zip(names, (theirs[name] for name in names[1:] + names[:1]), strict=True))
    rows = [
        measure_each(a, b).mean(axis=0)
        for a, b in ((ours, theirs), (exchanged, theirs), (ours, of_next))
    ]
    right, swapped, other = ((float(cc), float(sim)) for cc, sim in rows)
    return Agreed(len(names), right, swapped, other)


def compare_sets(folder: Path, ours: str, theirs: str, sigma: float) -> Agreed:
    """Compare two sets of FILES at `sigma` degrees. Ready maps stay as they are."""
    mine, yours = read_recordings(folder, ours), read_recordings(folder, theirs)
    return measure_with_controls(
        draw_maps(mine, sigma=sigma),
        draw_maps(mine, exchanged=True, sigma=sigma),
        draw_maps(yours, sigma=sigma),
    )


def compare_with_their_rule(folder: Path) -> Agreed:
    """Compare SALICON's recordings, drawn by this project at 19 pixels, with its own rule."""
    mine = read_recordings(folder, "SALICON, mouse")
    pixels: dict[str, Any] = {"sigma": RULE, "unit": "pixels"}
    return measure_with_controls(
        draw_maps(mine, **pixels),
        draw_maps(mine, exchanged=True, **pixels),
        draw_by_their_rule(folder),
    )


def _format_row(ours: str, theirs: str, sigma: str, found: Agreed) -> str:
    # A rounded zero has no sign.
    values = (
        f"{round(cc, 2) + 0:.2f}, {sim:.2f}"
        for cc, sim in (found.right, found.exchanged, found.other)
    )
    return f"| {ours} | {theirs} | {found.images} | {sigma} | " + " | ".join(values) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of eye_tracking and heatmaps")
    parser.add_argument(
        "--sigma", type=float, nargs="+", default=[0.5, 1.0, 2.0], help="degrees of visual angle"
    )
    options = parser.parse_args()
    print("| maps of | against | images | sigma | CC, SIM | x, y exchanged | other images |")
    print("|---|---|---|---|---|---|---|")
    own = compare_with_their_rule(options.folder)
    print(_format_row("SALICON, mouse", "SALICON's own rule", f"{RULE:g} pixels", own))
    for ours, theirs in PAIRS:
        for sigma in options.sigma:
            found = compare_sets(options.folder, ours, theirs, sigma)
            print(_format_row(ours, theirs, f"{sigma:g}°", found), flush=True)


if __name__ == "__main__":
    main()
