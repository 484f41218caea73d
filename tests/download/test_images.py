"""The index of images: every column by hand, broken files, lists, groups, real faces."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cyborg.catalogue.members import Member, list_members
from cyborg.catalogue.related import find_groups
from cyborg.catalogue.rows import COLUMNS as CATALOGUE_COLUMNS
from cyborg.catalogue.rows import Related
from cyborg.catalogue.sources import Source, read_catalogue
from cyborg.common.errors import UserError, UserErrors
from cyborg.common.files import sha256_bytes
from cyborg.config.experiment import Experiment
from cyborg.download import index as images
from cyborg.download.describe import describe_image
from cyborg.download.download import download
from cyborg.download.index import index_images
from paths import REPOSITORY, SHARED

FACES = SHARED / "data/faces"
CLASSES = ["bona_fide", "synthetic"]
COLUMNS = [
    "image", "source", "label", "generator", "role", "file", "sha256", "bytes", "width", "height",
    "format", "mode", "header", "hash", "group", "sample_weight", "problem",
]  # fmt: skip


def picture(width: int = 60, height: int = 40, seed: int = 0) -> Image.Image:
    """A smooth picture that is alike in no mirror image or rotation."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def make(name: str, **options: Any) -> Source:
    return Source(**{"name": name, "label": "bona_fide", "path": f"data/raw/{name}",
                     "location": "data/sources.csv:2", **options})  # fmt: skip


def distance(first: str, second: str) -> int:
    return (int(first, 16) ^ int(second, 16)).bit_count()


# One file


def test_every_column_of_a_jpeg(tmp_path: Path) -> None:
    table = [[16] * 64, [99] * 64]
    path = saved(tmp_path / "a.jpg", picture(), qtables=table, subsampling="4:2:0",
                 progressive=True, icc_profile=b"profile")  # fmt: skip
    found = describe_image(str(path))
    assert (found.width, found.height, found.format, found.mode) == (60, 40, "JPEG", "RGB")
    assert (found.bytes, found.sha256) == (path.stat().st_size, sha256_bytes(path.read_bytes()))
    assert json.loads(found.header) == {
        "quantisation": 16.0, "progressive": True, "subsampling": "4:2:0", "exif": False,
        "icc": True, "bits": 8,
    }  # fmt: skip
    assert len(found.hash) == 16
    assert found.problem == ""


def test_quantisation_is_the_mean_of_the_luma_table(tmp_path: Path) -> None:
    luma = list(range(1, 65))  # mean 32.5
    path = saved(tmp_path / "a.jpg", picture(), qtables=[luma, [1] * 64], subsampling="4:4:4")
    header = json.loads(describe_image(str(path)).header)
    assert header["quantisation"] == 32.5
    assert header["subsampling"] == "4:4:4"


def test_sixteen_bits_are_seen(tmp_path: Path) -> None:
    grey = np.asarray(picture().convert("L"))
    deep = describe_image(
        str(saved(tmp_path / "a.png", Image.fromarray(grey.astype(np.uint16) * 257)))
    )
    shallow = describe_image(str(saved(tmp_path / "b.png", Image.fromarray(grey))))
    assert json.loads(deep.header)["bits"] == 16
    assert json.loads(shallow.header)["bits"] == 8
    assert deep.hash == shallow.hash  # scaled, not clipped to white


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    image = picture(400, 300)
    upright = describe_image(str(saved(tmp_path / "a.jpg", image, quality=95)))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    turned = image.transpose(Image.Transpose.ROTATE_90)
    camera = describe_image(str(saved(tmp_path / "b.jpg", turned, quality=95, exif=exif)))
    ignored = describe_image(str(saved(tmp_path / "c.jpg", turned, quality=95)))
    assert (camera.width, camera.height) == (upright.width, upright.height) == (400, 300)
    assert json.loads(camera.header)["exif"]
    assert distance(camera.hash, upright.hash) <= 2
    assert distance(ignored.hash, upright.hash) > 10


def test_the_hash_sees_the_picture_not_the_file(tmp_path: Path) -> None:
    image = picture(1024, 1024)
    png = describe_image(str(saved(tmp_path / "a.png", image)))
    alike = [
        saved(tmp_path / "a.jpg", image, quality=80),  # decoded at a quarter of its size
        saved(tmp_path / "a.webp", image, quality=80),
        saved(tmp_path / "a.bmp", image.resize((256, 256))),
        saved(tmp_path / "p.png", image.convert("L").convert("P")),
        saved(tmp_path / "r.png", image.convert("RGBA")),
    ]
    for path in alike:
        assert distance(describe_image(str(path)).hash, png.hash) <= 4, path
    other = describe_image(str(saved(tmp_path / "b.png", picture(1024, 1024, seed=1))))
    assert distance(other.hash, png.hash) > 10


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "bmp", "tif"])
def test_a_truncated_file_has_a_problem(tmp_path: Path, ending: str) -> None:
    path = saved(tmp_path / f"a.{ending}", picture(200, 200))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    found = describe_image(str(path))
    assert found.problem.startswith("does not decode")
    assert "\n" not in found.problem
    assert (found.width, found.height, found.hash) == (0, 0, "")
    assert found.bytes == len(whole) * 2 // 3


def test_files_that_are_no_images(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("<html>not found</html>")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    problems = [
        describe_image(str(tmp_path / f"{n}.png")).problem for n in ("empty", "text", "gone")
    ]
    assert problems == [
        "is empty",
        "does not decode: not an image, or of an unknown format",
        "cannot be read: No such file or directory",
    ]


@settings(deadline=None)  # the first image of a format also imports its decoder
@given(data=st.data())
def test_damaged_bytes_never_crash(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged"
    ending = data.draw(st.sampled_from(["jpg", "png", "tif"]))
    whole = bytearray(saved(folder / f"a.{ending}", picture(30, 20)).read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    (folder / f"b.{ending}").write_bytes(whole)
    found = describe_image(str(folder / f"b.{ending}"))
    assert bool(found.problem) != bool(found.hash)


# A folder


def test_a_folder_becomes_a_table(tmp_path: Path) -> None:
    saved(tmp_path / "data/raw/b/deep/x y.PNG", picture())
    saved(tmp_path / "data/raw/b/a.jpeg", picture())
    (tmp_path / "data/raw/b/broken.tiff").write_bytes(b"II*\0")
    for name in ("._a.jpeg", ".hidden/c.png", "notes.txt", "annotations.json", "maps/a.png"):
        saved(tmp_path / f"data/raw/b/{name}.png", picture()).rename(
            tmp_path / f"data/raw/b/{name}"
        )
    source = make("b", annotations="data/raw/b/annotations.json", segmentation="data/raw/b/maps",
                  label="synthetic", generator="gan", role="test")  # fmt: skip
    first = saved(tmp_path / "data/raw/a/z.bmp", picture()).stat().st_size
    table = index_images([source, make("a")], tmp_path, CLASSES)
    assert list(table.columns) == COLUMNS
    assert list(table["image"]) == ["a/z.bmp", "b/a.jpeg", "b/broken.tiff", "b/deep/x y.PNG"]
    assert list(table["file"])[3] == "data/raw/b/deep/x y.PNG"
    assert list(table["generator"]) == ["", "gan", "gan", "gan"]
    assert list(table["role"]) == ["any", "test", "test", "test"]
    assert table["bytes"].iloc[0] == first
    assert [bool(p) for p in table["problem"]] == [False, False, True, False]
    assert list(table["group"]) == list(table["image"])
    assert str(table["width"].dtype) == "int64"


def test_files_that_are_skipped_are_counted_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not those that the catalogue names, nor hidden ones."""
    folder = tmp_path / "data/raw/s"
    saved(folder / "1.png", picture())
    for name in ("a.heic", "sub/B.HEIC", "c.gif", "README", "marks.json", ".hidden", "maps/x.mat"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x")
    row = dict.fromkeys(CATALOGUE_COLUMNS, "") | {
        "name": "s", "label": "bona_fide", "role": "any", "access": "local", "path": "data/raw/s",
        "annotations": "data/raw/s/marks.json",
    }  # fmt: skip
    other = row | {"name": "t", "path": "data/raw/t", "annotations": "data/raw/s/maps"}
    pd.DataFrame([row, other]).to_csv(tmp_path / "data/sources.csv", index=False)
    wanted = Experiment.model_validate(
        {
            "data": {"training_sets": {"main": ["s"]}, "test_sets": {}},
            "architectures": {"a": {}},
            "variants": {"v": {"loss": "cross_entropy"}},
            "seeds": [1],
        }
    )
    download(wanted, tmp_path, only=["s"])
    printed = capsys.readouterr().err
    assert "data/raw/s: skipped files that are not images: 4 (2 .heic, 1 README, 1 .gif)" in printed
    assert "`README`, `a.heic`, `c.gif`, `sub/B.HEIC`. Images end in .jpg" in printed


def test_links_are_followed_once(tmp_path: Path) -> None:
    saved(tmp_path / "elsewhere/deep/a.png", picture())
    (tmp_path / "elsewhere/deep/back").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "data/raw/s").symlink_to(tmp_path / "elsewhere")
    assert [m.image for m in list_members(make("s"), tmp_path, CLASSES)] == ["s/deep/a.png"]


def test_an_empty_folder_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "data/raw/s").mkdir(parents=True)
    with pytest.raises(UserError, match="holds no images"):
        index_images([make("s")], tmp_path, CLASSES)


def test_a_file_name_that_is_not_utf8(tmp_path: Path) -> None:
    folder = tmp_path / "data/raw/s"
    folder.mkdir(parents=True)
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff.png")).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(UserError, match="is not UTF-8"):
        list_members(make("s"), tmp_path, CLASSES)


@pytest.mark.slow
def test_workers_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(150):
        saved(tmp_path / f"data/raw/s/{number}.jpg", picture(seed=number))
    (tmp_path / "data/raw/s/70.jpg").write_bytes(b"broken")
    alone = index_images([make("s")], tmp_path, CLASSES, workers=1)
    monkeypatch.setattr(images, "ALONE", 0.0)
    pd.testing.assert_frame_equal(index_images([make("s")], tmp_path, CLASSES, workers=2), alone)


# A list in the published layout


def published(root: Path, text: str, **options: Any) -> Source:
    for name in ("train/0_real/p1_1_real.png", "train/1_fake/p1_2_fake.png", "val/1_fake/s.jpg"):
        saved(root / "data/raw/und" / name, picture())
    (root / "data/raw/list.csv").write_text(text)
    return make("und", label="listed", list="data/raw/list.csv", generator="sg2", **options)


LIST = (
    "train,Real,/train/0_real/p1_1_real.png\n"
    "train,Synthetic,/train/1_fake/p1_2_fake.png\n\n"
    "test,Synthetic,/val/1_fake/s.jpg\n"
)


def test_a_published_list(tmp_path: Path) -> None:
    """Its `test` is what the epoch is chosen by: validation."""
    found = list_members(published(tmp_path, LIST), tmp_path, CLASSES)
    assert [(m.image, m.label, m.generator, m.role) for m in found] == [
        ("und/train/0_real/p1_1_real.png", "bona_fide", "", "train"),
        ("und/train/1_fake/p1_2_fake.png", "synthetic", "sg2", "train"),
        ("und/val/1_fake/s.jpg", "synthetic", "sg2", "validation"),
    ]
    assert found[0].file == "data/raw/und/train/0_real/p1_1_real.png"


@pytest.mark.parametrize(
    ("role", "expected"),
    [("train", ["train", "train"]), ("validation", ["validation"]), ("test", ["test"])],
)
def test_a_source_takes_the_rows_of_its_role(
    tmp_path: Path, role: str, expected: list[str]
) -> None:
    found = list_members(published(tmp_path, LIST, role=role), tmp_path, CLASSES)
    assert [m.role for m in found] == expected


def test_lists_of_other_classes(tmp_path: Path) -> None:
    source = published(
        tmp_path, "Train,LIVE,train/0_real/p1_1_real.png\nval,spoof,val/1_fake/s.jpg"
    )
    found = list_members(source, tmp_path, ["live", "Spoof"])
    assert [(m.label, m.role) for m in found] == [("live", "train"), ("Spoof", "validation")]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("train,Real", "has 2 columns, not 3"),
        ("train,Real,/a.png,/map.png", "has 4 columns, not 3"),
        ("split,label,path", "`split` is not a split"),
        ("train,Fake,/val/1_fake/s.jpg", "`Fake` is not a label"),
        ("train,Real,/val/0_real/none.jpg", "there is no file"),
        ("train,Real,/../list.csv", "does not lie in data/raw/und"),
        ("train,Real,/", "does not lie in data/raw/und"),
        ("train,Real,/train/0_real/p1_1_real.png", "duplicate `"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: str, text: str) -> None:
    source = published(tmp_path, f"{LIST}{row}\n")
    with pytest.raises(UserErrors) as caught:
        list_members(source, tmp_path, CLASSES)
    (found,) = caught.value.mistakes
    assert found.location == "data/raw/list.csv:5"
    assert text in found.what


def test_many_wrong_rows_are_counted(tmp_path: Path) -> None:
    source = published(tmp_path, "".join(f"train,Real,/{k}.png\n" for k in range(25)))
    with pytest.raises(UserErrors) as caught:
        list_members(source, tmp_path, CLASSES)
    assert len(caught.value.mistakes) == 11
    assert "and 15 more rows" in caught.value.text()


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    source = published(tmp_path, LIST)
    with pytest.raises(UserError, match="there is no such file"):
        list_members(replace(source, list="data/raw/none.csv"), tmp_path, CLASSES)


# Images that belong together


def member(source: str, name: str) -> Member:
    return Member(f"{source}/{name}", source, "", "", "", f"data/raw/{source}/{name}")


def test_groups_by_hand(tmp_path: Path) -> None:
    """a-b and b-c chain; d and e share a base photograph that is not here; f stays alone."""
    (tmp_path / "data/raw/s").mkdir(parents=True)
    (tmp_path / "data/raw/s/pairs.csv").write_text(
        "first,note,second\n"
        "b.png,,s/a.png\n"  # relative to the CSV's folder; to the folder above
        "data/raw/t/c.png,,b.png\n"  # to the project
        "d.png,,lost/base.jpg\n"
        "e.png,,lost/base.jpg\n"
        "f.png,,\n"
    )
    pairs = Related("data/raw/s/pairs.csv", ("first", "second"))
    rows = [member("t", "c.png"), *(member("s", f"{name}.png") for name in "abdef")]
    found = find_groups(rows, [make("s", related=(pairs,)), make("t")], tmp_path)
    assert found == {
        "s/a.png": "s/a.png", "s/b.png": "s/a.png", "t/c.png": "s/a.png",
        "s/d.png": "s/d.png", "s/e.png": "s/d.png", "s/f.png": "s/f.png",
    }  # fmt: skip


def test_a_file_that_is_here_but_not_in_use_joins(tmp_path: Path) -> None:
    """Two CSV files name it differently; it is one file."""
    saved(tmp_path / "data/raw/base/x.jpg", picture())
    (tmp_path / "data/raw/s").mkdir(parents=True)
    (tmp_path / "data/raw/one.csv").write_text("a,b\ns/1.png,base/x.jpg\n")
    (tmp_path / "data/raw/s/two.csv").write_text("a,b\n2.png,../base/x.jpg\n")
    related = (Related("data/raw/one.csv", ("a", "b")), Related("data/raw/s/two.csv", ("a", "b")))
    found = find_groups(
        [member("s", "1.png"), member("s", "2.png")], [make("s", related=related)], tmp_path
    )
    assert set(found.values()) == {"s/1.png"}


def test_sources_that_share_files_share_groups(tmp_path: Path) -> None:
    """Two rows with one folder, as two lists of one data set: each file is two images."""
    (tmp_path / "pairs.csv").write_text("a,b\ns/1.png,s/2.png\n")
    rows = [
        Member(f"{source}/{k}.png", source, "", "", "", f"s/{k}.png")
        for source in ("t", "u")
        for k in (1, 2, 3)
    ]
    related = (Related("pairs.csv", ("a", "b")),)
    found = find_groups(rows, [make("t", path="s", related=related), make("u", path="s")], tmp_path)
    assert found == {
        "t/1.png": "t/1.png", "t/2.png": "t/1.png", "t/3.png": "t/3.png",
        "u/1.png": "t/1.png", "u/2.png": "t/1.png", "u/3.png": "t/3.png",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no file"),
        ("a,c\n1.png,2.png\n", "column `b` is missing"),
        ("a,b\nother.png,more.png\n", "names no image of `s`"),
        ("a,b\n1.png\n", "has 1 cells, not 2"),
    ],
)
def test_pairs_that_cannot_be_used(tmp_path: Path, text: str | None, message: str) -> None:
    (tmp_path / "data/raw/s").mkdir(parents=True)
    if text is not None:
        (tmp_path / "data/raw/s/pairs.csv").write_text(text)
    source = make("s", related=(Related("data/raw/s/pairs.csv", ("a", "b")),))
    with pytest.raises(UserError) as caught:
        find_groups([member("s", "1.png"), member("s", "2.png")], [source], tmp_path)
    assert message in caught.value.text()


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_groups_are_connected_components(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[int, int]]
) -> None:
    root = tmp_path_factory.getbasetemp() / "components"
    root.mkdir(exist_ok=True)
    (root / "p.csv").write_text("a,b\n" + "".join(f"s/{a},s/{b}\n" for a, b in pairs))
    rows = [Member(f"s/{k}", "s", "", "", "", f"s/{k}") for k in range(10)]
    source = make("s", path="s", related=(Related("p.csv", ("a", "b")),))
    found = find_groups(rows, [source], root)
    expected = {k: {k} for k in range(10)}
    for a, b in pairs:
        joined = expected[a] | expected[b]
        for k in joined:
            expected[k] = joined
    assert found == {f"s/{k}": f"s/{min(expected[k])}" for k in range(10)}


# Real faces


@pytest.mark.skipif(not FACES.is_dir(), reason="the shared faces are not here")
def test_real_faces(tmp_path: Path) -> None:
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "data/raw/faces").symlink_to(FACES)
    known = read_catalogue(REPOSITORY / "data/sources.csv")
    sources = [known["faces_ciplab_real"], known["faces_ciplab_expert"], known["faces_r3gan"]]
    table = index_images(sources, tmp_path, CLASSES)
    assert [(s.name, s.count) for s in sources] == list(
        table.groupby("source").size().reindex([s.name for s in sources]).items()
    )
    assert not table["problem"].any()
    assert set(table["mode"]) == {"RGB"}
    truth = pd.read_csv(FACES / "index.csv").set_index("path")["sha256"]
    files = table["file"].str.removeprefix("data/raw/faces/")
    assert list(table["sha256"]) == list(truth.loc[files])
    group = dict(zip(table["image"], table["group"], strict=True))
    bases = pd.read_csv(FACES / "ciplab_expert/base_photos.csv").dropna(subset="base_path_here")
    assert len(bases) == 42
    for edited, base in zip(bases["path"], bases["base_path_here"], strict=True):
        assert group[f"faces_{edited}"] == group[f"faces_{base}"]


@pytest.mark.skipif(not FACES.is_dir(), reason="the shared faces are not here")
def test_native_files(tmp_path: Path) -> None:
    """Independent measurements of mode, size and quantisation come with the files."""
    truth = pd.read_csv(FACES / "native/index.csv")
    for row in truth.itertuples():
        found = describe_image(str(FACES / str(row.path)))
        assert not found.problem
        assert found.sha256 == row.sha256
        assert (found.width, found.height) == (row.original_width, row.original_height)
        assert (found.format, found.mode) == (row.original_format, row.mode)
        measured = json.loads(found.header)["quantisation"]
        if found.format == "JPEG":
            assert measured == pytest.approx(row.mean_luma_quantisation, abs=0.06)
        else:
            assert measured is None
