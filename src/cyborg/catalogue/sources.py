"""Read and check the catalogue of data sets, data/sources.csv, and find the rows in use."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from cyborg.catalogue.rows import (
    FETCHED,
    LISTED,
    Related,
    check_row,
    parse_related,
    read_catalogue_rows,
)
from cyborg.common.errors import UserError, UserErrors
from cyborg.common.generators import find_held_generators_trained_on, find_sources
from cyborg.common.registry import suggest_name

if TYPE_CHECKING:
    from cyborg.config.experiment import Experiment


@dataclass(frozen=True)
class Source:
    """One row of the catalogue (docs/formats.md#sources).

    Absent text is "". Unknown `sha256` and `count` are None. `location` is the place
    in the catalogue, `file:row`, for messages.
    """

    name: str
    label: str
    generator: str = ""
    role: str = "any"
    access: str = "local"
    url: tuple[str, ...] = ()
    path: str = ""
    list: str = ""  # after this line `list` is a field: write no annotation with it here
    annotations: str = ""
    segmentation: str = ""
    weights: str = ""
    related: tuple[Related, ...] = ()
    sha256: str | None = None
    count: int | None = None
    licence: str = ""
    citation: str = ""
    instructions: str = ""
    location: str = ""

    @property
    def store(self) -> str | None:
        """Return the folder below data/fetched that holds it, None if the user brings a folder."""
        parts = PurePosixPath(self.path).parts
        return parts[2] if parts[:2] == ("data", "fetched") and len(parts) > 2 else None


def read_catalogue(path: str | Path) -> dict[str, Source]:
    """Read and check the catalogue. Return its sources by name, in the order of the file.

    Raises UserErrors with `file:row: column` of every mistake of the file at once.
    """
    found: list[UserError] = []
    sources: dict[str, Source] = {}
    stores: dict[str, Source] = {}
    for row, cells in read_catalogue_rows(Path(path)):
        mistakes = check_row(cells, row.location)
        if mistakes:
            found += mistakes
            continue
        source = _make_source(cells, row.location)
        first = sources.setdefault(source.name, source)
        if first is not source:
            what = f"duplicate `{source.name}`"
            found.append(
                UserError(
                    what, location=f"{source.location}: name", hint=f"first in {first.location}"
                )
            )
        elif source.store and stores.setdefault(source.store, source).url != source.url:
            found.append(
                UserError(
                    f"two archives would be unpacked into `{FETCHED}/{source.store}`",
                    location=f"{source.location}: path",
                    hint=f"give the url of {stores[source.store].location}, or another folder",
                )
            )
    if found:
        raise UserErrors(found)
    return sources


def find_used_sources(experiment: Experiment, root: Path = Path()) -> dict[str, Source]:
    """Return the sources that the experiment's training and test sets name, sorted by name.

    Raises UserErrors if a name is not in the catalogue, a source's role or label does not
    fit the set, a set lacks a class, or a generator of a test source is trained on.
    """
    path = root / experiment.data.catalogue
    known = read_catalogue(path)
    found: list[UserError] = []
    for kind, sets in (
        ("training_sets", experiment.data.training_sets),
        ("test_sets", experiment.data.test_sets),
    ):
        for name, names in sets.items():
            where = f"data.{kind}.{name}"
            members = [known[member] for member in names if member in known]
            for member in names:
                if member not in known:
                    what = f"`{member}` is not in {experiment.data.catalogue}"
                    found.append(
                        UserError(what, location=where, hint=suggest_source(member, known))
                    )
            found += _check_roles(kind, members, where)
            if len(members) == len(names):
                found += _check_classes(kind, members, experiment.classes, where)
    found += _check_generators(experiment, known)
    for source in (known[name] for name in experiment.data.list_sources() if name in known):
        if source.label not in (LISTED, *experiment.classes):
            found.append(
                UserError(
                    f"`{source.label}` is not among the classes of the experiment",
                    location=f"{source.location}: label",
                    hint=suggest_name(source.label, experiment.classes),
                )
            )
    if found:
        raise UserErrors(found)
    return {name: known[name] for name in experiment.data.list_sources()}


def suggest_source(name: str, known: Iterable[str]) -> str:
    """Return a hint for a name that is not in the catalogue."""
    like = difflib.get_close_matches(name, list(known), n=1)
    return (f"did you mean `{like[0]}`? " if like else "") + "`cyborg sources` lists all"


def _make_source(cells: dict[str, str], location: str) -> Source:
    values: dict[str, object] = {
        f.name: cells[f.name] for f in fields(Source) if f.name != "location"
    }
    for column in ("path", "list", "annotations", "segmentation", "weights"):
        values[column] = str(PurePosixPath(cells[column])) if cells[column] else ""
    values["url"] = tuple(cells["url"].split())
    values["related"] = tuple(parse_related(text) for text in cells["related"].split())
    digest = cells["sha256"].lower()
    values["sha256"] = digest if digest not in ("", "unknown") else None
    values["count"] = int(cells["count"]) if cells["count"] else None
    return Source(**values, location=location)  # type: ignore[arg-type]


def _check_roles(kind: str, members: list[Source], where: str) -> list[UserError]:
    if kind == "training_sets":
        return [
            UserError(
                f"`{source.name}` is a test source and cannot be trained on",
                location=where,
                hint=f"take it out, or change its role ({source.location})",
            )
            for source in members
            if source.role == "test"
        ]
    found = []
    for source in members:
        if source.role in ("train", "validation"):
            why = f"its role is `{source.role}`"
        elif source.label == LISTED and source.role == "any":
            why = "its list divides training from validation"
        else:
            continue
        what = f"`{source.name}` has no test images: {why}"
        hint = f"take it out, or give it the role `test` ({source.location})"
        found.append(UserError(what, location=where, hint=hint))
    return found


def _check_generators(experiment: Experiment, known: dict[str, Source]) -> list[UserError]:
    """Return a mistake for each generator of a test source that a training set has, too."""

    def find_in(sets: dict[str, list[str]], roles: tuple[str, ...]) -> dict[str, set[str]]:
        used = {known[name] for names in sets.values() for name in names if name in known}
        return find_sources((one.generator, one.name) for one in used if one.role in roles)

    return find_held_generators_trained_on(
        find_in(experiment.data.test_sets, ("test",)),
        find_in(experiment.data.training_sets, ("train", "validation", "any")),
    )


def _check_classes(
    kind: str, members: list[Source], classes: list[str], where: str
) -> list[UserError]:
    """Return a mistake for each class that a set lacks.

    Training needs all classes. A test set needs the last class and another one.
    """
    labels = {source.label for source in members}
    if LISTED in labels or not labels <= set(classes):
        # The split stage counts what a list holds. `find_used_sources` reports wrong labels.
        return []
    if kind == "training_sets":
        absent = [label for label in classes if label not in labels]
    elif classes[-1] not in labels:
        absent = [classes[-1]]
    else:
        absent = [classes[0]] if labels == {classes[-1]} else []
    return [
        UserError(f"has no images of class `{label}`", location=where, hint="add a source of it")
        for label in absent
    ]
