"""Draw the images of an epoch in random order, with balanced classes and sources if asked."""

from __future__ import annotations

import numpy as np


def draw_epoch(
    labels: np.ndarray,
    sources: np.ndarray,
    count: int,
    balance: str,
    generator: np.random.Generator,
) -> np.ndarray:
    """Return rows int64 [count] of one epoch in random order.

    labels [N] and sources [N] belong to the images. count: images per epoch. balance: `none`,
    `class` (equal numbers of each class), or `class_and_source` (and of each source within a
    class). An image comes again only after all others of its group. If a number cannot be divided
    evenly, shares differ by one, and the groups that get one more are drawn too.

    >>> labels = np.array([0, 0, 0, 1])
    >>> rows = draw_epoch(labels, labels, 6, "class", np.random.default_rng(0))
    >>> np.bincount(labels[rows])
    array([3, 3])
    """
    groups = [np.arange(len(labels))]
    quotas = np.array([count])
    levels = {"none": [], "class": [labels], "class_and_source": [labels, sources]}[balance]
    for values in levels:
        finer, finer_quotas = [], []
        for group, quota in zip(groups, quotas, strict=True):
            parts = [group[values[group] == value] for value in sorted(set(values[group]))]
            finer += parts
            finer_quotas += list(_divide_evenly(int(quota), len(parts), generator))
        groups, quotas = finer, np.array(finer_quotas)
    drawn = [
        _draw_rows(group, int(quota), generator)
        for group, quota in zip(groups, quotas, strict=True)
    ]
    return generator.permutation(np.concatenate(drawn))


def _divide_evenly(count: int, parts: int, generator: np.random.Generator) -> np.ndarray:
    """Return `count` divided into whole numbers [parts] that differ by one at most."""
    shares = np.full(parts, count // parts)
    shares[generator.permutation(parts)[: count % parts]] += 1
    return shares


def _draw_rows(group: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Return `count` rows of a group: whole random passes over it, the last one cut off."""
    passes = -(-count // len(group))
    rows = [generator.permutation(group) for _ in range(passes)]
    return np.concatenate([*rows, group[:0]])[:count].astype(np.int64)
