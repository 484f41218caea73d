"""Draw phantom faces: procedural images with known faults and the marks of simulated annotators."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from cyborg.common.errors import UserError
from cyborg.common.files import replacing_folder, write_text
from cyborg.common.registry import suggest_name
from cyborg.config.experiment import Phantom
from cyborg.phantom.annotators import compute_annotation_time, simulate_annotators
from cyborg.phantom.canvas import Canvas, Ellipse
from cyborg.phantom.face import PLACES, draw_face
from cyborg.phantom.faults import FAULTS, draw_grain, draw_hatching, finish_image
from cyborg.phantom.segments import format_segmentation, trace_parts

if TYPE_CHECKING:
    from cyborg.catalogue.sources import Source


def draw_phantoms(source: Source, phantom: Phantom, folder: Path) -> None:
    """Draw a source of phantoms into `folder`, which is replaced. It is complete or absent.

    Parameters, files and errors are those of `fill_with_phantoms`.
    """
    with replacing_folder(folder) as beside:
        fill_with_phantoms(source, phantom, beside)


def fill_with_phantoms(source: Source, phantom: Phantom, folder: Path) -> None:
    """Draw the images of a source (`access: phantom`) and its annotations into an empty folder.

    Writes
    - `000000.png` … (RGB, phantom.size square, stored without compression so that all have the
      same number of bytes),
    - `annotations.json` (format `phantom`: the regions that the annotators mark),
    - `segmentation.json` (COCO: the outlines of the parts of every face),
    - `weights.csv` (the mean time of the annotators of each image, seconds).

    A source without generator is bona fide. Otherwise the generator names the fault. In test
    sources half of the images bear the shortcut cue. In all others, `phantom.shortcut` of the
    synthetic and 1 - `phantom.shortcut` of the bona fide images do. The bytes depend on the
    arguments only, and an image does not depend on how many follow it.

    Raises UserError if the count is missing, the generator is unknown or the disk is full.
    """
    count = _check_count(source)
    if source.generator and source.generator not in FAULTS:
        raise UserError(
            f"`{source.generator}` is not a phantom generator",
            location=f"source `{source.name}`: generator",
            hint=suggest_name(source.generator, sorted(FAULTS)),
        )
    records, segments = [], []
    for number in tqdm(range(count), desc=source.name, unit="image", disable=None):
        image, record, parts = draw_phantom_image(source, phantom, number)
        name = f"{number:06d}.png"
        Image.fromarray(image).save(folder / name, compress_level=0)
        records.append({"file": name, **record})
        segments.append(parts)
    write_text(folder / "annotations.json", _format_annotations(source.name, phantom, records))
    write_text(folder / "segmentation.json", format_segmentation(records, segments))
    write_text(folder / "weights.csv", _format_times(records))


def draw_phantom_image(
    source: Source, phantom: Phantom, number: int
) -> tuple[np.ndarray, dict[str, Any], dict[str, list[float]]]:
    """Return image `number` of a source, its record for the annotations, and its parts' outlines.

    The image is uint8 [S,S,3]. An outline is x0, y0, x1, y1, … in pixels.
    """
    # One stream for each step: what one of them draws moves nothing in another.
    scene, cueing, fault, light, hands = _make_generators(phantom.seed, source.name, number)
    size = phantom.size
    canvas, parts, head = draw_face(scene, size)
    grain = draw_grain(size, scene)
    image = canvas.image + grain

    beside = {name: canvas.pose.place_ellipse(ellipse) for name, ellipse in PLACES.items()}
    shared = phantom.sites == "shared"
    sites = {**parts, **beside} if shared else parts
    faulty = _choose_names(sorted(sites), fault, 1, 2) if source.generator else []
    rate = 0.5
    if source.role != "test":
        rate = phantom.shortcut if source.generator else 1 - phantom.shortcut
    cued: list[str] = []
    if cueing.random() < rate:
        free = sorted(set(sites) - set(faulty)) if shared else sorted(beside)
        cued = _choose_names(free, cueing, 1, 2) if shared else _choose_names(free, cueing, 2, 4)
        grating = draw_hatching(size, cueing)
        for name in cued:
            # At a shared site the cue has the site's own outline, as a fault has.
            mask = canvas.cover_ellipse({**sites, **beside}[name], soft=3.0) * (
                1 if shared else head
            )
            image += (phantom.cue * mask * grating)[..., None]

    changed = area = 0.0
    for window, mask in _find_fault_masks(canvas, sites, faulty, phantom.extent):
        patch = image[window]
        # The generator makes the part anew: most of the photograph's grain is lost there.
        smooth = patch - phantom.grain_lost * grain[window]
        change = mask * (FAULTS[source.generator](smooth, fault, phantom.strength) - patch)
        patch += change
        changed += float(np.abs(change).mean(-1).sum())
        area += float(mask.sum())
    picture = finish_image(image, light)
    said = simulate_annotators(hands, size, canvas.pose, sites, faulty, phantom.annotators)
    truth = {
        "parts": sorted(faulty),
        "visibility": round(changed / area, 4) if area else 0.0,
        "shortcut": bool(cued),
        "places": sorted(cued),
    }
    record = {"width": size, "height": size, "truth": truth, "annotations": said}
    return picture, record, trace_parts(canvas.pose, parts, size)


def _choose_names(names: list[str], rng: np.random.Generator, least: int, most: int) -> list[str]:
    """Return `least` to `most` of the names, at random."""
    return [names[k] for k in rng.permutation(len(names))[: rng.integers(least, most + 1)]]


def _find_fault_masks(
    canvas: Canvas, sites: dict[str, Ellipse], faulty: list[str], extent: str
) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """Yield the windows that a fault changes and how much of it each pixel gets, [h,w,1]."""
    if faulty and extent == "image":
        yield (slice(None), slice(None)), np.ones((canvas.size, canvas.size, 1), np.float32)
        return
    for name in faulty:
        window = canvas.find_window(sites[name], margin=8)
        yield window, canvas.cover_ellipse(sites[name], soft=2.5)[window][..., None]


def _check_count(source: Source) -> int:
    try:
        count = int(source.count or 0)
    except ValueError:
        count = 0
    if not 0 < count <= 1_000_000:
        raise UserError(
            f"phantom images cannot be counted: `{source.count}`",
            location=f"source `{source.name}`: count",
            hint="give the number of images to draw, 1 to 1000000",
        )
    return count


def _make_generators(seed: int, name: str, number: int) -> list[np.random.Generator]:
    digest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return [np.random.default_rng([seed, digest, number, step]) for step in range(5)]


def _format_annotations(name: str, phantom: Phantom, records: list[dict[str, Any]]) -> str:
    """Return JSON with one line per image: half the size of an indented file, and still legible."""
    head = json.dumps({"format": "phantom", "version": 1, "source": name})[:-1]
    lines = ",\n".join(json.dumps(record, sort_keys=True, allow_nan=False) for record in records)
    return f'{head},\n"images": [\n{lines}\n]}}\n'


def _format_times(records: list[dict[str, Any]]) -> str:
    """Return a CSV text of sample weights: the time that the annotators of an image took."""
    lines = ["image,sample_weight\n"]
    for record in records:
        seconds = compute_annotation_time(record["annotations"], record["truth"]["visibility"])
        lines.append(f"{record['file']},{seconds:.2f}\n")
    return "".join(lines)
