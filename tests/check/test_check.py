"""The audit: what it stops, what it warns of, what it must not accuse."""

from __future__ import annotations

import hashlib
import io
import json
import time
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cyborg.catalogue.sources import Source
from cyborg.check.check import check
from cyborg.check.confounds import (
    assign_folds,
    extract_header_features,
    is_beyond_chance,
    measure_baselines,
    measure_confounds,
)
from cyborg.common.errors import UserErrors
from cyborg.common.tables import MANIFEST_TABLE
from cyborg.config.experiment import Experiment, Phantom
from cyborg.phantom.draw import draw_phantom_image
from cyborg.split.duplicates import Thumbnails, find_near_duplicates, find_near_hashes

EXPERIMENT: dict[str, Any] = {
    "data": {
        "training_sets": {"main": ["real", "fake"]},
        "test_sets": {"unseen": ["other_real", "other"]},
    },
    "architectures": {"small_cnn": {}},
    "variants": {"plain": {"loss": "cross_entropy"}},
    "seeds": [1],
}
SOURCES = ("real", "fake", "other_real", "other")
HEADER = {"bits": 8, "exif": False, "icc": False, "progressive": False, "quantisation": None,
          "subsampling": None}  # fmt: skip


def picture(seed: int) -> Image.Image:
    """A picture that looks like no other."""
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((64, 64), Image.Resampling.BICUBIC)


class Data:
    """The three tables of a small experiment, to be spoilt before they are written."""

    def __init__(self, root: Path, count: int = 10):
        self.root = root
        table = []
        for number, source in enumerate(SOURCES):
            (root / source).mkdir(parents=True)
            for k in range(count):
                name = f"{source}/{k:03d}.png"
                picture(1000 * number + k).save(root / name)
                table.append(self._row(name, source))
        self.images = pd.DataFrame(table).sort_values("image", ignore_index=True)
        self.maps = pd.DataFrame(
            {"maps": ["human"], "image": ["fake/000.png"], "file": ["data/saliency/human/a.png"],
             "width": [64], "height": [64]}
        )  # fmt: skip
        parts = {0: "validation", 1: "validation"}
        self.split = [
            "test" if row.source.startswith("other") else parts.get(int(row.image[-7:-4]), "train")
            for row in self.images.itertuples()
        ]

    def _row(self, name: str, source: str) -> dict[str, Any]:
        path = self.root / name
        with Image.open(path) as image:
            return {
                "image": name, "source": source,
                "label": "bona_fide" if "real" in source else "synthetic",
                "generator": "" if "real" in source else source, "role": "any", "file": name,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "bytes": path.stat().st_size, "width": image.width, "height": image.height,
                "format": "PNG", "mode": "RGB", "header": json.dumps(HEADER),
                "hash": str(imagehash.phash(image)), "group": name, "sample_weight": np.nan,
                "problem": "",
            }  # fmt: skip

    def copy(self, original: str, name: str, quality: int = 60) -> None:
        """Put a smaller JPEG copy of one image in the place of another."""
        Image.open(self.root / original).resize((48, 48)).save(
            self.root / name, "JPEG", quality=quality
        )
        at = self.images.index[self.images["image"] == name][0]
        for key, value in self._row(name, self.images.at[at, "source"]).items():
            self.images.at[at, key] = value

    def run(self, **changes: Any) -> dict[str, Any]:
        """Write the tables, run the check, give the report."""
        (self.root / "data/saliency").mkdir(parents=True, exist_ok=True)
        self.images.to_parquet(self.root / "data/images.parquet", index=False)
        self.maps.to_parquet(self.root / "data/saliency/index.parquet", index=False)
        manifest = self.images[self.images["problem"] == ""].copy()
        manifest["split"] = [self.split[k] for k in manifest.index]
        manifest["saliency"] = ""
        manifest = manifest[manifest["split"] != ""]
        MANIFEST_TABLE.write(self.root, manifest)
        check(Experiment.model_validate(EXPERIMENT | changes), self.root)
        return self.report()

    def report(self) -> dict[str, Any]:
        """results/check.json."""
        report: dict[str, Any] = json.loads((self.root / "results/check.json").read_text())
        return report

    def refused(self, **changes: Any) -> str:
        """The error of a run that must be refused, after its report was written."""
        with pytest.raises(UserErrors) as error:
            self.run(**changes)
        assert self.report()["passed"] is False
        text = error.value.text()
        assert "Stopped" in (self.root / "results/check.md").read_text()
        assert "Stopped" in (self.root / "results/check.html").read_text()
        return text


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return Data(tmp_path)


def test_good_data_pass_and_give_equal_reports(data: Data) -> None:
    report = data.run()
    assert report["passed"]
    assert report["errors"] == []
    assert report["sets"]["training_sets"]["main"]["train"] == {"bona_fide": 8, "synthetic": 8}
    assert report["sets"]["test_sets"]["unseen"]["test"] == {"bona_fide": 10, "synthetic": 10}
    assert report["generators"]["unseen"] == {"seen": [], "unseen": ["other"]}
    assert set(report["baselines"]["unseen"]) == {"thumbnails", "header"}
    assert any("too few for a rate" in warning["what"] for warning in report["warnings"])
    files = [data.root / f"results/check.{ending}" for ending in ("json", "md", "html")]
    first = [file.read_bytes() for file in files]
    data.run()
    assert [file.read_bytes() for file in files] == first
    assert b"http" not in first[2]


def test_a_copy_of_a_test_image_in_training_stops(data: Data) -> None:
    data.copy("other/003.png", "fake/005.png")
    text = data.refused()
    assert "test image `other/003.png` looks like `fake/005.png`" in text
    pairs = data.report()["near_duplicates"]["pairs"]
    assert [(pair["a"], pair["b"]) for pair in pairs] == [("other/003.png", "fake/005.png")]
    page = (data.root / "results/check.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    report = data.run(check={"on_near_duplicates": "warn"})
    assert report["passed"]
    assert any("looks like" in warning["what"] for warning in report["warnings"])


def test_a_copy_in_validation_stops_too(data: Data) -> None:
    data.copy("other_real/003.png", "real/001.png")
    assert "looks like `real/001.png`" in data.refused()


def test_a_validation_image_in_training_is_warned_of(data: Data) -> None:
    data.copy("real/000.png", "real/007.png")
    report = data.run()
    assert report["near_duplicates"]["validation_training"] == 1
    assert any("validation and training images look" in w["what"] for w in report["warnings"])


def test_a_group_in_training_and_test_stops(data: Data) -> None:
    same = data.images["image"].isin(["other/002.png", "fake/008.png"])
    data.images.loc[same, "group"] = "photograph 7"
    assert "its group `photograph 7` are trained on" in data.refused()


def test_broken_images_are_named(data: Data) -> None:
    data.images.loc[3:14, "problem"] = "does not decode: truncated"
    text = data.refused()
    assert f"{data.images.at[3, 'file']}: does not decode: truncated" in text
    assert "12 images cannot be used. The first 10 are above" in text


def test_files_of_dvc_in_a_data_set_are_named(data: Data) -> None:
    folder = data.root / "data/raw/set/deep"
    (folder / ".dvc").mkdir(parents=True)
    for name in ("dvc.yaml", "dvc.lock", "images.dvc", ".dvcignore", "dvc.yaml.txt"):
        (folder / name).write_text("")
    named = {w["where"] for w in data.run()["warnings"] if "of DVC" in w["what"]}
    names = (".dvc", ".dvcignore", "dvc.lock", "dvc.yaml", "images.dvc")
    assert named == {f"data/raw/set/deep/{name}" for name in names}


def test_a_map_of_another_size_is_named(data: Data) -> None:
    data.maps["width"] = 32
    text = data.refused()
    assert "data/saliency/human/a.png: is 32x64, its image 64x64" in text


@pytest.mark.parametrize(
    ("part", "label", "message"),
    [
        ("train", "synthetic", "training_sets.main: has no image of `synthetic` with split `train"),
        ("validation", "bona_fide", "has no image of `bona_fide` with split `validation`"),
        ("test", "synthetic", "test_sets.unseen: has no image of `synthetic` with split `test`"),
        ("test", "bona_fide", "test_sets.unseen: has no image of another class"),
    ],
)
def test_a_set_of_one_class_stops(data: Data, part: str, label: str, message: str) -> None:
    away = "train" if part != "train" else "validation"
    data.split = [
        away if old == part and row.label == label else old
        for old, row in zip(data.split, data.images.itertuples(), strict=True)
    ]
    assert message in data.refused()


def test_a_generator_kept_for_testing_must_not_be_trained_on(data: Data) -> None:
    other = data.images["source"] == "other"
    data.images.loc[other, "generator"] = "fake second"
    assert data.run()["generators"]["unseen"] == {"seen": ["fake"], "unseen": ["second"]}
    data.images.loc[other, "role"] = "test"
    assert "generator `fake` of the test source `other` is trained on: fake" in data.refused()


@pytest.mark.parametrize("where", ["real/004.png", "other_real/004.png"])
def test_a_file_with_two_labels_stops(data: Data, where: str) -> None:
    """In training and in a test set, whatever is done about near duplicates."""
    data.copy(where, "fake/004.png")
    (data.root / "fake/004.png").write_bytes((data.root / where).read_bytes())
    digest = data.images.loc[data.images["image"] == where, "sha256"].iloc[0]
    data.images.loc[data.images["image"] == "fake/004.png", "sha256"] = digest
    text = data.refused(check={"on_near_duplicates": "warn"})
    assert f"fake/004.png: is the same file as `{where}`, but one is `synthetic`" in text
    assert data.report()["label_conflicts"] == {"same_file": 1, "same_picture": 0}


@pytest.mark.parametrize("quality", [30, 90])
def test_a_copy_with_another_label_stops(data: Data, quality: int) -> None:
    data.copy("real/004.png", "fake/004.png", quality=quality)
    assert "real/004.png: shows the same picture as `fake/004.png`" in data.refused()
    assert data.report()["label_conflicts"] == {"same_file": 0, "same_picture": 1}
    report = data.run(check={"on_near_duplicates": "warn"})
    assert any("shows the same picture" in warning["what"] for warning in report["warnings"])


def test_a_copy_that_the_split_left_out_is_a_conflict_too(data: Data) -> None:
    data.copy("other/004.png", "real/004.png")
    left_out = data.images.index[data.images["image"] == "real/004.png"][0]
    data.split[left_out] = ""
    assert "same picture as `other/004.png`" in data.refused()


def test_a_local_edit_of_a_photograph_has_a_label_of_its_own(data: Data) -> None:
    edited = Image.open(data.root / "real/004.png")
    edited.paste((255, 0, 0), (24, 24, 32, 32))
    edited.save(data.root / "fake/004.png")
    at = data.images.index[data.images["image"] == "fake/004.png"][0]
    for key, value in data._row("fake/004.png", "fake").items():
        data.images.at[at, key] = value
    assert data.run()["label_conflicts"] == {"same_file": 0, "same_picture": 0}


def test_a_codec_that_gives_the_class_away_is_warned_of(data: Data) -> None:
    fake = data.images["label"] == "synthetic"
    data.images.loc[fake, "format"] = "JPEG"
    header = json.dumps(HEADER | {"quantisation": 12.5, "subsampling": "4:2:0"})
    data.images.loc[fake, "header"] = header
    report = data.run()
    assert report["confounds"]["training_sets"]["main"]["codec"] == 1
    assert report["confounds"]["training_sets"]["main"]["size"] == 0.5
    assert report["baselines"]["unseen"]["header"] == 1
    texts = [warning["what"] for warning in report["warnings"]]
    assert "codec alone tells the classes apart with an AUC of 1.00" in texts
    assert "header alone trained on `main` predicts the class with an AUC of 1.00" in texts
    assert not any("size alone" in text for text in texts)


def images_of(count: int, **columns: Any) -> pd.DataFrame:
    """Images of two classes, alike but for `columns` (functions of class and number)."""
    table = []
    for k in range(2 * count):
        fake = k % 2 == 1
        row = {"image": f"s/{k}.png", "label": "f" if fake else "r", "group": str(k), "width": 64,
               "height": 64, "format": "PNG", "mode": "RGB", "bytes": 900,
               "header": json.dumps(HEADER)}  # fmt: skip
        table.append(row | {name: value(fake, k) for name, value in columns.items()})
    return pd.DataFrame(table)


def test_each_family_sees_its_own_confound_only() -> None:
    rng = np.random.default_rng(0)
    for family, columns in {
        "size": {"width": lambda fake, k: 80 if fake else 64},
        "name": {"image": lambda fake, k: f"s/{'fake' if fake else 'real'}_{k}.png"},
        "metadata": {"header": lambda fake, k: json.dumps(HEADER | {"exif": fake})},
        "codec": {"header": lambda fake, k: json.dumps(HEADER | {"progressive": fake})},
        "bytes": {"bytes": lambda fake, k: int(rng.integers(100, 200)) + 200 * fake},
    }.items():
        found = measure_confounds(images_of(40, **columns), "f")
        assert found[family] == 1, family
        others = set(found) - {family, "header", "name", "bytes"}
        assert all(found[other] == 0.5 for other in others), family


def test_no_information_is_near_half_and_too_few_images_are_none() -> None:
    rng = np.random.default_rng(1)
    found = measure_confounds(images_of(200, bytes=lambda f, k: int(rng.integers(1, 999))), "f")
    assert found["bytes"] is not None
    assert abs(found["bytes"] - 0.5) < 0.1
    assert set(measure_confounds(images_of(1), "f").values()) == {None}


def test_names_that_both_classes_use_tell_nothing() -> None:
    numbered = images_of(60, image=lambda fake, k: f"{'f' if fake else 'r'}/{k // 2:04d}.png")
    found = measure_confounds(numbered, "f")["name"]
    assert found is not None
    assert abs(found - 0.5) < 1e-9


def test_a_difference_beyond_chance() -> None:
    # Standard error of no information: sqrt(21 / 1200) = 0.132 for 10 and 10.
    assert not is_beyond_chance(0.76, 10, 10, 0.6)
    assert is_beyond_chance(0.77, 10, 10, 0.6)
    assert not is_beyond_chance(0.59, 1000, 1000, 0.6)
    assert is_beyond_chance(0.61, 1000, 1000, 0.6)
    assert not is_beyond_chance(None, 10, 10, 0.6)


def test_folds_keep_groups_together_and_have_both_classes() -> None:
    groups = [f"g{k // 2}" for k in range(40)]
    y = np.array([k // 2 % 2 == 0 for k in range(40)])
    fold = assign_folds(groups, y)
    assert fold is not None
    assert all(len(set(fold[[2 * k, 2 * k + 1]])) == 1 for k in range(20))
    assert all(set(y[fold == k]) == {True, False} for k in range(5))


def test_header_features_by_hand() -> None:
    header = json.dumps({"quantisation": 2.5, "progressive": True, "subsampling": "4:2:0"})
    images = images_of(1, header=lambda fake, k: header if fake else "{}")
    table = extract_header_features(images)
    assert table["quantisation"].tolist() == [-1, 2.5]
    assert table["progressive"].tolist() == [-1, 1]
    assert table["subsampling"].tolist() == [-1, 0]
    assert table["bytes_per_pixel"].tolist() == [900 / 4096] * 2
    assert table["aspect"].tolist() == [1, 1]


def test_thumbnails_of_bright_fakes_are_told_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = images_of(30).assign(file=lambda t: t["image"])
    (tmp_path / "s").mkdir()
    for row in images.itertuples():
        level = 40 if row.label == "f" else 0
        pixels = rng.integers(level, 200 + level, (16, 16, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / str(row.file))
    found = measure_baselines(images[:40], {"t": images[40:], "one": images[40::2]}, "f", tmp_path)
    assert found["t"]["thumbnails"] == 1
    assert found["t"]["header"] == 0.5
    assert found["one"] == {}


@pytest.mark.parametrize("size", [48, 128])
def test_phantom_faces_are_not_accused(tmp_path: Path, size: int) -> None:
    table = []
    for name, generator in (("phantom_real", ""), ("phantom_warping", "warping")):
        source = Source(name, "x", generator, access="phantom", count=30)
        for k in range(30):
            image = Image.fromarray(draw_phantom_image(source, Phantom(size=size), k)[0])
            file = f"{name}_{k}.png"
            image.save(tmp_path / file)
            table.append({"image": file, "hash": str(imagehash.phash(image))})
    images = pd.DataFrame(table)
    thumbnails = Thumbnails(tmp_path, images.set_index("image", drop=False)["image"])
    assert find_near_duplicates(images, None, thumbnails, bits=16, correlation=0.95).empty


@pytest.mark.parametrize("change", ["jpeg", "smaller", "brighter", "cropped"])
def test_changed_copies_are_found(tmp_path: Path, change: str) -> None:
    image = Image.open(io.BytesIO(_portrait()))
    if change == "jpeg":
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=30)
        copy = Image.open(buffer)
    elif change == "smaller":
        copy = image.resize((64, 64))
    elif change == "brighter":
        copy = image.point(lambda value: min(255, int(1.15 * value)))
    else:
        copy = image.crop((2, 2, 126, 126))
    image.save(tmp_path / "a.png")
    copy.save(tmp_path / "b.png")
    hashes = [str(imagehash.phash(one)) for one in (image, copy)]
    images = pd.DataFrame({"image": ["a.png", "b.png"], "hash": hashes})
    thumbnails = Thumbnails(tmp_path, images.set_index("image", drop=False)["image"])
    assert len(find_near_duplicates(images, None, thumbnails, bits=8, correlation=0.95)) == 1


def _portrait() -> bytes:
    source = Source("phantom_real", "x", "", access="phantom", count=1)
    buffer = io.BytesIO()
    Image.fromarray(draw_phantom_image(source, Phantom(size=128), 0)[0]).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_hundred_thousand_images_take_seconds() -> None:
    rng = np.random.default_rng(0)
    left = rng.integers(0, 2**63, 1800, dtype=np.uint64)
    right = rng.integers(0, 2**63, 100_000, dtype=np.uint64)
    right[77] = left[5] ^ np.uint64(0b101)
    start = time.process_time()
    found = list(find_near_hashes(left, right, 8))
    assert time.process_time() - start < 10
    assert (5, 77) in [(i, j) for a, b, _ in found for i, j in zip(a, b, strict=True)]
