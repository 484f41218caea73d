"""Define the example of an annotation format: its smallest valid file and the pixels it marks."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

DRAWING = """\
111....
11.....
1......
....22.
....22.
"""
"""The drawing that most examples hold: a triangle and a square in an image of 7×5 pixels."""


@dataclass(frozen=True)
class Example:
    """The smallest valid file of a format, which the tests of all formats read.

    files: content of each file by its path in a folder. The first one is read.
    marked: one line per row of the image, one character per pixel. `1` is a pixel of the first
    region, `2` of the second, `.` of none. In a map, and in recorded gaze, all marks are `1`.
    labels: label of each region, in order. Empty for maps and recorded gaze.
    image: name of the image as the file states it.
    states_size: whether the file states the size of the image.
    """

    files: Mapping[str, str | bytes]
    marked: str = DRAWING
    labels: tuple[str, ...] = ("eye", "mouth")
    image: str = "drawing.png"
    states_size: bool = True

    @property
    def path(self) -> str:
        """Return the path of the file that is read."""
        return next(iter(self.files))

    def content(self, path: str) -> bytes:
        """Return the content of one of the files."""
        content = self.files[path]
        return content if isinstance(content, bytes) else content.encode()

    def pixels(self) -> np.ndarray:
        """Return `marked` as an array, uint8 [H,W]: the number of the region, 0 for none.

        >>> Example({}, marked="..1\\n.22\\n").pixels().tolist()
        [[0, 0, 1], [0, 2, 2]]
        """
        rows = self.marked.replace(".", "0").splitlines()
        return np.array([[int(pixel) for pixel in row] for row in rows], dtype=np.uint8)


def encode_png(values: np.ndarray) -> bytes:
    """Return a grey PNG picture of the values, uint8 [H,W]."""
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()
