"""The rasterize stage, from annotation files to maps and index."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pycocotools import mask as codec

from cyborg.common.errors import UserError
from cyborg.common.files import sha256_file
from cyborg.config.experiment import Experiment
from cyborg.saliency.rasterize import rasterize
from paths import SHARED

FACES = SHARED / "data" / "faces"


COLUMNS = [
    "name",
    "label",
    "generator",
    "role",
    "access",
    "url",
    "path",
    "list",
    "annotations",
    "segmentation",
    "weights",
    "related",
    "sha256",
    "count",
    "licence",
    "citation",
    "instructions",
]


def make_experiment(**saliency: Any) -> Experiment:
    return Experiment.model_validate(
        {
            "data": {"training_sets": {"main": ["photos", "fakes"]}, "test_sets": {}},
            "saliency": saliency or {"human": {}},
            "architectures": {"small": {}},
            "variants": {"cyborg": {"loss": "cyborg"}},
            "seeds": [0],
        }
    )


def make_box(x: float, y: float, w: float, h: float) -> list[float]:
    return [x, y, x + w, y, x + w, y + h, x, y + h]


def make_coco(images: list[tuple[str, int, int]], regions: list[tuple[int, list[float]]]) -> dict:
    return {
        "images": [
            {"id": k, "file_name": name, "width": w, "height": h}
            for k, (name, w, h) in enumerate(images)
        ],
        "annotations": [
            {"id": k, "image_id": image, "category_id": 1, "segmentation": [points]}
            for k, (image, points) in enumerate(regions)
        ],
        "categories": [{"id": 1, "name": "mouth"}],
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Four fakes of 20 x 16 pixels, two annotated with boxes, one with nothing; one photograph."""
    catalogue = [
        {
            "name": "photos",
            "label": "bona_fide",
            "role": "train",
            "access": "local",
            "path": "data/raw/photos",
        },
        {
            "name": "fakes",
            "label": "synthetic",
            "role": "train",
            "access": "local",
            "path": "data/raw/fakes",
            "annotations": "data/raw/regions.json",
        },
    ]
    (tmp_path / "data/raw").mkdir(parents=True)
    table = pd.DataFrame([dict.fromkeys(COLUMNS, "") | row for row in catalogue])
    table.to_csv(tmp_path / "data/sources.csv", index=False)
    rows = []
    names = ["fakes/a/1.jpg", "fakes/a/2.jpg", "fakes/a/3.jpg", "fakes/a/4.jpg", "photos/1.jpg"]
    for name in names:
        source = name.split("/")[0]
        rows.append(
            {
                "image": name,
                "source": source,
                "sha256": "0" * 64,
                "width": 20,
                "height": 16,
                "problem": "",
                "file": f"data/raw/{name}",
                "label": "synthetic" if source == "fakes" else "bona_fide",
            }
        )
    pd.DataFrame(rows).to_parquet(tmp_path / "data/images.parquet", index=False)
    images = [("fakes/a/1.jpg", 20, 16), ("2.png", 20, 16), ("3.jpg", 20, 16), ("9.jpg", 20, 16)]
    regions = [
        (0, make_box(2, 3, 5, 4)),
        (0, make_box(4, 3, 5, 4)),
        (1, make_box(-0.5, 0, 4, 4)),
        (3, make_box(0, 0, 9, 9)),
    ]
    write_annotations(tmp_path, make_coco(images, regions))
    return tmp_path


def write_annotations(root: Path, content: Any) -> None:
    (root / "data/raw/regions.json").write_text(json.dumps(content))


def read_index(root: Path) -> pd.DataFrame:
    return pq.read_table(root / "data/saliency/index.parquet").to_pandas()


def test_stage_writes_maps_and_index(project: Path, capsys: pytest.CaptureFixture) -> None:
    rasterize(make_experiment(), project, workers=1)
    table = read_index(project)
    assert list(table) == [
        "maps",
        "image",
        "file",
        "sha256",
        "width",
        "height",
        "annotators",
        "regions",
        "area",
    ]
    # 3.jpg was annotated with nothing, 4.jpg not at all: no rows.
    assert table["image"].tolist() == ["fakes/a/1.jpg", "fakes/a/2.jpg"]
    assert table["file"].tolist() == [f"data/saliency/human/fakes/a/{n}.png" for n in (1, 2)]
    first = np.asarray(Image.open(project / table["file"][0]))
    assert first.dtype == np.uint8
    assert first.shape == (16, 20)
    expected = np.zeros((16, 20), dtype=np.uint8)
    expected[3:7, 2:9] = 255  # two overlapping boxes, 7 by 4 together
    assert (first == expected).all()
    assert table["area"].tolist() == pytest.approx([28 / 320, 12 / 320])
    assert table["regions"].tolist() == [2, 1]
    assert table["annotators"].tolist() == [1, 1]
    assert table["sha256"][0] == sha256_file(project / table["file"][0])
    assert "that are not in fakes: 1 (the first is `9.jpg`)" in capsys.readouterr().err
    assert sorted(p.name for p in (project / "data").iterdir()) == [
        "images.parquet",
        "raw",
        "saliency",
        "sources.csv",
    ]


def test_annotations_of_images_that_do_not_exist_are_refused(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project / "data/raw/fakes/a"
    folder.mkdir(parents=True)
    for number in (1, 2, 3):
        (folder / f"{number}.jpg").touch()
    with pytest.raises(UserError, match=r"not there: 1 \(`9.jpg`\)[\s\S]*on_absent: skip"):
        rasterize(make_experiment(), project, workers=1)
    rasterize(make_experiment(human={"on_absent": "skip"}), project, workers=1)
    assert "not in fakes: 1" in capsys.readouterr().err
    (folder / "9.jpg").touch()  # it is there, and not in use
    rasterize(make_experiment(), project, workers=1)


def test_annotations_for_sources_that_are_not_in_use_are_no_mistake(project: Path) -> None:
    catalogue = project / "data/sources.csv"
    table = pd.read_csv(catalogue, dtype=str, keep_default_na=False)
    other = table[table["name"] == "fakes"].assign(name="others", path="data/raw/others")
    pd.concat([table, other]).to_csv(catalogue, index=False)
    (project / "data/raw/fakes").mkdir()
    rasterize(make_experiment(), project, workers=1)  # the folder of the others is not here
    (project / "data/raw/others").mkdir()
    with pytest.raises(UserError, match="not there: 1"):
        rasterize(make_experiment(), project, workers=1)
    for name in ("1.jpg", "2.jpg", "3.jpg", "9.jpg"):
        (project / "data/raw/others" / name).touch()
    rasterize(make_experiment(), project, workers=1)


def test_two_sources_of_one_folder_share_their_annotations(project: Path) -> None:
    """Two lists may name the same files, as the published lists do."""
    catalogue = project / "data/sources.csv"
    table = pd.read_csv(catalogue, dtype=str, keep_default_na=False)
    table.loc[table["name"] == "photos", ["path", "annotations"]] = [
        "data/raw/fakes",
        "data/raw/regions.json",
    ]
    table.to_csv(catalogue, index=False)
    images = pd.read_parquet(project / "data/images.parquet")
    again = images[images["source"] == "fakes"].assign(source="photos")
    again["image"] = again["image"].str.replace("fakes/", "photos/", n=1)
    images = pd.concat([images[images["source"] == "fakes"], again])
    images.to_parquet(project / "data/images.parquet", index=False)
    rasterize(make_experiment(), project, workers=1)
    found = pd.read_parquet(project / "data/saliency/index.parquet").set_index("image")
    assert sorted(found.index) == [f"{s}/a/{n}.jpg" for s in ("fakes", "photos") for n in (1, 2)]
    assert found.loc["fakes/a/1.jpg", "sha256"] == found.loc["photos/a/1.jpg", "sha256"]


def test_stage_gives_the_same_bytes_again_and_in_parallel(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_content() -> dict[str, bytes]:
        folder = project / "data/saliency"
        return {
            str(p.relative_to(folder)): p.read_bytes()
            for p in sorted(folder.rglob("*"))
            if p.is_file()
        }

    recipes = make_experiment(boxes={"granularity": "box", "antialias": 4, "blur": 1.5})
    rasterize(recipes, project, workers=1)
    first = read_content()
    assert len(first) == 3
    monkeypatch.setattr("cyborg.common.workers.JOBS_PER_WORKER", 1)
    rasterize(recipes, project, workers=2)
    assert read_content() == first


def test_failure_leaves_earlier_maps(project: Path) -> None:
    rasterize(make_experiment(), project, workers=1)
    before = {p: p.read_bytes() for p in (project / "data/saliency").rglob("*.*")}
    write_annotations(project, make_coco([("1.jpg", 20, 16)], [(0, make_box(2, 3, 50, 4))]))
    with pytest.raises(UserError, match=r"1\.jpg: region 1 `mouth`: lies outside the image"):
        rasterize(make_experiment(), project, workers=1)
    after = {p: p.read_bytes() for p in (project / "data/saliency").rglob("*.*")}
    assert after == before
    assert not list((project / "data").glob(".saliency*"))


def test_killed_between_the_renames_recovers(project: Path) -> None:
    rasterize(make_experiment(), project, workers=1)
    (project / "data/saliency").rename(project / "data/.saliency.old")
    (project / "data/.saliency.new").mkdir()
    write_annotations(project, {"images": "?"})
    with pytest.raises(UserError):
        rasterize(make_experiment(), project, workers=1)
    assert len(read_index(project)) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (make_coco([("1.jpg", 20, 16)], [(0, make_box(0, 0, 20, 18))]), "lies outside the image"),
        (make_coco([("1.jpg", 16, 20)], [(0, make_box(0, 0, 9, 9))]), "made on 16 x 20 pixels"),
        (make_coco([("1.jpg", 40, 32)], [(0, make_box(0, 0, 9, 9))]), "made on 40 x 32 pixels"),
        (
            make_coco(
                [("1.jpg", 20, 16), ("a/1.png", 20, 16)],
                [(0, make_box(0, 0, 9, 9)), (1, make_box(0, 0, 9, 9))],
            ),
            "both mean the image",
        ),
        (make_coco([("x.jpg", 20, 16)], [(0, make_box(0, 0, 9, 9))]), "names no image of `fakes`"),
        (make_coco([("1.jpg", 20, 16)], []), "leaves no image with anything marked"),
        ({"images": [], "annotations": [], "categories": []}, "names no image|no annotation form"),
        ([1, 2], "no annotation format"),
    ],
)
def test_bad_annotations_are_refused(project: Path, content: Any, message: str) -> None:
    write_annotations(project, content)
    with pytest.raises(UserError, match=message) as error:
        rasterize(make_experiment(), project, workers=1)
    assert error.value.location is not None
    assert not (project / "data/saliency").exists()


def test_slightly_outside_is_clipped_and_far_outside_on_demand(project: Path) -> None:
    write_annotations(project, make_coco([("1.jpg", 20, 16)], [(0, make_box(-1, -1, 22, 3))]))
    rasterize(make_experiment(), project, workers=1)
    assert read_index(project)["area"].tolist() == [40 / 320]
    write_annotations(project, make_coco([("1.jpg", 20, 16)], [(0, make_box(-9, -9, 40, 10))]))
    rasterize(make_experiment(human={"on_outside": "clip"}), project, workers=1)
    assert read_index(project)["area"].tolist() == [20 / 320]


def test_annotations_of_another_size_are_scaled_on_demand(project: Path) -> None:
    write_annotations(project, make_coco([("1.jpg", 40, 32)], [(0, make_box(8, 4, 20, 8))]))
    rasterize(make_experiment(human={"on_size": "scale"}), project, workers=1)
    assert read_index(project)["area"].tolist() == [10 * 4 / 320]


def test_two_sources_share_an_annotation_file(project: Path) -> None:
    """Equal file names in both: the folders in the file say whose they are."""
    table = pd.read_csv(project / "data/sources.csv", dtype=str, keep_default_na=False)
    table["annotations"] = "data/raw/regions.json"
    table.to_csv(project / "data/sources.csv", index=False)
    names = [("photos/1.jpg", 20, 16), ("fakes/a/1.jpg", 20, 16), ("print/1.jpg", 20, 16)]
    write_annotations(
        project,
        make_coco(
            names, [(0, make_box(0, 0, 1, 1)), (1, make_box(0, 0, 2, 1)), (2, make_box(0, 0, 9, 9))]
        ),
    )
    rasterize(make_experiment(), project, workers=1)
    found = read_index(project)
    assert dict(zip(found["image"], found["area"] * 320, strict=True)) == pytest.approx(
        {"photos/1.jpg": 1, "fakes/a/1.jpg": 2}
    )
    write_annotations(project, make_coco(names[:1], [(0, make_box(0, 0, 1, 1))]))
    with pytest.raises(UserError, match="names no image of `fakes`"):
        rasterize(make_experiment(), project, workers=1)


def test_misspelt_category_and_missing_column(project: Path) -> None:
    with pytest.raises(UserError) as error:
        rasterize(make_experiment(human={"labels": ["mouht"]}), project, workers=1)
    assert "did you mean `mouth`" in error.value.text()
    with pytest.raises(UserError, match="column `segmentation`"):
        rasterize(make_experiment(human={"column": "segmentation"}), project, workers=1)
    with pytest.raises(UserError, match="whose decisions were right"):
        rasterize(make_experiment(human={"only_correct": True}), project, workers=1)


def test_missing_input(project: Path) -> None:
    (project / "data/raw/regions.json").unlink()
    with pytest.raises(
        UserError, match=r"sources.csv:\d+: annotations: there is no .*regions.json"
    ):
        rasterize(make_experiment(), project, workers=1)
    (project / "data/images.parquet").unlink()
    with pytest.raises(UserError, match="no such file") as error:
        rasterize(make_experiment(), project, workers=1)
    assert "dvc repro download" in str(error.value.hint)


def test_real_faces(tmp_path: Path, project: Path) -> None:
    """The experts' regions against pycocotools' areas of the same polygons."""
    if not FACES.is_dir():
        pytest.skip("the shared face images are not on this machine")
    content = json.loads((FACES / "ciplab_expert/annotations.json").read_text())
    content["images"] = content["images"][::4]
    kept = {image["id"] for image in content["images"]}
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in kept]
    rows = [
        {
            "image": f"fakes/{i['file_name'].split('/')[1]}",
            "source": "fakes",
            "sha256": "0" * 64,
            "width": 320,
            "height": 320,
            "problem": "",
            "file": f"data/raw/{i['file_name']}",
            "label": "synthetic",
        }
        for i in content["images"]
    ]
    pd.DataFrame(rows).to_parquet(project / "data/images.parquet", index=False)
    write_annotations(project, content)
    rasterize(make_experiment(human={"aggregate": "union"}), project, workers=1)
    table = read_index(project)
    assert len(table) == len(kept) == 240
    assert table["regions"].sum() == len(content["annotations"])
    name = {i["id"]: i["file_name"].split("/")[1] for i in content["images"]}
    ours = dict(zip(table["image"], table["area"], strict=True))
    for image in content["images"][::10]:
        polygons = [
            a["segmentation"] for a in content["annotations"] if a["image_id"] == image["id"]
        ]
        codes = codec.frPyObjects([part for parts in polygons for part in parts], 320, 320)
        theirs = float(codec.area(codec.merge(codes))) / 320**2
        # Another rule at the border: a fraction of a pixel along the outline.
        assert ours[f"fakes/{name[image['id']]}"] == pytest.approx(theirs, rel=0.03)
