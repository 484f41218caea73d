"""Mutated files: every reader answers each with a UserError or with annotations, and soon.

Quick: 150 mutations per reader; slow (`-m slow`): 5,000. Both are the same ones on each run.
"""

from __future__ import annotations

import inspect
import json
import re
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

import cyborg.saliency.formats
from cyborg import registry
from cyborg.errors import UserError
from cyborg.saliency.annotation import Annotation
from reading import HERE

SEEDS = {
    "coco": ["coco.json", "coco_rle.json"],
    "cvat": ["cvat.xml", "cvat_mask.xml", "cvat_more.xml"],
    "eyetagger": ["eyetagger/api_annotation.csv"],
    "fixations": ["fixations.csv", "gaze.csv", "salicon.json", "osie.mat", "1041.mat"],
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
# Seconds that one small file may take, on a busy machine.
LIMIT = 10.0

NASTY: list[Any] = [
    None,
    True,
    "",
    "x",
    "../../etc/passwd",
    "\ud800",
    "\0",
    "data:text/html;base64,AAAA",
    "data:image/png;base64,AAAA",
    0,
    -1,
    0.5,
    1e9,
    10**9,
    1e308,
    -1e308,
    2**63,
    10**400,
    [],
    {},
    [[]],
    [[0, 0]],
    [[0, 0]] * 3,
    [None],
    {"a": {}},
    [[1e9, 1e9], [0, 0]],
    [255] * 40,
    [0] * 40,
]
TEXTS = [
    b"", b"0", b"-1", b"1e309", b"-1e308", b"nan", b"inf", b"1000000000", b"99999999999999999999",
    b"x", b"\xff", b"\0", b"{", b"[", b"}", b'"', b"<", b">", b"&a;", b",", b";", b"\n", b"  ",
    b"true", b"null", b"undefined", b"../../x", b"9" * 5000, b"[" * 3000, b"<a>" * 300,
    b'<!DOCTYPE a [<!ENTITY a "b">]>', b"0, 1, 2", b"0,4000000000",
]  # fmt: skip


def mutated(data: bytes, random: Random) -> bytes:
    """One to four changes of a file's bytes, of its tokens, or of the values of its JSON."""
    for _ in range(random.randint(1, 4)):
        change = random.choice((_bytes, _bytes, _token, _token, _value))
        data = change(data, random)
    return data


def _bytes(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data) + 1)
    stop = min(len(data), start + random.choice((1, 1, 2, 8, 64)))
    kind = random.randrange(6)
    if kind == 0:  # cut short
        return data[:start]
    if kind == 1:  # leave out
        return data[:start] + data[stop:]
    if kind == 2:  # twice
        return data[:stop] + data[start:]
    if kind == 3:  # insert
        return data[:start] + random.choice(TEXTS) + data[start:]
    if kind == 4:  # other bytes
        return data[:start] + random.randbytes(stop - start) + data[stop:]
    if start == len(data):
        return data
    flipped = data[start] ^ (1 << random.randrange(8))
    return data[:start] + bytes([flipped]) + data[start + 1 :]


def _token(data: bytes, random: Random) -> bytes:
    """Replace a number, word or text."""
    found = list(re.finditer(rb'-?\d+\.?\d*|[A-Za-z_]+|"[^"\n]{0,80}"', data[:20000]))
    if not found:
        return _bytes(data, random)
    token = random.choice(found)
    return data[: token.start()] + random.choice(TEXTS) + data[token.end() :]


def _value(data: bytes, random: Random) -> bytes:
    """Replace, delete or nest a value anywhere in JSON."""
    try:
        root = json.loads(data)
    except (ValueError, RecursionError):
        return _token(data, random)
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            places.append((value, key))
            if isinstance(inner, dict | list) and len(places) < 3000:
                walk(inner)

    if isinstance(root, dict | list):
        walk(root)
    if not places:
        return _bytes(data, random)
    container, key = random.choice(places)
    kind = random.randrange(4)
    if kind == 0:
        del container[key]
    elif kind == 1:
        value: Any = container[key]
        for _ in range(random.choice((1, 5, 400))):
            value = [value]
        container[key] = value
    else:
        container[key] = random.choice(NASTY)
    return json.dumps(root).encode("utf-8", "replace")


def consume(reader: Any, path: Path, images: Path) -> Iterator[Annotation]:
    if "images" in inspect.signature(reader.read).parameters:
        yield from reader.read(path, images=images)
    else:
        yield from reader.read(path)


def check(reader: Any, path: Path, images: Path) -> None:
    """Reading ends soon, in annotations that are sound, or in a UserError that names the file."""
    started = time.monotonic()
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
    assert time.monotonic() - started < LIMIT


def test_every_reader_has_files_to_mutate() -> None:
    assert sorted(SEEDS) == registry.names(cyborg.saliency.formats)


@pytest.mark.parametrize("name", sorted(SEEDS))
def test_unchanged_files_are_read(name: str) -> None:
    reader = registry.find(cyborg.saliency.formats, name)
    for file in SEEDS[name]:
        assert list(consume(reader, HERE / file, HERE / "images"))


def attack(name: str, folder: Path, examples: int) -> None:
    reader = registry.find(cyborg.saliency.formats, name)
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


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SEEDS))
def test_mutated_many_times(name: str, tmp_path: Path) -> None:
    attack(name, tmp_path, 5000)
