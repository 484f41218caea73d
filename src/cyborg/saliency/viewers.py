"""Draw the marks of each annotator of an image: regions, ready-made maps and gaze."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from cyborg.common.errors import UserError
from cyborg.config.saliency import MapRecipe
from cyborg.saliency import gaze
from cyborg.saliency.annotation import Annotation, Region, Shape
from cyborg.saliency.fill import fill_shape
from cyborg.saliency.fit import scale_shape
from cyborg.saliency.granularity import select_granularity
from cyborg.saliency.pictures import read_grey_map

# Anti-aliased regions are drawn in bands of about this many samples, to bound memory.
SAMPLES = 2**24
# A ready-made map whose highest value is below this share of full scale is refused.
FAINT = 0.1


@dataclass(frozen=True)
class Viewer:
    """One annotator of one image.

    drawn: the union of regions and ready-made maps, float32 [H,W], 0..1, or None if there are
    only fixations. fixations: float64 [n,3], or None if there is no gaze. regions: number of
    regions and fixations. seconds: time spent, NaN if unknown.
    """

    name: str
    drawn: np.ndarray | None
    fixations: np.ndarray | None
    regions: int
    seconds: float


def collect_viewers(
    annotations: list[Annotation], size: tuple[int, int], recipe: MapRecipe, location: str
) -> list[Viewer]:
    """Return the annotators that the recipe uses, in the order of the file.

    location: the annotation file, named in errors.
    """
    records_of: dict[str, list[Annotation]] = {}
    for annotation in annotations:
        if not recipe.only_correct or annotation.correct is True:
            records_of.setdefault(annotation.annotator, []).append(annotation)
    viewers = [
        _make_viewer(name, records, size, recipe, location) for name, records in records_of.items()
    ]
    if recipe.gaze.denoise == "none":
        return viewers
    recorded = [v.fixations for v in viewers if v.fixations is not None]
    kept = iter(gaze.remove_stray_fixations(recorded, recipe.gaze.cluster))
    return [v if v.fixations is None else _keep_fixations(v, next(kept)) for v in viewers]


def _keep_fixations(viewer: Viewer, fixations: np.ndarray) -> Viewer:
    assert viewer.fixations is not None
    removed = len(viewer.fixations) - len(fixations)
    return replace(viewer, fixations=fixations, regions=viewer.regions - removed)


def _make_viewer(
    name: str,
    records: list[Annotation],
    size: tuple[int, int],
    recipe: MapRecipe,
    location: str,
) -> Viewer:
    drawn: np.ndarray | None = None
    fixations: list[np.ndarray] = []
    count = 0
    for record in records:
        place = f"{location}: {record.image}"
        if record.fixations is not None or record.samples is not None:
            fixations.append(gaze.select_fixations(record, size, recipe.gaze, place))
            if not record.regions:
                continue
        regions = [used for r in record.regions if (used := select_shapes(r, recipe)) is not None]
        count += len(regions)
        one = draw_regions(regions, size, recipe)
        heat = read_ready_map(record, size, recipe)
        if heat is not None:
            one = np.maximum(one, heat)
        drawn = one if drawn is None else np.maximum(drawn, one)
    together = np.concatenate(fixations) if fixations else None
    count += len(together) if together is not None else 0
    seconds = float(sum(record.seconds for record in records))
    return Viewer(name, drawn, together, count, seconds)


def select_shapes(region: Region, recipe: MapRecipe) -> Region | None:
    """Return the region with only the shapes whose category the recipe uses, or None."""
    if recipe.labels is None:
        return region
    shapes = tuple(s for s in region.shapes if (region.label or s.label) in recipe.labels)
    return replace(region, shapes=shapes) if shapes else None


def draw_regions(regions: list[Region], size: tuple[int, int], recipe: MapRecipe) -> np.ndarray:
    """Return the union of regions as float32 [H,W], 0..1: inside it is the category's weight."""
    shapes_of: dict[float, list[Shape]] = {}
    for region in regions:
        for shape in select_granularity(region, recipe.granularity, recipe.line_width):
            weight = recipe.weights.get(region.label or shape.label, 1.0)
            shapes_of.setdefault(weight, []).append(shape)
    total = np.zeros(size[::-1], dtype=np.float32)
    for weight, shapes in shapes_of.items():
        np.maximum(total, np.float32(weight) * _fill_shapes(shapes, size, recipe), out=total)
    return total


def _fill_shapes(shapes: list[Shape], size: tuple[int, int], recipe: MapRecipe) -> np.ndarray:
    """Return the share of each pixel that shapes cover, float32 [H,W], 0..1."""
    width, height = size
    n = recipe.antialias
    if n == 1:
        mask = np.zeros((height, width), dtype=bool)
        for shape in shapes:
            fill_shape(mask, shape, recipe.line_width)
        return mask.astype(np.float32)
    shapes = [scale_shape(shape, float(n), float(n)) for shape in shapes]
    result = np.empty((height, width), dtype=np.float32)
    rows = max(1, SAMPLES // (width * n * n))
    for top in range(0, height, rows):
        count = min(rows, height - top)
        fine = np.zeros((count * n, width * n), dtype=bool)
        for shape in shapes:
            fill_shape(fine, _move_up(shape, top * n), recipe.line_width * n)
        blocks = fine.reshape(count, n, width, n)
        result[top : top + count] = blocks.mean(axis=(1, 3), dtype=np.float32)
    return result


def _move_up(shape: Shape, rows: int) -> Shape:
    if rows == 0:
        return shape
    points = shape.points[:1] if shape.kind == "ellipse" else shape.points
    moved = tuple((x, y - rows) for x, y in points)
    return replace(
        shape,
        points=moved + shape.points[len(moved) :],
        holes=tuple(tuple((x, y - rows) for x, y in hole) for hole in shape.holes),
    )


def read_ready_map(
    record: Annotation, size: tuple[int, int], recipe: MapRecipe
) -> np.ndarray | None:
    """Return the ready-made map of an annotation, float32 [H,W] at the image's size, or None.

    Raises UserError if it has another size. `on_size: scale` scales it instead.
    """
    heat = record.heat
    if heat is None and record.heat_file is not None:
        heat = read_grey_map(record.heat_file)
        if recipe.format == "auto":
            _require_visible_map(heat, record.heat_file)
    if heat is None:
        return None
    if heat.shape != size[::-1]:
        if recipe.on_size == "refuse":
            raise UserError(
                f"the map has {heat.shape[1]} x {heat.shape[0]} pixels, the image "
                f"`{record.image}` {size[0]} x {size[1]}",
                location=record.heat_file,
                hint="give maps of the image's size, or set `on_size: scale`",
            )
        resized = Image.fromarray(heat.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
        heat = np.clip(np.asarray(resized), 0, 1)
    return np.where(heat > recipe.threshold, heat, 0).astype(np.float32)


def _require_visible_map(heat: np.ndarray, file: Path) -> None:
    """Refuse a map whose highest value is so low that it is rather the number of a category."""
    highest = float(heat.max())
    if 0 < highest < FAINT:
        raise UserError(
            f"the highest value of the map is {highest:.1%} of full scale, so it is nearly black",
            location=file,
            hint="if its values are numbers of categories (0 and 1, …), use --format label_map "
            "(`format: label_map`). If it is a saliency map, scale it to the full range, or use "
            "--format heatmap",
        )


def draw_viewer(viewer: Viewer, size: tuple[int, int], recipe: MapRecipe) -> np.ndarray:
    """Return the map of one annotator, float32 [H,W], 0..1. A density of gaze has maximum one."""
    drawn = viewer.drawn if viewer.drawn is not None else np.zeros(size[::-1], np.float32)
    if viewer.fixations is None or not len(viewer.fixations):
        return drawn
    density = draw_density([viewer.fixations], [1.0], size, recipe)
    value: np.ndarray = np.maximum(drawn, (density / density.max()).astype(np.float32))
    return value


def draw_density(
    fixations: list[np.ndarray], weights: list[float], size: tuple[int, int], recipe: MapRecipe
) -> np.ndarray:
    """Return the density of the fixations of several viewers, float64 [H,W], up to a factor.

    fixations: float64 [n,3] of each viewer: x, y (pixels), duration (seconds). weights: of the
    viewers. The sum of Gaussians is the Gaussian of the sum, so that one filter serves all.
    """
    by_duration = recipe.gaze.weight == "duration"
    points = [
        np.column_stack((f[:, :2], weight * (f[:, 2] if by_duration else np.ones(len(f)))))
        for f, weight in zip(fixations, weights, strict=True)
    ]
    sigma = recipe.gaze.sigma * gaze.convert_unit_to_pixels(recipe.gaze, size)
    return gaze.sum_gaussians(np.concatenate(points) if points else np.zeros((0, 3)), sigma, size)
