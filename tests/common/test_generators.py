"""Which generators are trained on: by hand, and the same in the audit and in the report."""

from __future__ import annotations

import pandas as pd

from cyborg.common.generators import (
    compare_generators,
    find_held_generators_trained_on,
    find_sources,
    list_trained_generators,
)

IMAGES = pd.DataFrame(
    [
        ("a", "srefi stylegan2", "train"),
        ("a", "", "train"),
        ("b", "progan", "test"),  # a source that is both trained and tested on, here tested
        ("b", "stargan2", "validation"),
        ("c", "glow", "train"),
    ],
    columns=["source", "generator", "split"],
)


def test_what_a_network_has_learnt_from():
    assert list_trained_generators(IMAGES, ("a", "b")) == {"srefi", "stylegan2", "stargan2"}


def test_a_name_among_several_is_seen():
    trained = list_trained_generators(IMAGES, ["a"])
    assert compare_generators(["stylegan2", ""], trained) == (["stylegan2"], [])
    assert compare_generators(["stylegan", "srefi progan"], trained) == (
        ["srefi"],
        ["progan", "stylegan"],
    )


def test_a_list_may_divide_a_source_but_no_other_source_may_have_its_generator():
    held = find_sources([("x", "one")])
    assert find_held_generators_trained_on(held, find_sources([("x y", "one")])) == []
    (found,) = find_held_generators_trained_on(held, find_sources([("x y", "one"), ("x", "two")]))
    assert found.what == "generator `x` of the test source `one` is trained on: two"
