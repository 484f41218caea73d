"""Weights of samples: from the catalogue's CSV file through the stages into the loss's gradient."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cyborg.catalogue.members import Member, list_members
from cyborg.catalogue.rows import COLUMNS
from cyborg.catalogue.sample_weights import read_sample_weights
from cyborg.catalogue.sources import Source, read_catalogue
from cyborg.common.errors import UserError, UserErrors
from cyborg.config.experiment import Experiment
from cyborg.download.download import download
from cyborg.grid.plan import Inputs, Selection
from cyborg.losses.perceptual_weight import perceptual_weight_loss
from cyborg.pack.dataset import read_manifest_rows
from cyborg.split.split import split
from paths import REPOSITORY

CLASSES = ["bona_fide", "synthetic"]
NAMES = ["a/1.png", "a/2.png", "b/1.png", "top.png"]
FILE = "data/raw/w.csv"
HEADER = "image,sample_weight\n"


def source(name: str = "s", **options: str) -> Source:
    return Source(name, "synthetic", path=f"data/raw/{name}", location="data/sources.csv:2",
                  **{"weights": FILE} | options)  # fmt: skip


def member(name: str, of: str = "s") -> Member:
    return Member(f"{of}/{name}", of, "synthetic", "", "any", f"data/raw/{of}/{name}")


def read(root: Path, text: str | bytes | None, names: list[str] = NAMES) -> dict[str, float]:
    (root / "data/raw").mkdir(parents=True, exist_ok=True)
    if text is not None:
        (root / FILE).write_bytes(text.encode() if isinstance(text, str) else text)
    return read_sample_weights([member(name) for name in names], [source()], root)


def mistakes(root: Path, text: str | bytes | None) -> list[UserError]:
    with pytest.raises(UserErrors) as caught:
        read(root, text)
    return caught.value.mistakes


# One file


def test_paths_and_file_names_that_one_image_has(tmp_path: Path) -> None:
    text = f"\ufeff{HEADER}a/1.png,12.5\n\n ./b/1.png , 3 \n2.png,+1e-3\ntop.png,.5\n"
    assert read(tmp_path, text) == {
        "s/a/1.png": 12.5, "s/b/1.png": 3, "s/a/2.png": 0.001, "s/top.png": 0.5,
    }  # fmt: skip


def test_a_whole_path_comes_before_a_file_name(tmp_path: Path) -> None:
    assert read(tmp_path, f"{HEADER}1.png,2\n", ["1.png", "a/1.png"]) == {"s/1.png": 2}


@pytest.mark.parametrize(
    ("row", "what", "hint"),
    [
        ("a/3.png,1", "`a/3.png` is no image of `s`", "did you mean `a/"),
        ("zzz,1", "`zzz` is no image of `s`", "expected: its path below data/raw/s"),
        ("/a/1.png,1", "`/a/1.png` is no image of `s`", "did you mean `a/1.png`?"),
        ("s/a/1.png,1", "`s/a/1.png` is no image of `s`", "did you mean `a/1.png`?"),
        (",1", "`.` is no image of `s`", "expected"),
        ("1.png,1", "2 images of `s` are named `1.png`", "such as `a/1.png`"),
        ("a/2.png,1", "duplicate `a/2.png`", "first in row 2"),
        ("2.png,1", "duplicate `a/2.png`", "first in row 2"),
        ("a/1.png,0", "`0` is not a positive number", "1e-30 to 1e+30"),
        ("a/1.png,-1", "`-1` is not a positive number", ""),
        ("a/1.png,nan", "`nan` is not a positive number", "Leave out"),
        ("a/1.png,inf", "`inf` is not a positive number", ""),
        ("a/1.png,1e999", "`1e999` is not a positive number", ""),
        ("a/1.png,1e39", "`1e39` is not a positive number", ""),
        ("a/1.png,1e-999", "`1e-999` is not a positive number", ""),
        ("a/1.png,", "`` is not a positive number", "Leave out"),
        ("a/1.png,1_0", "`1_0` is not a positive number", ""),
        ("a/1.png,٣", "`٣` is not a positive number", ""),
        ("a/1.png,5 s", "`5 s` is not a positive number", ""),
        ("a/1.png", "has 1 cells, not 2", "image,sample_weight"),
        ("a/1.png,3,5", "has 3 cells, not 2", "a decimal point"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: str, what: str, hint: str) -> None:
    (found,) = mistakes(tmp_path, f"{HEADER}a/2.png,4\n\n{row}\n")
    assert (found.what, found.location) == (what, f"{FILE}:4")
    assert hint in str(found.hint)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        (None, "data/sources.csv:2: weights", f"there is no file `{FILE}`"),
        ("", f"{FILE}:1", "the header is ``"),
        ("a/1.png,3\n", f"{FILE}:1", "the header is `a/1.png,3`"),
        ("sample_weight,image\n", f"{FILE}:1", "the header is `sample_weight,image`"),
        ("image;sample_weight\n", f"{FILE}:1", "the header is `image;sample_weight`"),
        ("image,sample_weight,note\n", f"{FILE}:1", "the header is `image,sample_weight,note`"),
        (HEADER, FILE, "names no image of `s`"),
        (f'{HEADER}"a"b,1\n', f"{FILE}:2", "is not valid CSV"),
        (f"{HEADER}\xe9,1\n".encode("latin-1"), FILE, "is not UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_used(
    tmp_path: Path, text: str | bytes | None, where: str, what: str
) -> None:
    (found,) = mistakes(tmp_path, text)
    assert found.location == where
    assert found.what.startswith(what)
    assert found.hint or "cannot" in what or "CSV" in what


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir(parents=True)
    (found,) = mistakes(tmp_path, None)
    assert found.what.startswith("cannot be read")


def test_all_mistakes_of_all_files_up_to_a_number(tmp_path: Path) -> None:
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / FILE).write_text(HEADER + "".join(f"{k}.png,1\n" for k in range(25)))
    (tmp_path / "data/raw/t.csv").write_text(f"{HEADER}x.png,0\n")
    with pytest.raises(UserErrors) as caught:
        read_sample_weights(
            [member("a.png"), member("x.png", "t")],
            [source(), source("t", weights="data/raw/t.csv"), source("u", weights="")],
            tmp_path,
        )
    places = [found.location for found in caught.value.mistakes]
    assert places == [*(f"{FILE}:{row}" for row in range(2, 12)), FILE, "data/raw/t.csv:2"]


def test_images_that_the_list_leaves_out_are_passed_over(tmp_path: Path) -> None:
    """Training and validation rows of one list share a file of weights."""
    for name in ("1.png", "2.png"):
        (tmp_path / "data/raw/s").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data/raw/s" / name).touch()
    (tmp_path / "data/raw/l.csv").write_text("train,Synthetic,/1.png\nval,Synthetic,/2.png\n")
    (tmp_path / FILE).write_text(f"{HEADER}1.png,5\n2.png,6\n")
    row = replace(source(), label="listed", list="data/raw/l.csv")
    for role, expected in (("train", {"s/1.png": 5}), ("validation", {"s/2.png": 6})):
        taken = replace(row, role=role)
        assert (
            read_sample_weights(list_members(taken, tmp_path, CLASSES), [taken], tmp_path)
            == expected
        )
    taken = replace(row, role="train")
    for name in ("3.png", "../l.csv", "../s/1.png", "3" * 300):
        (tmp_path / FILE).write_text(f"{HEADER}1.png,5\n{name},6\n")
        with pytest.raises(UserErrors, match="is no image of `s`"):
            read_sample_weights(list_members(taken, tmp_path, CLASSES), [taken], tmp_path)


@given(
    st.binary(max_size=60) | st.text(max_size=60).map(lambda text: HEADER.encode() + text.encode())
)
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    root = tmp_path_factory.getbasetemp() / "weights"
    try:
        found = read(root, data)
    except UserError:
        return
    assert found
    assert all(0 < weight < np.inf for weight in found.values())


# Through the stages


def pictures(folder: Path, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for k in range(count):
        pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k}.png")


def project(root: Path) -> Experiment:
    """Ten photographs without weights, ten fakes in two folders, six of them with a weight."""
    pictures(root / "data/raw/real", 10, 0)
    pictures(root / "data/raw/fake/x", 5, 1)
    pictures(root / "data/raw/fake/y", 5, 2)
    rows = [
        {"name": "real", "label": "bona_fide", "path": "data/raw/real"},
        {"name": "fake", "label": "synthetic", "path": "data/raw/fake", "weights": FILE},
    ]
    with open(root / "data/sources.csv", "w", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows({"role": "train", "access": "local", **row} for row in rows)
    weigh(root, 2.0)
    maps = pd.DataFrame({"maps": [], "image": []}, dtype=object)
    (root / "data/saliency").mkdir()
    maps.to_parquet(root / "data/saliency/index.parquet", index=False)
    sets = {"main": ["real", "fake"]}
    return Experiment.model_validate(
        {
            "data": {"training_sets": sets, "test_sets": {}},
            "split": {"validation": 0.0, "join_near_duplicates": False},
            "architectures": {"a": {}},
            "variants": {"v": {"loss": "perceptual_weight"}},
            "seeds": [1],
            "training": {"selection": "last"},
        }
    )


def weigh(root: Path, factor: float) -> None:
    rows = [f"{folder}/{k}.png,{factor * (k + 1)}\n" for folder in "xy" for k in range(3)]
    (root / FILE).write_text(HEADER + "".join(rows))


def run(experiment: Experiment, root: Path) -> pd.DataFrame:
    download(experiment, root)
    split(experiment, root)
    return pd.read_parquet(root / "data/manifest.parquet").set_index("image")


def gradient(root: Path) -> torch.Tensor:
    """Of the loss's linear weight, for all training images of the manifest and fixed features."""
    rows = read_manifest_rows(root, ["real", "fake"], "train", CLASSES)
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(len(rows), 5, 3, 3, generator=generator, dtype=torch.float64)
    weight = torch.rand(2, 5, generator=generator, dtype=torch.float64).requires_grad_()
    out = perceptual_weight_loss(
        features.mean((2, 3)) @ weight.T,
        torch.tensor(rows.labels),
        features,
        weight,
        torch.zeros(len(rows), 3, 3),
        present=torch.zeros(len(rows), dtype=torch.bool),
        sample_weight=torch.tensor(rows.weights),
    )
    (found,) = torch.autograd.grad(out.total, weight)
    return found


def test_weights_go_from_the_file_into_the_gradient(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = project(tmp_path)
    manifest = run(experiment, tmp_path)
    images = pd.read_parquet(tmp_path / "data/images.parquet").set_index("image")
    assert str(images["sample_weight"].dtype) == str(manifest["sample_weight"].dtype) == "float64"
    for table in (images, manifest):
        known = table["sample_weight"].dropna()
        assert known.to_dict() == {
            f"fake/{f}/{k}.png": 2.0 * (k + 1) for f in "xy" for k in range(3)
        }
    assert len(manifest) == 20
    first = gradient(tmp_path)

    same = (tmp_path / "data/manifest.parquet").read_bytes()
    run(experiment, tmp_path)
    assert (tmp_path / "data/manifest.parquet").read_bytes() == same

    # The gradient is linear in the weights: three files of equal steps show it.
    gradients = [first]
    for factor in (4.0, 6.0):
        weigh(tmp_path, factor)
        run(experiment, tmp_path)
        gradients.append(gradient(tmp_path))
    assert not torch.allclose(gradients[0], gradients[1], rtol=0.01)
    torch.testing.assert_close(gradients[2] - gradients[1], gradients[1] - gradients[0])

    (tmp_path / FILE).write_text(f"{HEADER}x/0.png,1\ny/9.png,1\n")
    with pytest.raises(UserErrors, match=f"{FILE}:3: `y/9.png` is no image of `fake`"):
        download(experiment, tmp_path)


def test_shipped_phantoms_bring_their_weights(tmp_path: Path) -> None:
    """Every phantom row of the catalogue names the file that drawing it writes."""
    shipped = read_catalogue(REPOSITORY / "data/sources.csv")
    for row in shipped.values():
        drawn = row.access == "phantom"
        assert row.weights == (f"{row.path}/weights.csv" if drawn else "")
        if drawn:
            assert row.segmentation == f"{row.path}/segmentation.json"
    text = (REPOSITORY / "data/sources.csv").read_text().splitlines()
    few = [line.replace(",300,", ",4,").replace(",600,", ",4,") for line in text[:3]]
    (tmp_path / "data").mkdir()
    (tmp_path / "data/sources.csv").write_text("\n".join(few) + "\n")
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    sets = {"main": ["phantom_real", "phantom_warping"]}
    params["data"] |= {"training_sets": sets, "test_sets": {}}
    params["phantom"] |= {"size": 48}
    download(Experiment.model_validate(params), tmp_path)
    table = pd.read_parquet(tmp_path / "data/images.parquet")
    assert len(table) == 8
    assert table["sample_weight"].between(0.5, 60).all()


def test_only_cells_that_use_weights_depend_on_them():
    manifest = pd.DataFrame(
        {
            "image": ["s/a", "s/b"], "source": "s", "label": ["x", "y"], "generator": "",
            "split": "train", "sample_weight": [1.0, np.nan],
        }
    )  # fmt: skip
    packs = pd.DataFrame({"kind": "images", "size": 32, "image": ["s/a", "s/b"], "sha256": "0"})
    other = manifest.assign(sample_weight=[2.0, np.nan])

    def digest(rows: pd.DataFrame, weights: bool) -> str:
        return Inputs(rows, packs).hash_selection(Selection(("s",), ("train",), 32, (), weights))

    assert digest(manifest, True) != digest(other, True)
    assert digest(manifest, False) == digest(other, False)
    assert digest(manifest, False) == digest(manifest.drop(columns="sample_weight"), True)
