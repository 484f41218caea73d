"""From the annotations of one image to its saliency map: select, draw, aggregate, blur.

Every annotator becomes a map, 0..1, of what he or she marked: regions are drawn (the union of
them, each at the weight of its category), ready maps are taken as they are, gaze becomes a density
with maximum one. An annotator who marked nothing is a map of zeros. The maps of all annotators
then become one, pixel by pixel:

mean: weighted mean; union: maximum; intersection: minimum; vote: the k-th largest value, which
for plain regions is one where at least k annotators agree.

Gaze alone under `mean` is the density of all fixations of all viewers, divided by its maximum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from cyborg.common.errors import UserError
from cyborg.config.saliency import Maps
from cyborg.saliency import gaze
from cyborg.saliency.annotation import Annotation, Region, Shape
from cyborg.saliency.fill import fill_shape
from cyborg.saliency.fit import scaled
from cyborg.saliency.granularity import granular
from cyborg.saliency.pictures import read_grey_map

# Anti-aliased regions are drawn in bands of about this many samples, to bound memory.
SAMPLES = 2**24


@dataclass(frozen=True)
class Rendered:
    """The map of one image: uint8 [H,W]; how many went into it; pixels any of them marked."""

    map: np.ndarray
    annotators: int
    regions: int
    area: int


@dataclass(frozen=True)
class Viewer:
    """One annotator of one image: regions and ready maps drawn [H,W], 0..1; fixations [n,3]."""

    name: str
    drawn: np.ndarray | None
    fixations: np.ndarray | None
    regions: int
    seconds: float


def render(
    annotations: list[Annotation], size: tuple[int, int], maps: Maps, where: str
) -> Rendered:
    """Make the map of one image of `size` (width, height) from all its annotations.

    where: the annotation file, named in errors. An image in which nothing was marked (or nothing
    that the recipe uses) gives a map of zeros with no annotators.
    """
    people = viewers(annotations, size, maps, where)
    regions = sum(person.regions for person in people)
    gaze_only = bool(people) and all(person.drawn is None for person in people)
    if gaze_only and maps.aggregate == "mean":
        value = _mean_density(people, size, maps, where)
        marked = value > 0
    else:
        stack = [person_map(person, size, maps) for person in people]
        marked = np.zeros(size[::-1], dtype=bool)
        for one in stack:
            marked |= one > 0
        value = combine(stack, maps, _weights(people, maps, where), size)
    picture = quantised(blurred(value, maps, marked))
    # The tail of a Gaussian has no end: what counts is what is left of it in the picture.
    area = np.count_nonzero(picture if gaze_only else marked)
    some = regions > 0 or bool(marked.any())
    return Rendered(picture, len(people) if some else 0, regions, int(area))


def viewers(
    annotations: list[Annotation], size: tuple[int, int], maps: Maps, where: str
) -> list[Viewer]:
    """The annotators that the recipe uses, in the order of the file, each with what is drawn."""
    people: dict[str, list[Annotation]] = {}
    for annotation in annotations:
        if not maps.only_correct or annotation.correct is True:
            people.setdefault(annotation.annotator, []).append(annotation)
    found = [_viewer(name, records, size, maps, where) for name, records in people.items()]
    if maps.gaze.denoise == "hdbscan":
        looked = [k for k, person in enumerate(found) if person.fixations is not None]
        kept = gaze.denoise(
            [f for k in looked if (f := found[k].fixations) is not None], maps.gaze.cluster
        )
        for k, fixations in zip(looked, kept, strict=True):
            lost = len(found[k].fixations) - len(fixations)  # type: ignore[arg-type]
            found[k] = replace(found[k], fixations=fixations, regions=found[k].regions - lost)
    return found


def _viewer(
    name: str, records: list[Annotation], size: tuple[int, int], maps: Maps, where: str
) -> Viewer:
    drawn: np.ndarray | None = None
    fixations: list[np.ndarray] = []
    count = 0
    for record in records:
        place = f"{where}: {record.image}"
        if record.fixations is not None or record.samples is not None:
            fixations.append(gaze.fixations(record, size, maps.gaze, place))
            if not record.regions:
                continue
        regions = [region for r in record.regions if (region := used(r, maps)) is not None]
        count += len(regions)
        one = coverage(regions, size, maps)
        heat = ready(record, size, maps)
        if heat is not None:
            one = np.maximum(one, heat)
        drawn = one if drawn is None else np.maximum(drawn, one)
    together = np.concatenate(fixations) if fixations else None
    count += len(together) if together is not None else 0
    seconds = float(sum(record.seconds for record in records))
    return Viewer(name, drawn, together, count, seconds)


def used(region: Region, maps: Maps) -> Region | None:
    """The part of a region whose category the recipe uses; None where there is none."""
    if maps.labels is None:
        return region
    shapes = tuple(s for s in region.shapes if (region.label or s.label) in maps.labels)
    return replace(region, shapes=shapes) if shapes else None


def coverage(regions: list[Region], size: tuple[int, int], maps: Maps) -> np.ndarray:
    """Union of regions as float32 [H,W], 0..1: 1 inside (times the weight of the category)."""
    groups: dict[float, list[Shape]] = {}
    for region in regions:
        for shape in granular(region, maps.granularity, maps.line_width):
            weight = maps.weights.get(region.label or shape.label, 1.0)
            groups.setdefault(weight, []).append(shape)
    total = np.zeros(size[::-1], dtype=np.float32)
    for weight, shapes in groups.items():
        np.maximum(total, np.float32(weight) * _filled(shapes, size, maps), out=total)
    return total


def _filled(shapes: list[Shape], size: tuple[int, int], maps: Maps) -> np.ndarray:
    width, height = size
    n = maps.antialias
    if n == 1:
        mask = np.zeros((height, width), dtype=bool)
        for shape in shapes:
            fill_shape(mask, shape, maps.line_width)
        return mask.astype(np.float32)
    shapes = [_magnified(shape, n) for shape in shapes]
    result = np.empty((height, width), dtype=np.float32)
    rows = max(1, SAMPLES // (width * n * n))
    for top in range(0, height, rows):
        count = min(rows, height - top)
        fine = np.zeros((count * n, width * n), dtype=bool)
        for shape in shapes:
            fill_shape(fine, _raised(shape, top * n), maps.line_width * n)
        blocks = fine.reshape(count, n, width, n)
        result[top : top + count] = blocks.mean(axis=(1, 3), dtype=np.float32)
    return result


def _magnified(shape: Shape, n: int) -> Shape:
    return scaled(shape, float(n), float(n))


def _raised(shape: Shape, rows: int) -> Shape:
    if rows == 0:
        return shape
    points = shape.points[:1] if shape.kind == "ellipse" else shape.points
    moved = tuple((x, y - rows) for x, y in points)
    return replace(
        shape,
        points=moved + shape.points[len(moved) :],
        holes=tuple(tuple((x, y - rows) for x, y in hole) for hole in shape.holes),
    )


def ready(record: Annotation, size: tuple[int, int], maps: Maps) -> np.ndarray | None:
    """The ready-made map of an annotation, float32 [H,W] at the image's size, or None."""
    heat = record.heat
    if heat is None and record.heat_file is not None:
        heat = read_grey_map(record.heat_file)
    if heat is None:
        return None
    if heat.shape != size[::-1]:
        if maps.on_size == "refuse":
            raise UserError(
                f"the map has {heat.shape[1]} x {heat.shape[0]} pixels, the image "
                f"`{record.image}` {size[0]} x {size[1]}",
                where=record.heat_file,
                hint="bring maps of the image's size, or set `on_size: scale`",
            )
        resized = Image.fromarray(heat.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
        heat = np.clip(np.asarray(resized), 0, 1)
    return np.where(heat > maps.threshold, heat, 0).astype(np.float32)


def person_map(person: Viewer, size: tuple[int, int], maps: Maps) -> np.ndarray:
    """The map of one annotator, float32 [H,W], 0..1; a density of gaze has maximum one."""
    drawn = person.drawn if person.drawn is not None else np.zeros(size[::-1], np.float32)
    if person.fixations is None or not len(person.fixations):
        return drawn
    seen = _density(person.fixations, size, maps)
    return np.maximum(drawn, (seen / seen.max()).astype(np.float32))


def combine(
    stack: list[np.ndarray], maps: Maps, weights: list[float], size: tuple[int, int]
) -> np.ndarray:
    """One map, float32 [H,W], 0..1, from those of all annotators, by `maps.aggregate`."""
    if not stack or (maps.aggregate == "vote" and len(stack) < maps.votes):
        return np.zeros(size[::-1], dtype=np.float32)
    if maps.aggregate == "mean":
        total = np.zeros(size[::-1], dtype=np.float32)
        for one, weight in zip(stack, weights, strict=True):
            total += np.float32(weight / sum(weights)) * one
        return total
    if maps.aggregate == "union":
        return np.maximum.reduce(stack)
    if maps.aggregate == "intersection":
        return np.minimum.reduce(stack)
    place = len(stack) - maps.votes
    result: np.ndarray = np.partition(np.stack(stack), place, axis=0)[place]
    return result


def blurred(value: np.ndarray, maps: Maps, marked: np.ndarray) -> np.ndarray:
    """The map after the blur of the recipe; beyond its border the image is continued."""
    sigma = maps.blur
    if sigma == 0 or not marked.any():
        return value
    if maps.blur_unit == "marks":
        rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
        sigma *= 1 + max(int(np.ptp(rows)), int(np.ptp(columns)))
    elif maps.blur_unit == "image":
        sigma *= min(value.shape)
    result: np.ndarray = gaussian_filter(value, sigma, mode="nearest", truncate=4.0)
    return result


def quantised(value: np.ndarray) -> np.ndarray:
    """0..1 as uint8 0..255, rounded half up; what is above zero stays so from half a level on."""
    # Three times a sixth may be the last bit below one half: such bits must not decide.
    levels = np.clip(value, 0, 1) * np.float32(255) + np.float32(0.5 + 1e-4)
    return levels.astype(np.uint8)


def _weights(people: list[Viewer], maps: Maps, where: str) -> list[float]:
    if maps.time_weight == "none":
        return [1.0] * len(people)
    for person in people:
        if not person.seconds > 0:
            raise UserError(
                f"annotator `{person.name}` states no annotation time",
                where=where,
                hint="`time_weight` needs a time for every annotation; set it to none",
            )
    if maps.time_weight == "longer":
        return [person.seconds for person in people]
    return [1 / person.seconds for person in people]


def _mean_density(
    people: list[Viewer], size: tuple[int, int], maps: Maps, where: str
) -> np.ndarray:
    weights = _weights(people, maps, where)
    # The sum of Gaussians is the Gaussian of the sum: one filter for all viewers.
    together = [
        np.column_stack(
            (f[:, :2], weight * (f[:, 2] if maps.gaze.weight == "duration" else np.ones(len(f))))
        )
        for person, weight in zip(people, weights, strict=True)
        if (f := person.fixations) is not None
    ]
    points = np.concatenate(together) if together else np.zeros((0, 3))
    sigma = maps.gaze.sigma * gaze.scale(maps.gaze, size)
    total = gaze.density(points, "duration", sigma, size)
    highest = total.max()
    return total / highest if highest > 0 else total


def _density(fixations: np.ndarray, size: tuple[int, int], maps: Maps) -> np.ndarray:
    sigma = maps.gaze.sigma * gaze.scale(maps.gaze, size)
    return gaze.density(fixations, maps.gaze.weight, sigma, size)
