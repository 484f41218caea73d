"""A mistake of the user ends in a message with file and row, exit code 2, results intact."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from paths import REPOSITORY

CLASSES = ("live", "spoof")


def pictures(folder: Path, count: int, seed: int) -> None:
    """Random images that no two alike."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(small).resize((40, 30)).save(folder / f"{number}.png")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's own data: two folders, an annotation file, rows, params; nothing of ours."""
    for seed, name in enumerate(CLASSES):
        pictures(tmp_path / "data/raw/mine" / name, 12, seed)
    square = [4, 4, 20, 4, 20, 16, 4, 16]
    marks = {
        "images": [
            {"id": i, "file_name": f"{i}.png", "width": 40, "height": 30} for i in range(12)
        ],
        "annotations": [
            {
                "id": i,
                "image_id": i,
                "category_id": 1,
                "segmentation": [square],
                "iscrowd": 0,
                "area": 192,
                "bbox": [4, 4, 16, 12],
            }
            for i in range(12)
        ],
        "categories": [{"id": 1, "name": "mark"}],
    }
    (tmp_path / "data/raw/mine/marks.json").write_text(json.dumps(marks))
    with open(REPOSITORY / "data/sources.csv", newline="") as handle:
        columns = next(csv.reader(handle))
    with open(tmp_path / "data/sources.csv", "w", newline="") as handle:
        writer = csv.DictWriter(handle, columns, restval="")
        writer.writeheader()
        for name in CLASSES:
            writer.writerow(
                {
                    "name": name,
                    "label": name,
                    "role": "any",
                    "access": "local",
                    "path": f"data/raw/mine/{name}",
                    "sha256": "unknown",
                    "annotations": "data/raw/mine/marks.json" if name == "spoof" else "",
                }
            )
    params = {
        "classes": list(CLASSES),
        "data": {"training_sets": {"mine": list(CLASSES)}, "test_sets": {"held": list(CLASSES)}},
        "saliency": {"human": {"aggregate": "union"}},
        "split": {"validation": 0.25, "test": 0.25},
        "architectures": {"small_cnn": {"weights": "none", "image_size": 32}},
        "variants": {"cyborg": {"loss": "cyborg", "saliency": "human"}},
        "seeds": [1],
        "training": {"epochs": 1, "batch_size": 4},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    return tmp_path


def cyborg(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "cyborg", *words],
        cwd=project,
        text=True,
        capture_output=True,
        timeout=120,
        env=os.environ | {"PYTHONUTF8": "1"},
    )


def stages(project: Path, *names: str) -> None:
    """Run stages that must succeed."""
    for name in names:
        done = cyborg(project, name)
        assert done.returncode == 0, done.stderr


def refused(done: subprocess.CompletedProcess[str], *said: str) -> None:
    """A message on stderr with these words, no traceback, exit code 2."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "error: " in done.stderr
    for words in said:
        assert words in done.stderr, done.stderr


def sources(project: Path, old: str, new: str) -> None:
    """Replace text in the catalogue."""
    path = project / "data/sources.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_folder_that_is_not_there(project: Path):
    shutil.rmtree(project / "data/raw/mine/live")
    refused(cyborg(project, "download"), "data/sources.csv:2", "`live`", "data/raw/mine/live")


def test_a_wrong_column(project: Path):
    sources(project, "generator", "generater")
    refused(cyborg(project, "download"), "data/sources.csv", "generater")


def test_an_unknown_label(project: Path):
    sources(project, "spoof,spoof", "spoof,spof")
    refused(cyborg(project, "download"), "data/sources.csv:3", "`spof`", "spoof")


def test_an_empty_class(project: Path):
    shutil.rmtree(project / "data/raw/mine/spoof")
    (project / "data/raw/mine/spoof").mkdir()
    done = cyborg(project, "download")
    if done.returncode == 0:
        done = cyborg(project, "split")
    refused(done, "spoof")


@pytest.mark.slow
def test_a_truncated_image_is_named_and_earlier_results_stay(project: Path):
    stages(project, "download", "rasterize", "split", "check", "pack")
    before = (project / "data/packs/index.parquet").read_bytes()
    image = project / "data/raw/mine/live/3.png"
    image.write_bytes(image.read_bytes()[:200])
    stages(project, "download", "rasterize", "split")
    refused(cyborg(project, "check"), "live/3.png")
    assert (project / "data/packs/index.parquet").read_bytes() == before


def test_a_polygon_outside_its_image(project: Path):
    stages(project, "download")
    path = project / "data/raw/mine/marks.json"
    marks = json.loads(path.read_text())
    marks["annotations"][5]["segmentation"] = [[100, 100, 120, 100, 120, 120]]
    path.write_text(json.dumps(marks))
    refused(cyborg(project, "rasterize"), "marks.json", "5.png")
    assert not (project / "data/saliency").exists()


def test_a_map_of_another_size(project: Path):
    stages(project, "download")
    folder = project / "data/raw/mine/maps"
    folder.mkdir()
    Image.new("L", (20, 20), 255).save(folder / "0.png")
    sources(project, "data/raw/mine/marks.json", "data/raw/mine/maps")
    refused(cyborg(project, "rasterize"), "data/raw/mine/maps", "0.png", "20", "40")


def test_an_annotation_file_that_is_not_there(project: Path):
    stages(project, "download")
    (project / "data/raw/mine/marks.json").unlink()
    refused(cyborg(project, "rasterize"), "data/raw/mine/marks.json")


def test_an_unwritable_place(project: Path):
    """A file where a folder has to be: nobody, not even root, can write there."""
    (project / "data/images.parquet").mkdir()
    refused(cyborg(project, "download"), "data/images.parquet")


@pytest.mark.parametrize("stage", ["rasterize", "split", "check", "pack", "plan"])
def test_a_stage_before_its_time_names_the_one_to_run(project: Path, stage: str):
    done = cyborg(project, stage)
    refused(done)
    assert "dvc repro" in done.stderr or "cyborg " in done.stderr


def test_a_misspelt_parameter_stops_the_first_stage(project: Path):
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("batch_size", "batchsize"))
    refused(cyborg(project, "download"), "training.batchsize", "did you mean `batch_size`?")
    assert not (project / "data/images.parquet").exists()


def test_a_variant_whose_maps_exist_for_no_image(project: Path):
    stages(project, "download")
    sources(project, "data/raw/mine/marks.json", "")
    done = cyborg(project, "rasterize")
    if done.returncode == 0:
        stages(project, "split", "check", "pack")
        done = cyborg(project, "plan")
    refused(done, "human")


@pytest.mark.slow
def test_the_users_own_classes_go_all_the_way(project: Path):
    """Not faces, not bona fide and synthetic: any class pair (docs/own-data.md)."""
    stages(project, "download", "rasterize", "split", "check", "pack", "plan")
    for kind in ("train", "evaluate"):
        (spec,) = (project / "plan" / kind).rglob("*.json")
        assert cyborg(project, kind, "--spec", str(spec.relative_to(project))).returncode == 0
    done = cyborg(project, "report")
    assert done.returncode == 0, done.stderr
    assert "held" in done.stdout
