"""Read annotations of any format. The format is recognised by content."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cyborg.common.errors import UserError
from cyborg.common.families import FORMATS
from cyborg.saliency.annotation import Annotation
from cyborg.saliency.formats._base import Format

# Bytes at the beginning of a file by which its format is recognised.
HEAD = 64 * 1024


def read_annotations(
    path: str | Path, format: str = "auto", images: Path | None = None
) -> Iterator[Annotation]:
    """Yield the annotations of a file or folder, in a fixed order.

    format: a module in cyborg/saliency/formats, or `auto`. images: the folder of the images, for
    formats that do not state the size of an image. A folder that no format takes as a whole is
    read file by file, sorted. If a file names no annotator, the file stands for one.

    Raises UserError if the format is unknown or not certain, and whatever the reader raises.
    """
    path = Path(path)
    if not path.exists():
        raise UserError("there is no such file or folder", location=path)
    try:
        yield from _read_path(path, format, images)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror or error}", location=path) from error


def _read_path(path: Path, format: str, images: Path | None) -> Iterator[Annotation]:
    readers = _import_readers(format)
    if path.is_file():
        reader = _recognise_file(path, readers) if format == "auto" else readers[format]
        yield from reader.read(path, images)
        return
    if format != "auto" and readers[format].reads_folders:
        yield from readers[format].read(path, images)
        return
    whole = _list_formats(path, readers)
    if len(whole) > 1:
        raise _make_ambiguity_error(path, whole)
    if whole:
        yield from readers[whole[0]].read(path, images)
        return
    files, reader = _select_files(path, readers, format)
    first: dict[str, str] = {}
    shared: list[tuple[str, str]] = []
    for file in files:
        name = file.relative_to(path).as_posix()
        for annotation in reader.read(file, images):
            named = annotation.annotator or len(files) == 1
            if not named and first.setdefault(annotation.image, name) != name:
                shared.append((annotation.image, name))
            yield annotation if named else replace(annotation, annotator=name)
    if shared:
        image, name = shared[0]
        warnings.warn(
            f"{path}: {len(shared)} images are marked in several files, each of which counts as "
            f"an annotator (the first is `{image}`, in {first[image]} and {name})",
            stacklevel=2,
        )


def _import_readers(format: str) -> dict[str, Format]:
    names = FORMATS.list_names() if format == "auto" else [format]
    return {name: FORMATS.find(name) for name in names}


def _list_formats(path: Path, readers: dict[str, Format]) -> list[str]:
    """Return the names of the formats that recognise a file or folder.

    A general format counts only if no other recognises it.
    """
    head = b""
    if path.is_file():
        with path.open("rb") as handle:
            head = handle.read(HEAD)
    found = [name for name, reader in readers.items() if reader.recognise(path, head)]
    special = [name for name in found if not readers[name].general]
    return special or found


def _recognise_file(path: Path, readers: dict[str, Format]) -> Format:
    found = _list_formats(path, readers)
    if not found:
        raise UserError(
            "no annotation format recognises this file",
            location=path,
            hint=f"choose one with --format NAME, or `format` in params.yaml: {', '.join(readers)}",
        )
    if len(found) > 1:
        raise _make_ambiguity_error(path, found)
    return readers[found[0]]


def _make_ambiguity_error(path: Path, found: list[str]) -> UserError:
    return UserError(
        f"may be {' or '.join(found)}",
        location=path,
        hint="choose one with --format (`format` in params.yaml)",
    )


def _select_files(path: Path, readers: dict[str, Format], format: str) -> tuple[list[Path], Format]:
    """Return the annotation files of a folder, sorted, and the one format that they are in.

    Files of other kinds (images, notes) are skipped. A file that is not recognised although it
    has the extension of those that are is an error: it is broken or of another format.
    """
    everything = [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    taken: dict[Path, str] = {}
    for file in everything:
        found = _list_formats(file, readers)
        if len(found) > 1:
            raise _make_ambiguity_error(file, found)
        # Pictures beside annotation files are what was annotated, not ready-made maps.
        if found and (format != "auto" or not readers[found[0]].general):
            taken[file] = found[0]
    formats = sorted(set(taken.values()))
    if not formats and format == "auto":
        known = f"known: {', '.join(readers)}"
        raise UserError("holds no annotations of a known format", location=path, hint=known)
    if not formats:
        raise UserError(
            f"holds no annotations in format `{format}`",
            location=path,
            hint="choose another --format",
        )
    if len(formats) > 1:
        raise UserError(
            f"holds annotations in several formats: {', '.join(formats)}",
            location=path,
            hint="choose one with --format (`format` in params.yaml)",
        )
    endings = {file.suffix.lower() for file in taken}
    others = [f for f in everything if f not in taken and f.suffix.lower() in endings]
    if others and format == "auto":
        raise UserError(
            f"is not in format {formats[0]} like its neighbours",
            location=others[0],
            hint="it may be cut short. Repair it, or move it out of the folder",
        )
    if others:
        warnings.warn(
            f"{path}: {len(others)} files are not in format {format} and are left out (the first "
            f"is `{others[0].relative_to(path)}`)",
            stacklevel=2,
        )
    return list(taken), readers[formats[0]]
