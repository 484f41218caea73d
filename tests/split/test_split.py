"""Splitting: rules by hand, properties by hypothesis, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cyborg.common.errors import UserError
from cyborg.config.experiment import Experiment, Split
from cyborg.split.duplicates import (
    Thumbnails,
    correlate_thumbnails,
    find_near_duplicates,
    find_near_hashes,
    join_groups,
    parse_hashes,
)
from cyborg.split.split import assign_parts, draw_number, split
from paths import SHARED

HALF = Split(validation=0.25, test=0.25, seed=0)


def rows(*cells: tuple[str, str, str, str]) -> pd.DataFrame:
    """Images from (source, label, group, role)."""
    frame = pd.DataFrame(cells, columns=["source", "label", "group", "role"]).astype(object)
    return frame.assign(image=[f"{row.source}/{n}.png" for n, row in enumerate(frame.itertuples())])


def group_with(low: float, high: float, seed: int = 0) -> str:
    """A group name whose draw lies between low and high."""
    return next(name for name in map(str, range(10_000)) if low <= draw_number(seed, name) < high)


def test_a_draw_is_the_known_hash() -> None:
    # The first 13 digits that `printf 0/a | sha256sum` prints.
    assert draw_number(0, "a") == 0xD3216B8DC7C46 / 16**13
    assert draw_number(1, "a") != draw_number(0, "a")


def test_every_rule_by_hand() -> None:
    low, middle, high = group_with(0.1, 0.2), group_with(0.3, 0.4), group_with(0.7, 0.8)
    images = rows(
        ("train_only", "a", low, "any"),  # u below validation
        ("train_only", "a", high, "any"),
        ("train_only", "a", middle, "any"),  # its group has a row of a source of both kinds
        ("both", "b", middle, "any"),
        ("both", "b", low + "x", "train"),  # role kept
        ("both", "b", low + "y", "validation"),
        ("both", "b", low + "z", "test"),
        ("test_only", "b", "t", "any"),
        ("train_only", "a", "t", "any"),  # with a test image: not used
        ("both", "b", "t", "any"),
        ("train_only", "a", "t", "train"),  # not even with a role
        ("test_only", "b", "u", "train"),  # nothing trains on it
        ("train_only", "a", low + "x", "any"),  # follows the fixed row
        ("train_only", "a", low + "y", "any"),
    )
    parts = assign_parts(images, {"set": ["train_only", "both"]}, ["both", "test_only"], HALF)
    assert parts.tolist() == [
        "validation", "train", "", "test", "train", "validation", "test", "test", "", "test", "",
        "", "train", "validation",
    ]  # fmt: skip


def test_a_source_that_is_only_trained_on_has_no_test_part() -> None:
    middle, high = group_with(0.3, 0.4), group_with(0.7, 0.8)
    images = rows(("s", "a", middle, "any"), ("s", "a", high, "any"), ("s", "a", "x", "any"))
    assert "test" not in set(assign_parts(images, {"set": ["s"]}, [], HALF))


def test_small_classes_have_a_validation_image_and_a_training_image() -> None:
    highs = [name for name in map(str, range(200)) if draw_number(0, name) > 0.9][:3]
    lows = [name for name in map(str, range(200)) if draw_number(0, name) < 0.2][:3]
    images = rows(*[("s", "a", name, "any") for name in highs + highs])
    images = pd.concat([images, rows(*[("s", "b", name, "any") for name in lows])])
    images = images.reset_index(drop=True)
    parts = assign_parts(images, {"set": ["s"]}, [], HALF)
    lowest = min(highs, key=lambda name: draw_number(0, name))
    assert parts[:6].tolist() == [("validation" if n == lowest else "train") for n in highs * 2]
    highest = max(lows, key=lambda name: draw_number(0, name))
    assert parts[6:].tolist() == [("train" if n == highest else "validation") for n in lows]
    none = assign_parts(images, {"set": ["s"]}, [], Split(validation=0, test=0))
    assert set(none) == {"train"}
    single = assign_parts(images[:1], {"set": ["s"]}, [], HALF)
    assert single.tolist() == ["train"]


CELL = st.tuples(
    st.sampled_from(["t1", "t2", "both", "only"]),
    st.sampled_from(["a", "b"]),
    st.integers(0, 12).map(str),
    st.sampled_from(["any", "any", "any", "train", "validation", "test"]),
)
SETS = {"one": ["t1", "both"], "two": ["t2", "both"]}


@settings(deadline=None, max_examples=150)
@given(st.lists(CELL, min_size=1, max_size=40), st.integers(0, 3))
def test_no_group_is_in_training_and_test(cells: list[Any], seed: int) -> None:
    images = rows(*cells)
    images["part"] = assign_parts(images, SETS, ["both", "only"], Split(seed=seed))
    for _, group in images.groupby("group"):
        parts = set(group["part"])
        assert not ("test" in parts and parts & {"train", "validation"})
        drawn = group[group["role"] == "any"]["part"]
        assert len(set(drawn) & {"train", "validation"}) <= 1
    assert set(images.loc[images["source"] == "only", "part"]) <= {"test", ""}


@settings(deadline=None, max_examples=50)
@given(st.sets(st.integers(0, 10_000), min_size=60, max_size=90), st.integers(0, 20))
def test_new_images_do_not_move_old_ones(numbers: set[int], new: int) -> None:
    old = [("both", "ab"[n % 2], str(n), "any") for n in sorted(numbers)]
    more = old + [("both", "a", f"new{n}", "any") for n in range(new)]
    first = assign_parts(rows(*old), SETS, ["both"], Split(validation=0.3))
    second = assign_parts(rows(*more), SETS, ["both"], Split(validation=0.3))
    assert second[: len(old)].tolist() == first.tolist()


def test_shares_are_near_the_fractions_in_every_source_and_class() -> None:
    images = rows(*[("both", label, f"{label}{n}", "any") for label in "ab" for n in range(2000)])
    parts = assign_parts(images, {"one": ["both"]}, ["both"], Split(validation=0.15, test=0.2))
    for label in "ab":
        share = parts[images["label"] == label].value_counts(normalize=True)
        # four standard deviations of a binomial share of 2000
        assert abs(share["validation"] - 0.15) < 0.032
        assert abs(share["test"] - 0.2) < 0.036


def test_near_hashes_are_all_that_and_no_others() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2**63, 40, dtype=np.uint64)
    flipped = base ^ np.uint64(0b1011)
    found = {
        (i, j, d)
        for a, b, c in find_near_hashes(base, flipped, 3)
        for i, j, d in zip(a, b, c, strict=True)
    }
    assert found == {(i, i, 3) for i in range(40)}
    assert not list(find_near_hashes(base, flipped, 2))
    within = [(i, j) for a, b, _ in find_near_hashes(np.append(base, base[:2]), None, 0)
              for i, j in zip(a, b, strict=True)]  # fmt: skip
    assert within == [(0, 40), (1, 41)]
    assert parse_hashes(["00000000000000ff", "8000000000000000"]).tolist() == [255, 2**63]
    with pytest.raises(ValueError, match="16"):
        parse_hashes(["ff"])


def test_correlation_of_thumbnails() -> None:
    ramp = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    flat = np.full((1, 2, 2, 3), 9, dtype=np.uint8)
    assert correlate_thumbnails(ramp, 3 * ramp + 5)[0] == pytest.approx(1)
    assert correlate_thumbnails(ramp, 255 - ramp)[0] == pytest.approx(-1)
    assert correlate_thumbnails(ramp, flat)[0] == 0
    assert correlate_thumbnails(flat, flat + 1)[0] == 1
    assert correlate_thumbnails(flat, flat + 40)[0] == 0


def test_joined_groups_bear_the_name_that_sorts_first() -> None:
    images = pd.DataFrame({"image": list("abcdef"), "group": ["g2", "g1", "g2", "g3", "g4", "g5"]})
    pairs = pd.DataFrame({"a": ["b", "d"], "b": ["c", "a"]})
    assert join_groups(images, pairs).tolist() == ["g1", "g1", "g1", "g1", "g4", "g5"]


# The stage itself, on pictures of random blocks.


def picture(seed: int, size: int = 64) -> Image.Image:
    """A picture that looks like no other."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC)


def project(
    root: Path, sources: dict[str, tuple[str, str]], count: int = 12, copies: dict | None = None
) -> pd.DataFrame:
    """data/images.parquet and an empty map index.

    sources: name: (label, role). copies: image: other image that it is a JPEG copy of.
    """
    import hashlib

    import imagehash

    table = []
    for number, (source, (label, role)) in enumerate(sorted(sources.items())):
        (root / source).mkdir(parents=True)
        for k in range(count):
            name = f"{source}/{k:03d}.png"
            original = (copies or {}).get(name)
            image = picture(1000 * number + k)
            if original:
                image = Image.open(root / original).resize((48, 48))
            image.save(root / name)
            table.append(
                {"image": name, "source": source, "label": label, "generator": "", "role": role,
                 "file": name, "sha256": hashlib.sha256((root / name).read_bytes()).hexdigest(),
                 "bytes": (root / name).stat().st_size, "width": image.width,
                 "height": image.height, "format": "PNG", "mode": "RGB", "header": "{}",
                 "hash": str(imagehash.phash(image)), "group": name,
                 "sample_weight": k / 4 if k % 2 else np.nan, "problem": ""}
            )  # fmt: skip
    frame = pd.DataFrame(table).sort_values("image", ignore_index=True)
    (root / "data/saliency").mkdir(parents=True)
    frame.to_parquet(root / "data/images.parquet", index=False)
    maps = pd.DataFrame(
        {"maps": ["z", "human"], "image": ["fake/000.png"] * 2, "file": ["", ""], "width": [64] * 2}
    )
    maps.to_parquet(root / "data/saliency/index.parquet", index=False)
    return frame


def experiment(**changes: Any) -> Experiment:
    """Two training sources and a test set that shares one of them."""
    base: dict[str, Any] = {
        "data": {
            "training_sets": {"main": ["real", "fake"]},
            "test_sets": {"unseen": ["real", "other"]},
        },
        "split": {"validation": 0.25, "test": 0.25},
        "architectures": {"small_cnn": {}},
        "variants": {"plain": {"loss": "cross_entropy"}},
        "seeds": [1],
    }
    return Experiment.model_validate(base | changes)


SOURCES = {
    "real": ("bona_fide", "any"),
    "fake": ("synthetic", "any"),
    "other": ("synthetic", "any"),
}


def test_the_stage_writes_the_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copies = {"other/003.png": "fake/000.png", "real/011.png": "real/000.png"}
    images = project(tmp_path, SOURCES, copies=copies)
    images.loc[images["image"] == "real/005.png", "problem"] = "truncated"
    images.to_parquet(tmp_path / "data/images.parquet", index=False)
    split(experiment(), tmp_path)
    path = tmp_path / "data/manifest.parquet"
    manifest = pd.read_parquet(path)
    assert manifest.columns.tolist() == [
        "image", "source", "label", "generator", "file", "sha256", "group", "split", "saliency",
        "sample_weight",
    ]  # fmt: skip
    assert manifest["image"].is_monotonic_increasing
    parts = manifest.set_index("image")["split"]
    assert "real/005.png" not in parts
    assert "fake/000.png" not in parts, "its copy is a test image"
    assert parts["other/003.png"] == "test"
    assert parts["real/000.png"] == parts["real/011.png"]
    assert set(parts[parts.index.str.startswith("other")]) == {"test"}
    assert (manifest["saliency"] == "").all()
    weights = manifest.set_index("image")["sample_weight"]
    assert weights["real/003.png"] == 0.75
    assert np.isnan(weights["real/004.png"])
    printed = capsys.readouterr().out
    assert "2 pairs of images look the same" in printed
    assert "1 images of training sources belong to test images" in printed
    assert "1 images cannot be used" in printed

    first = path.read_bytes()
    split(experiment(), tmp_path)
    assert path.read_bytes() == first

    alone = experiment(split={"validation": 0.25, "test": 0.25, "join_near_duplicates": False})
    split(alone, tmp_path)
    manifest = pd.read_parquet(path).set_index("image")
    assert manifest.at["fake/000.png", "split"] != "test"
    assert manifest.at["fake/000.png", "saliency"] == "human,z"


@pytest.mark.parametrize(
    ("sources", "changes", "message"),
    [
        ({"real": SOURCES["real"], "fake": SOURCES["fake"]}, {}, "source `other` has no images"),
        (SOURCES | {"fake": ("syntetic", "any")}, {}, "label `syntetic` of `fake/000.png`"),
        (SOURCES | {"fake": ("bona_fide", "any")}, {}, "no image of class `synthetic` to train on"),
        (SOURCES, {"split": {"validation": 0.5, "test": 0.5}}, "leave nothing of `real`"),
        (SOURCES, {"split": {"validation": 0, "test": 0.2}}, "for validation"),
    ],
)
def test_what_is_refused(tmp_path: Path, sources: Any, changes: Any, message: str) -> None:
    project(tmp_path, sources, count=6)
    with pytest.raises(UserError) as error:
        split(experiment(**changes), tmp_path)
    assert message in error.value.text()
    assert not (tmp_path / "data/manifest.parquet").exists()


def test_without_selection_no_validation_is_needed(tmp_path: Path) -> None:
    project(tmp_path, SOURCES, count=6)
    changes = {"split": {"validation": 0, "test": 0.2}, "training": {"selection": "last"}}
    split(experiment(**changes), tmp_path)
    manifest = pd.read_parquet(tmp_path / "data/manifest.parquet")
    assert set(manifest["split"]) == {"train", "test"}


def test_broken_images_are_named_where_a_class_has_no_other(tmp_path: Path) -> None:
    images = project(tmp_path, SOURCES, count=4)
    images.loc[images["source"] == "fake", "problem"] = "truncated"
    images.to_parquet(tmp_path / "data/images.parquet", index=False)
    with pytest.raises(UserError) as error:
        split(experiment(), tmp_path)
    assert "4 cannot be used, e.g. fake/000.png: truncated" in error.value.text()


def test_a_missing_table_and_a_missing_image_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dvc repro download"):
        split(experiment(), tmp_path)
    project(tmp_path, SOURCES, count=4, copies={"fake/001.png": "fake/000.png"})
    path = tmp_path / "data/images.parquet"
    old = pd.read_parquet(path)
    old.drop(columns="sample_weight").to_parquet(path, index=False)
    with pytest.raises(UserError, match=r"images\.parquet: column `sample_weight`"):
        split(experiment(), tmp_path)
    old.to_parquet(path, index=False)
    (tmp_path / "fake/001.png").unlink()
    with pytest.raises(UserError, match=r"fake/001\.png"):
        split(experiment(), tmp_path)


FACES = SHARED / "data" / "faces"


@pytest.mark.skipif(not FACES.is_dir(), reason="the real faces are not beside the repository")
def test_real_photographs_that_look_alike_are_not_accused() -> None:
    import imagehash

    names = [
        "ciplab_expert/easy_177_1010.jpg", "ciplab_real/real_00874.jpg",  # composite and its base
        "celeba128/celeba_s058_r01.jpg", "ciplab_expert/mid_201_1111.jpg",  # hashes 2 bits apart
    ]  # fmt: skip
    hashes = [str(imagehash.phash(Image.open(FACES / name))) for name in names]
    images = pd.DataFrame({"image": names, "hash": hashes})
    thumbnails = Thumbnails(FACES, pd.Series(names, index=names))
    pairs = find_near_duplicates(images, None, thumbnails, bits=8, correlation=0.95)
    assert pairs[["a", "b"]].to_numpy().tolist() == [names[:2]]
