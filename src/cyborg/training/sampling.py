"""The order in which an epoch sees the images, with classes and sources balanced where asked."""

from __future__ import annotations

import numpy as np


def order(
    labels: np.ndarray,
    sources: np.ndarray,
    count: int,
    balance: str,
    generator: np.random.Generator,
) -> np.ndarray:
    """Rows int64 [count] of one epoch in random order.

    labels [N] and sources [N] of the images; count: images per epoch. `balance`: `none`,
    `class` (equal numbers of each class) or `class_and_source` (and of each source within a
    class). An image comes again only after all others of its group have come. Numbers that do not
    divide differ by one; which groups get one more is drawn too.
    """
    groups = [np.arange(len(labels))]
    quotas = np.array([count])
    levels = {"none": [], "class": [labels], "class_and_source": [labels, sources]}[balance]
    for values in levels:
        finer, finer_quotas = [], []
        for group, quota in zip(groups, quotas, strict=True):
            parts = [group[values[group] == value] for value in sorted(set(values[group]))]
            finer += parts
            finer_quotas += list(_shares(int(quota), len(parts), generator))
        groups, quotas = finer, np.array(finer_quotas)
    drawn = [
        _draw(group, int(quota), generator) for group, quota in zip(groups, quotas, strict=True)
    ]
    return generator.permutation(np.concatenate(drawn))


def _shares(count: int, parts: int, generator: np.random.Generator) -> np.ndarray:
    """`count` divided into whole numbers that differ by one at most."""
    shares = np.full(parts, count // parts)
    shares[generator.permutation(parts)[: count % parts]] += 1
    return shares


def _draw(group: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """`count` rows of a group: whole random passes over it, the last one cut off."""
    passes = -(-count // len(group))
    rows = [generator.permutation(group) for _ in range(passes)]
    return np.concatenate([*rows, group[:0]])[:count].astype(np.int64)
