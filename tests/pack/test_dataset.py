"""What a cell reads: packed images and maps, and rows of the manifest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cyborg.common.errors import UserError
from cyborg.pack.dataset import Pack, read_images, read_manifest_rows, read_maps
from tiny_project import CLASSES, SIZE, project, save


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return project(tmp_path)


def test_images_come_in_the_order_asked_for_across_sources(root: Path) -> None:
    names = ["photos/003.png", "fakes/001.png", "photos/000.png", "photos/003.png"]
    stored = {s: np.load(root / f"data/packs/images/{SIZE}/{s}.npy") for s in ("photos", "fakes")}
    expected = [stored["photos"][3], stored["fakes"][1], stored["photos"][0], stored["photos"][3]]
    assert np.array_equal(read_images(root, SIZE, names), expected)


def test_rows_of_the_index_are_used_not_the_order_of_names(root: Path) -> None:
    path = root / "data/packs/index.parquet"
    index = pd.read_parquet(path)
    photos = (index["kind"] == "images") & (index["source"] == "photos")
    index.loc[photos, "row"] = index.loc[photos, "row"].to_numpy()[::-1]
    index.to_parquet(path, index=False)
    stored = np.load(root / f"data/packs/images/{SIZE}/photos.npy")
    assert np.array_equal(read_images(root, SIZE, ["photos/000.png"])[0], stored[-1])


def test_maps_say_which_images_they_belong_to(root: Path) -> None:
    names = ["photos/000.png", "fakes/004.png", "fakes/003.png", "fakes/002.png"]
    human, rows = read_maps(root, "human", SIZE, names)
    assert rows.tolist() == [1, 3]  # photos and odd numbers are not annotated
    stored = np.load(root / f"data/packs/maps/human/{SIZE}/fakes.npy")
    assert np.array_equal(human, stored[[2, 1]])


def test_a_map_set_without_any_map_is_empty(root: Path) -> None:
    human, rows = read_maps(root, "other", SIZE, ["photos/000.png"])
    assert human.shape == (0, SIZE, SIZE)
    assert len(rows) == 0


def test_what_is_not_packed_is_named(root: Path) -> None:
    with pytest.raises(UserError, match=r"1 images are not packed at size 32, e\.g\. `photos/x"):
        read_images(root, SIZE, ["photos/000.png", "photos/x.png"])
    with pytest.raises(UserError, match="not packed at size 48"):
        read_images(root, 48, ["photos/000.png"])


def test_a_pack_that_contradicts_its_index_is_refused(root: Path) -> None:
    path = root / f"data/packs/images/{SIZE}/photos.npy"
    save(path, np.load(path)[:5])
    assert len(read_images(root, SIZE, ["photos/004.png"])) == 1
    with pytest.raises(UserError, match="has 5 rows, its index names row 7"):
        read_images(root, SIZE, ["photos/007.png"])
    save(path, np.zeros((20, SIZE, SIZE), np.uint8))
    with pytest.raises(UserError, match=r"holds uint8 \[20, 32, 32\](.|\n)*expected uint8"):
        read_images(root, SIZE, ["photos/000.png"])
    path.write_bytes(b"")
    with pytest.raises(UserError, match="cannot be read"):
        read_images(root, SIZE, ["photos/000.png"])


def test_missing_tables_name_the_stage_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dvc repro pack"):
        Pack(tmp_path, "images", SIZE)
    with pytest.raises(UserError, match="dvc repro split"):
        read_manifest_rows(tmp_path, ["photos"], "train", CLASSES)


def test_a_part_is_the_rows_of_its_sources_and_split(root: Path) -> None:
    rows = read_manifest_rows(root, ["photos", "fakes"], "validation", CLASSES)
    assert rows.names == sorted(rows.names)
    assert rows.names == [f"{s}/{n:03d}.png" for s in ("fakes", "photos") for n in range(12, 16)]
    assert rows.labels.tolist() == [1] * 4 + [0] * 4
    assert rows.generators.tolist() == ["gan"] * 4 + [""] * 4
    assert len(read_manifest_rows(root, ["photos"], "validation", CLASSES)) == 4


def test_a_label_that_is_no_class_is_an_error(root: Path) -> None:
    with pytest.raises(UserError, match="has the label `bona_fide`"):
        read_manifest_rows(root, ["photos"], "train", ["real", "synthetic"])
