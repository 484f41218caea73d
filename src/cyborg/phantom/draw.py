"""Phantom faces: procedural images with known faults, and what simulated annotators say of them."""

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
from cyborg.phantom.annotators import annotate, annotation_time
from cyborg.phantom.canvas import Canvas, Ellipse
from cyborg.phantom.face import PLACES, draw_face
from cyborg.phantom.faults import FAULTS, finish, hatching, texture
from cyborg.phantom.segments import outlines, segmentation

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
            where=f"source `{source.name}`: generator",
            hint=suggest_name(source.generator, sorted(FAULTS)),
        )
    records, segments = [], []
    for number in tqdm(range(count), desc=source.name, unit="image", disable=None):
        image, record, parts = draw_phantom_image(source, phantom, number)
        name = f"{number:06d}.png"
        Image.fromarray(image).save(folder / name, compress_level=0)
        records.append({"file": name, **record})
        segments.append(parts)
    write_text(folder / "annotations.json", _dump(source.name, phantom, records))
    write_text(folder / "segmentation.json", segmentation(records, segments))
    write_text(folder / "weights.csv", _times(records))


def draw_phantom_image(
    source: Source, phantom: Phantom, number: int
) -> tuple[np.ndarray, dict[str, Any], dict[str, list[float]]]:
    """Image `number` of a source, its record in the annotation file, the outlines of its parts.

    The image is uint8 [S,S,3]; an outline is x0, y0, x1, y1, … in pixels.
    """
    # One stream for each step: what one of them draws moves nothing in another.
    scene, cueing, fault, light, hands = _generators(phantom.seed, source.name, number)
    size = phantom.size
    canvas, parts, head = draw_face(scene, size)
    grain = texture(size, scene)
    image = canvas.image + grain

    beside = {name: canvas.pose.place(ellipse) for name, ellipse in PLACES.items()}
    shared = phantom.sites == "shared"
    sites = {**parts, **beside} if shared else parts
    faulty = _choose(sorted(sites), fault, 1, 2) if source.generator else []
    rate = 0.5
    if source.role != "test":
        rate = phantom.shortcut if source.generator else 1 - phantom.shortcut
    cued: list[str] = []
    if cueing.random() < rate:
        free = sorted(set(sites) - set(faulty)) if shared else sorted(beside)
        cued = _choose(free, cueing, 1, 2) if shared else _choose(free, cueing, 2, 4)
        grating = hatching(size, cueing)
        for name in cued:
            # At a shared site the cue has the site's own outline, as a fault has.
            mask = canvas.cover({**sites, **beside}[name], soft=3.0) * (1 if shared else head)
            image += (phantom.cue * mask * grating)[..., None]

    changed = area = 0.0
    for window, mask in _fault_masks(canvas, sites, faulty, phantom.extent):
        patch = image[window]
        # The generator makes the part anew: most of the photograph's grain is lost there.
        smooth = patch - phantom.grain_lost * grain[window]
        change = mask * (FAULTS[source.generator](smooth, fault, phantom.strength) - patch)
        patch += change
        changed += float(np.abs(change).mean(-1).sum())
        area += float(mask.sum())
    picture = finish(image, light)
    said = annotate(hands, size, canvas.pose, sites, faulty, phantom.annotators)
    truth = {
        "parts": sorted(faulty),
        "visibility": round(changed / area, 4) if area else 0.0,
        "shortcut": bool(cued),
        "places": sorted(cued),
    }
    record = {"width": size, "height": size, "truth": truth, "annotations": said}
    return picture, record, outlines(canvas.pose, parts, size)


def _choose(names: list[str], rng: np.random.Generator, least: int, most: int) -> list[str]:
    """Return `least` to `most` of the names, at random."""
    return [names[k] for k in rng.permutation(len(names))[: rng.integers(least, most + 1)]]


def _fault_masks(
    canvas: Canvas, sites: dict[str, Ellipse], faulty: list[str], extent: str
) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """Yield the windows that a fault changes and how much of it each pixel gets, [h,w,1]."""
    if faulty and extent == "image":
        yield (slice(None), slice(None)), np.ones((canvas.size, canvas.size, 1), np.float32)
        return
    for name in faulty:
        window = canvas.window(sites[name], margin=8)
        yield window, canvas.cover(sites[name], soft=2.5)[window][..., None]


def _check_count(source: Source) -> int:
    try:
        count = int(source.count or 0)
    except ValueError:
        count = 0
    if not 0 < count <= 1_000_000:
        raise UserError(
            f"phantom images cannot be counted: `{source.count}`",
            where=f"source `{source.name}`: count",
            hint="give the number of images to draw, 1 to 1000000",
        )
    return count


def _generators(seed: int, name: str, number: int) -> list[np.random.Generator]:
    digest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return [np.random.default_rng([seed, digest, number, step]) for step in range(5)]


def _dump(name: str, phantom: Phantom, records: list[dict[str, Any]]) -> str:
    """JSON with one line per image: half the size of an indented file, and still legible."""
    head = json.dumps({"format": "phantom", "version": 1, "source": name})[:-1]
    lines = ",\n".join(json.dumps(record, sort_keys=True, allow_nan=False) for record in records)
    return f'{head},\n"images": [\n{lines}\n]}}\n'


def _times(records: list[dict[str, Any]]) -> str:
    """CSV of sample weights: the time that the annotators of an image took."""
    lines = [
        f"{one['file']},{annotation_time(one['annotations'], one['truth']['visibility']):.2f}\n"
        for one in records
    ]
    return "".join(["image,sample_weight\n", *lines])
