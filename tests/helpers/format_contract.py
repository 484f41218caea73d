"""State what every annotation format must do. The tests run this for each of them.

The checks read the example in the format's own module, and the further files in
tests/saliency/formats/examples/<format>. A new format is checked without an edit here.
"""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path, PurePath
from random import Random

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from cyborg.common.errors import UserError
from cyborg.common.families import FORMATS
from cyborg.saliency.annotation import Annotation
from cyborg.saliency.pictures import read_grey_map
from cyborg.saliency.read import read_annotations
from mutations import mutate
from reading import EXAMPLES, fill_shapes, read, recognise

Check = Callable[[str, Path], None]

# Seconds of processor time that reading one small file may take.
TIME_LIMIT = 10.0
# First bytes of files that are one document: half of it is never valid.
DOCUMENTS = (b"{", b"[", b"<", b"\x89PNG", b"MATLAB")


def write_example(name: str, folder: Path) -> Path:
    """Write the files of a format's example and return the one that is read."""
    example = FORMATS.find(name).example
    for path in example.files:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(example.content(path))
    return folder / example.path


def write_image(name: str, folder: Path) -> Path:
    """Write a blank picture for the image of a format's example and return its folder."""
    example = FORMATS.find(name).example
    height, width = example.pixels().shape
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("L", (width, height)).save(folder / f"{PurePath(example.image).stem}.png")
    return folder


def number_pixels(annotation: Annotation, shape: tuple[int, int]) -> np.ndarray:
    """Return the number of the region that marks each pixel, as `Example.pixels` does."""
    result = np.zeros(shape, dtype=np.uint8)
    heat = read_grey_map(annotation.heat_file) if annotation.heat_file else annotation.heat
    if heat is not None:
        assert heat.shape == shape
        result[heat > 0] = 1
    positions = annotation.fixations if annotation.samples is None else annotation.samples
    if positions is not None:
        columns, rows = np.floor(positions[:, :2]).astype(int).T
        result[rows, columns] = 1
    for number, region in enumerate(annotation.regions, start=1):
        result[fill_shapes(region.shapes, shape[1], shape[0])] = number
    return result


def check_record(name: str) -> None:
    """The record says in sentences what the documentation needs."""
    record = FORMATS.find(name)
    assert record.title
    assert record.tools
    for sentences in (record.reads, record.size, record.skips, record.refuses):
        assert sentences == "" or sentences[0].isupper() or sentences[0] == "`"
        assert sentences == "" or sentences.endswith(".")
    assert record.reads
    assert record.size


def check_recognised(name: str, folder: Path) -> None:
    """The example is recognised as this format and no other, and can be read without its name."""
    path = write_example(name, folder / "annotations")
    images = write_image(name, folder / "images")
    assert recognise(path) == [name]
    found = list(read_annotations(path, images=images))
    assert [annotation.image for annotation in found] == [FORMATS.find(name).example.image]


def check_read(name: str, folder: Path) -> None:
    """Reading gives the image, its size, the labels, and every pixel that the example states."""
    example = FORMATS.find(name).example
    path = write_example(name, folder / "annotations")
    (annotation,) = read(name, path, write_image(name, folder / "images"))
    expected = example.pixels()
    height, width = expected.shape
    assert annotation.image == example.image
    if example.states_size:
        assert annotation.size == (width, height)
    else:
        assert annotation.size in (None, (width, height))
    assert tuple(region.label for region in annotation.regions) == example.labels
    assert number_pixels(annotation, (height, width)).tolist() == expected.tolist()


def check_other_readers(name: str, folder: Path) -> None:
    """Every other reader refuses the example, or finds the same pixels in it."""
    path = write_example(name, folder / "annotations")
    images = write_image(name, folder / "images")
    marked = FORMATS.find(name).example.pixels() > 0
    for other in FORMATS.list_names():
        try:
            found = read(other, path, images)
            pixels = [number_pixels(annotation, marked.shape) > 0 for annotation in found]
        except UserError:
            continue
        assert np.any(pixels, axis=0).tolist() == marked.tolist(), other


def check_byte_order_mark(name: str, folder: Path) -> None:
    """A text file that begins with a byte order mark is recognised and reads the same."""
    path = write_example(name, folder / "annotations")
    images = write_image(name, folder / "images")
    content = path.read_bytes()
    try:
        content.decode()
    except UnicodeDecodeError:
        return
    (before,) = read(name, path, images)
    path.write_bytes(b"\xef\xbb\xbf" + content)
    assert recognise(path) == [name]
    (after,) = read(name, path, images)
    # Written out, since an unknown time (NaN) does not equal itself.
    assert repr(after) == repr(before)


def check_cut_and_empty(name: str, folder: Path) -> None:
    """Half a document is an error that names the file, and an empty file marks nothing."""
    path = write_example(name, folder / "annotations")
    images = write_image(name, folder / "images")
    content = path.read_bytes()
    shape = FORMATS.find(name).example.pixels().shape
    for length in (len(content) // 2, 0):
        path.write_bytes(content[:length])
        recognise(path)
        try:
            pixels = [number_pixels(found, shape) for found in read(name, path, images)]
        except UserError:
            continue
        assert not (length and content.lstrip().startswith(DOCUMENTS))
        assert length or not np.any(pixels)


def list_seeds(name: str, folder: Path) -> list[Path]:
    """Copy the example and the further files of a format; return those in this format."""
    write_example(name, folder)
    if (EXAMPLES / name).is_dir():
        shutil.copytree(EXAMPLES / name, folder, dirs_exist_ok=True)
    return [
        path for path in sorted(folder.rglob("*")) if path.is_file() and recognise(path) == [name]
    ]


def check_reading_ends(name: str, path: Path, images: Path) -> None:
    """Reading ends soon, in annotations that are sound, or in a UserError that names the file."""
    started = time.process_time()
    where: object = path
    try:
        for annotation in read(name, path, images):
            annotation.image.encode()
            for region in annotation.regions:
                for shape in region.shapes:
                    assert np.isfinite(np.array(shape.points)).all()
    except UserError as error:
        error.text().encode()
        where = error.location
    assert where is not None
    assert time.process_time() - started < TIME_LIMIT


def check_mutations(name: str, folder: Path, count: int) -> None:
    """No mutation of any file of the format leads to a traceback. The same ones on each run."""
    images = write_image(name, folder / "images")
    # A mutated file keeps its name, on which the name of the image or part may depend.
    seeds = [(path, path.read_bytes()) for path in list_seeds(name, folder / "annotations")]
    record = FORMATS.find(name)

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(which=st.integers(0, len(seeds) - 1), random=st.randoms(use_true_random=False))
    def read_mutated_file(which: int, random: Random) -> None:
        path, content = seeds[which]
        changed = mutate(content, random)
        path.write_bytes(changed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            record.recognise(path, changed[: 64 * 1024])
            check_reading_ends(name, path, images)
        path.write_bytes(content)

    read_mutated_file()
