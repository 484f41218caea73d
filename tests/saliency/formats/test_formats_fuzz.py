"""Mutated files: every reader answers each with a UserError or with annotations, and soon.

Quick: 150 mutations per reader; exhaustive (`make exhaustive`): 5,000. The same on each run.
"""

from __future__ import annotations

import inspect
import shutil
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cyborg.common.errors import UserError
from cyborg.common.families import FORMATS
from cyborg.saliency.annotation import Annotation
from mutations import mutated
from reading import HERE

SEEDS = {
    "coco": ["coco.json", "coco_rle.json"],
    "cvat": ["cvat.xml", "cvat_mask.xml", "cvat_more.xml"],
    "eyetagger": ["eyetagger/api_annotation.csv"],
    "fixations": ["fixations.csv", "gaze.csv", "salicon.json", "osie.mat", "1041.mat", "plain.mat"],
    "heatmap": ["images/drawing.png", "label_map/drawing.png"],
    "label_map": ["label_map/drawing.png", "parts/00012_mouth.png"],
    "labelbox": ["labelbox.json", "labelbox.ndjson"],
    "labelme": ["labelme.json", "labelme_3.json", "labelme_mask.json"],
    "labelme_web": ["labelme_web/drawing.xml"],
    "labelstudio": ["labelstudio.json", "labelstudio_min.json", "labelstudio_brush.json"],
    "pascal_voc": ["pascal_voc.xml"],
    "phantom": ["phantom.json"],
    "salicon_maps": ["salicon_maps.json"],
    "via": ["via.json", "via_1.json", "via_project.json", "via.csv"],
    "yolo": ["yolo/drawing.txt"],
}
# Seconds of processor time that one small file may take.
LIMIT = 10.0


def consume(reader: Any, path: Path, images: Path) -> Iterator[Annotation]:
    if "images" in inspect.signature(reader.read).parameters:
        yield from reader.read(path, images=images)
    else:
        yield from reader.read(path)


def check(reader: Any, path: Path, images: Path) -> None:
    """Reading ends soon, in annotations that are sound, or in a UserError that names the file."""
    started = time.process_time()
    where: object = path
    try:
        for annotation in consume(reader, path, images):
            annotation.image.encode()
            for region in annotation.regions:
                for shape in region.shapes:
                    assert np.isfinite(np.array(shape.points)).all()
    except UserError as error:
        error.text().encode()
        where = error.where
    assert where is not None
    assert time.process_time() - started < LIMIT


def test_every_reader_has_files_to_mutate() -> None:
    assert sorted(SEEDS) == FORMATS.names()


@pytest.mark.parametrize("name", sorted(SEEDS))
def test_unchanged_files_are_read(name: str) -> None:
    reader = FORMATS.find(name)
    for file in SEEDS[name]:
        assert list(consume(reader, HERE / file, HERE / "images"))


def attack(name: str, folder: Path, examples: int) -> None:
    reader = FORMATS.find(name)
    seeds = []
    for file in SEEDS[name]:
        shutil.copytree((HERE / file).parent, folder / name, dirs_exist_ok=True)
        # The mutated file keeps its name, on which the image's name or part may depend.
        seeds.append((folder / name / Path(file).name, (HERE / file).read_bytes()))

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(which=st.integers(0, len(seeds) - 1), random=st.randoms(use_true_random=False))
    def run(which: int, random: Random) -> None:
        path, data = seeds[which]
        changed = mutated(data, random)
        path.write_bytes(changed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader.recognise(path, changed[: 64 * 1024])
            check(reader, path, HERE / "images")

    run()


@pytest.mark.parametrize("name", sorted(SEEDS))
def test_mutated(name: str, tmp_path: Path) -> None:
    attack(name, tmp_path, 150)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", sorted(SEEDS))
def test_mutated_many_times(name: str, tmp_path: Path) -> None:
    attack(name, tmp_path, 5000)
