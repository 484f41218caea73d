"""Define what an annotation format is: how a file is recognised, and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cyborg.saliency.annotation import Annotation


@dataclass(frozen=True)
class Format:
    """A member of the family of formats: the constant `FORMAT` at the end of its module.

    recognise: `recognise(path, head)` tells whether a file or folder is in this format. head is
    the first 64 KiB of a file, and empty for a folder.
    read: `read(path, images)` yields what the file says. images is the folder of the pictures, or
    None if it is not known.
    general: whether another format that recognises the same content goes first.
    """

    recognise: Callable[[Path, bytes], bool]
    read: Callable[[Path, Path | None], Iterator[Annotation]]
    general: bool = False
