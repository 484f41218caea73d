"""Tell which generators of fake images are trained on: the one rule for audit and report.

A cell of the column `generator` names the generators of a source, separated by blanks, and none
for real images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from cyborg.common.errors import UserError

# Parts that decide a trained network: one is learnt, the other selects the epoch.
TRAINING_PARTS = ("train", "validation")


def list_generators(cells: Iterable[str]) -> set[str]:
    """Return the generators named in cells of a column `generator`.

    >>> sorted(list_generators(["stylegan2", "srefi stylegan2", ""]))
    ['srefi', 'stylegan2']
    """
    return {name for cell in set(cells) for name in cell.split()}


def find_sources(cells: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Return the sources of each generator. cells: column `generator` and source.

    >>> find_sources([("srefi stylegan2", "a"), ("srefi", "b"), ("", "c")]) == {
    ...     "srefi": {"a", "b"}, "stylegan2": {"a"}
    ... }
    True
    """
    found: dict[str, set[str]] = {}
    for cell, source in set(cells):
        for name in list_generators([cell]):
            found.setdefault(name, set()).add(source)
    return found


def list_trained_generators(images: pd.DataFrame, sources: Sequence[str]) -> set[str]:
    """Return the generators of the images that a network trained on `sources` has learnt from.

    images: columns `source`, `generator` and `split`. Images for validation count, because they
    select the epoch.
    """
    rows = images["source"].isin(sources) & images["split"].isin(TRAINING_PARTS)
    return list_generators(images.loc[rows, "generator"])


def compare_generators(
    tested: Iterable[str], trained: Iterable[str]
) -> tuple[list[str], list[str]]:
    """Return the generators in cells of tested images: those that are trained on, and the others.

    >>> compare_generators(["stylegan2", "progan", ""], {"srefi", "stylegan2"})
    (['stylegan2'], ['progan'])
    """
    own, trained = list_generators(tested), set(trained)
    return sorted(own & trained), sorted(own - trained)


def find_held_generators_trained_on(
    held: Mapping[str, set[str]], trained: Mapping[str, set[str]]
) -> list[UserError]:
    """Return an error for each generator that is kept for testing and trained on nevertheless.

    held, trained: sources of each generator. Those of `held` have the role `test`. A list may
    divide one source itself, so that only other sources of the generator must not be trained on.
    """
    return [
        UserError(
            f"generator `{name}` of the test source `{min(sources)}` is trained on: "
            f"{', '.join(others)}",
            location="params.yaml: data.training_sets",
            hint="take it out of training, or give the test source the role `any`",
        )
        for name, sources in sorted(held.items())
        if (others := sorted(trained.get(name, set()) - sources))
    ]
