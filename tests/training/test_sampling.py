"""The order of an epoch: balanced, shuffled, and seeded."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cyborg.common.seeds import derive_seed
from cyborg.training.sampling import draw_epoch


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2)), min_size=1, max_size=40),
    st.integers(1, 90),
    st.integers(0, 5),
    st.sampled_from(["none", "class", "class_and_source"]),
)
def test_an_epoch_is_balanced_and_repeats_no_image_early(
    rows: list[tuple[int, int]], count: int, seed: int, balance: str
) -> None:
    labels = np.array([label for label, _ in rows])
    sources = np.array([f"{label}{source}" for label, source in rows], dtype=object)
    drawn = draw_epoch(labels, sources, count, balance, np.random.default_rng(seed))
    assert len(drawn) == count
    assert set(drawn) <= set(range(len(rows)))

    def near(values: np.ndarray, among: np.ndarray) -> None:
        counts = [int((values == value).sum()) for value in set(among)]
        assert max(counts) - min(counts) <= 1

    if balance == "none":
        near(drawn, np.arange(len(rows)))
    else:
        near(labels[drawn], labels)
    if balance == "class_and_source":
        for label in set(labels):
            near(sources[drawn][labels[drawn] == label], sources[labels == label])


def test_an_epoch_is_shuffled_and_differs_from_seed_to_seed() -> None:
    labels, sources = np.repeat([0, 1], 50), np.repeat(["a", "b"], 50)
    first, again, other = (
        draw_epoch(labels, sources, 100, "class", np.random.default_rng(s)) for s in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert 10 < labels[first[:50]].sum() < 40  # the classes are mixed, not one after the other


def test_purposes_have_seeds_of_their_own() -> None:
    seeds = [derive_seed(s, "order", e) for s in range(4) for e in range(50)]
    seeds += [derive_seed(s, "augmentation", e) for s in range(4) for e in range(50)]
    assert len(set(seeds)) == 400
    assert all(0 <= seed < 2**63 for seed in seeds)
