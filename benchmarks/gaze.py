"""Maps made of recorded gaze against other maps of the same images: CC, SIM, and two controls.

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
RULE = 19.0
"""Standard deviation of SALICON's own rule, pixels."""
ByImage = dict[str, np.ndarray]


@dataclass(frozen=True)
class Agreed:
    """Means over `images` of (CC, SIM): the maps as they are, and the two controls."""

    images: int
    right: tuple[float, float]
    exchanged: tuple[float, float]
    other: tuple[float, float]


@cache
def recorded(folder: Path, name: str) -> list[AnnotatedImage]:
    """The images of a set of FILES with what was recorded, in pixels of the images at hand."""
    path, images = FILES[name]
    # The images of OSIE are here at half their size.
    return gather_images(folder / path, folder / images, "auto", MapRecipe(on_size="scale"))


def drawn(pictures: list[AnnotatedImage], exchanged: bool = False, **gaze: Any) -> ByImage:
    """Maps, float32 [H,W], 0..255, by the stem of the image; gaze: keys of the recipe's `gaze`."""
    recipe = MapRecipe.model_validate({"on_size": "scale", "gaze": gaze})
    found = {}
    for picture in pictures:
        said = [_exchanged(a) if exchanged else a for a in picture.annotations]
        found[picture.stem] = render_map(said, picture.size, recipe, "").map.astype(np.float32)
    return found


def _exchanged(annotation: Annotation) -> Annotation:
    """x for y and y for x; what then lies off the image is left out when the map is made."""
    if annotation.fixations is None:
        return annotation
    return replace(annotation, fixations=annotation.fixations[:, [1, 0, 2]])


def by_their_rule(folder: Path) -> ByImage:
    """The maps of SALICON's own rule, float32 [H,W], 0..1, by the stem of the image."""
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


def measured(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """CC and SIM of two maps [H,W], as `cyborg agreement` measures them."""
    stack = np.stack((one.ravel(), other.ravel()))
    alike, common = agreement.standardize_maps(stack), agreement.divide_by_sum(stack)
    cc = agreement.correlate_maps(alike[0], alike[1:])
    return float(cc[0]), float(agreement.intersect_histograms(common[0], common[1:])[0])


def each(ours: ByImage, theirs: ByImage) -> np.ndarray:
    """CC and SIM, float64 [n,2], of the images that both have, sorted by name."""
    return np.array([measured(ours[name], theirs[name]) for name in sorted(ours.keys() & theirs)])


def agreed(ours: ByImage, exchanged: ByImage, theirs: ByImage) -> Agreed:
    """Ours, and ours with x and y exchanged, against theirs; and ours against other images'."""
    names = sorted(ours.keys() & theirs)
    of_next = dict(zip(names, (theirs[name] for name in names[1:] + names[:1]), strict=True))
    rows = [
        each(a, b).mean(axis=0) for a, b in ((ours, theirs), (exchanged, theirs), (ours, of_next))
    ]
    right, swapped, other = ((float(cc), float(sim)) for cc, sim in rows)
    return Agreed(len(names), right, swapped, other)


def compared(folder: Path, ours: str, theirs: str, sigma: float) -> Agreed:
    """Two sets of FILES at `sigma` degrees; ready maps stay as they are."""
    mine, yours = recorded(folder, ours), recorded(folder, theirs)
    return agreed(
        drawn(mine, sigma=sigma),
        drawn(mine, exchanged=True, sigma=sigma),
        drawn(yours, sigma=sigma),
    )


def against_their_rule(folder: Path) -> Agreed:
    """SALICON's recordings as this project draws them, at 19 pixels, against its own rule."""
    mine = recorded(folder, "SALICON, mouse")
    pixels: dict[str, Any] = {"sigma": RULE, "unit": "pixels"}
    return agreed(
        drawn(mine, **pixels), drawn(mine, exchanged=True, **pixels), by_their_rule(folder)
    )


def _row(ours: str, theirs: str, sigma: str, found: Agreed) -> str:
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
    own = against_their_rule(options.folder)
    print(_row("SALICON, mouse", "SALICON's own rule", f"{RULE:g} pixels", own))
    for ours, theirs in PAIRS:
        for sigma in options.sigma:
            found = compared(options.folder, ours, theirs, sigma)
            print(_row(ours, theirs, f"{sigma:g}°", found), flush=True)


if __name__ == "__main__":
    main()
