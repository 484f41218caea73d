"""Read weights of samples (annotation time, quality …) from the CSV files of the catalogue."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from cyborg.catalogue.members import SHOWN, Member
from cyborg.catalogue.rows import LISTED
from cyborg.catalogue.sources import Source
from cyborg.common.csv_rows import CsvRow, check_exact_header, read_csv_table
from cyborg.common.errors import UserError, UserErrors

HEADER = ["image", "sample_weight"]
NUMBER = re.compile(r"\+?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
# Single precision, in which losses compute, holds these and their inverses.
LEAST, MOST = 1e-30, 1e30


def read_sample_weights(
    members: Iterable[Member], sources: Iterable[Source], root: Path
) -> dict[str, float]:
    """Return the positive weight of each image that its source's file (column `weights`) names.

    A row names an image by its path below the source's folder, or by its file name if only
    one image has it. Rows of images that the source's list leaves out are passed over.

    Raises UserErrors (file:row) with the mistakes of all files: no such file, another header, an
    image that is unknown, ambiguous or there twice, or a weight that is not a positive number.
    """
    inside: dict[str, list[str]] = {}
    for member in members:
        inside.setdefault(member.source, []).append(member.image.removeprefix(f"{member.source}/"))
    weights: dict[str, float] = {}
    mistakes: list[UserError] = []
    for source in sources:
        if not source.weights:
            continue
        try:
            found = _read_weights(source, inside.get(source.name, []), root)
        except UserErrors as error:
            mistakes += error.mistakes
        except UserError as error:
            mistakes.append(error)
        else:
            weights |= {f"{source.name}/{name}": weight for name, weight in found.items()}
    if mistakes:
        raise UserErrors(mistakes)
    return weights


def _read_weights(source: Source, inside: list[str], root: Path) -> dict[str, float]:
    """Return the weights of a source by the path below its folder."""
    paths: dict[str, list[str]] = {}
    for path in inside:
        paths.setdefault(PurePosixPath(path).name, []).append(path)
    paths |= {path: [path] for path in inside}  # a whole path comes before a file name
    weights: dict[str, float] = {}
    first: dict[str, int] = {}
    mistakes: list[UserError] = []
    for row in _read_rows(source, root):
        where = row.location
        try:
            name, weight = _parse_row(row.cells, where)
            meant = paths.get(name, [])
            if not meant and _is_left_out(source, name, root):
                continue
            if len(meant) != 1 or meant[0] in first:
                raise _refuse_name(name, where, source, meant, first, inside)
            weights[meant[0]], first[meant[0]] = weight, row.line
        except UserError as error:
            mistakes.append(error)
            if len(mistakes) == SHOWN:  # the nearest names of a large source take their time
                mistakes.append(
                    UserError("further rows were not looked at", location=source.weights)
                )
                break
    if mistakes:
        raise UserErrors(mistakes)
    if not weights:
        raise UserError(
            f"names no image of `{source.name}`",
            location=source.weights,
            hint=f"name some, or leave the column empty ({source.location}: weights)",
        )
    return weights


def _parse_row(cells: list[str], where: str) -> tuple[str, float]:
    """Return name and weight of a row."""
    if len(cells) != 2:
        raise UserError(
            f"has {len(cells)} cells, not 2",
            location=where,
            hint="a row is image,sample_weight. Numbers have a decimal point",
        )
    name, text = cells
    weight = float(text) if NUMBER.fullmatch(text) else 0.0
    if not LEAST <= weight <= MOST:
        raise UserError(
            f"`{text}` is not a positive number",
            location=where,
            hint=f"a number from {LEAST:g} to {MOST:g}. Leave out images without weight",
        )
    return PurePosixPath(name).as_posix(), weight


def _is_left_out(source: Source, name: str, root: Path) -> bool:
    """Return whether an image exists that the source's list leaves out."""
    path = PurePosixPath(name)
    apart = path.is_absolute() or ".." in path.parts
    if source.label != LISTED or apart:
        return False
    try:
        return (root / source.path / path).is_file()
    except OSError:  # a name that no file can have
        return False


def _refuse_name(
    name: str,
    location: str,
    source: Source,
    meant: list[str],
    first: dict[str, int],
    inside: list[str],
) -> UserError:
    """Say why a name does not stand for exactly one image that has no weight yet."""
    if len(meant) == 1:
        what, hint = f"duplicate `{meant[0]}`", f"first in row {first[meant[0]]}"
    elif meant:
        what = f"{len(meant)} images of `{source.name}` are named `{name}`"
        hint = f"write the path below {source.path}, such as `{meant[0]}`"
    else:
        what = f"`{name}` is no image of `{source.name}`"
        near = difflib.get_close_matches(name, inside, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        hint += f"expected: its path below {source.path}"
    return UserError(what, location=location, hint=hint)


def _read_rows(source: Source, root: Path) -> Iterator[CsvRow]:
    """Yield the rows below the header, whose form is checked."""
    if not (root / source.weights).exists():
        raise UserError(
            f"there is no file `{source.weights}`",
            location=f"{source.location}: weights",
            hint="bring it, or leave the column empty if the images have no weights",
        )
    table = read_csv_table(root / source.weights, source.weights)
    check_exact_header(table.header, HEADER)
    yield from table.rows
