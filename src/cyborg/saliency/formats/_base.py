"""Define what an annotation format is: how a file is recognised, and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cyborg.saliency.annotation import Annotation
from cyborg.saliency.formats._example import Example


@dataclass(frozen=True)
class Format:
    """A member of the family of formats: the constant `FORMAT` at the end of its module.

    recognise: `recognise(path, head)` tells whether a file or folder is in this format. head is
    the first 64 KiB of a file, and empty for a folder.
    read: `read(path, images)` yields an annotation per image and annotator. images is the folder
    of the pictures, or None if it is not known.
    example: the smallest valid file, and what it marks.
    title: name of the format for people.
    tools: which programs and data sets write such files, and the kind of file.
    reads: sentences that say which shapes and fields are read.
    size: sentences that say where the size of an image comes from.
    skips: sentences that say which parts of a file are left out. Empty if there are none.
    refuses: sentences that say which content is an error, besides broken files.
    general: whether another format that recognises the same content goes first.
    reads_folders: whether `read` reads a folder as a whole, if somebody chooses the format.
    """

    recognise: Callable[[Path, bytes], bool]
    read: Callable[[Path, Path | None], Iterator[Annotation]]
    example: Example
    title: str
    tools: str
    reads: str
    size: str
    skips: str = ""
    refuses: str = ""
    general: bool = False
    reads_folders: bool = False
