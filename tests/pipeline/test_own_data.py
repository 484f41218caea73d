"""docs/own-data.md, step by step on images that are no faces: rows, keys, messages."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from cyborg.catalogue.rows import COLUMNS
from paths import REPOSITORY
from project import Project, create, shortened

pytestmark = pytest.mark.slow

PAGE = (REPOSITORY / "docs/own-data.md").read_text(encoding="utf-8")
SIZE = 64


def block(kind: str) -> str:
    """The first fenced block of the page in that language."""
    found = re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def images(folder: Path) -> None:
    """Live, lenses and prints; lenses have a pattern in a rectangle that marks.json outlines."""
    rng = np.random.default_rng(5)
    stated, marks = [], []
    for name, count in (("live", 20), ("contact_lens", 20), ("print", 8)):
        (folder / name).mkdir(parents=True)
        for n in range(count):
            coarse = Image.fromarray(rng.integers(40, 215, (6, 6, 3)).astype(np.uint8))
            pixels = np.array(coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
            if name != "live":
                x, y = (int(place) for place in rng.integers(4, 36, 2))
                pixels[y : y + 24 : 2, x : x + 24] = 255 if name == "print" else 0
            Image.fromarray(pixels).save(folder / name / f"{name}_{n}.png")
            if name == "contact_lens":
                corners = [x, y, x + 24, y, x + 24, y + 24, x, y + 24]
                stated.append(
                    {"id": n, "file_name": f"{name}_{n}.png", "width": SIZE, "height": SIZE}
                )
                marks.append(
                    {"id": n, "image_id": n, "category_id": 1, "segmentation": [corners]}
                    | {"bbox": [x, y, 24, 24], "area": 576, "iscrowd": 0}
                )
    categories = [{"id": 1, "name": "pattern"}]
    text = json.dumps({"images": stated, "annotations": marks, "categories": categories})
    (folder / "marks.json").write_text(text)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Steps 1 to 3 of the page; the training is cut short."""
    project = create(tmp_path_factory.mktemp("own") / "project")
    shutil.copyfile(REPOSITORY / "data/sources.csv", project.root / "data/sources.csv")
    images(project.root / "data/raw/iris")
    with open(project.root / "data/sources.csv", "a", encoding="utf-8") as catalogue:
        catalogue.write(block("csv").split("\n", 1)[1])
    params = yaml.safe_load((REPOSITORY / "params/faces.yaml").read_text())
    params |= yaml.safe_load(block("yaml"))
    text = yaml.safe_dump(shortened(params), sort_keys=False)
    (project.root / "params.yaml").write_text(text)
    return project


@pytest.fixture(scope="module")
def done(prepared: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Step 4 of the page."""
    project = prepared.copy(tmp_path_factory.mktemp("done") / "project")
    project.repro()
    return project


def test_the_rows_of_the_page_have_the_columns_of_the_catalogue():
    head, *rows = block("csv").splitlines()
    assert head == ",".join(COLUMNS)
    assert {row.count(",") for row in rows} == {len(COLUMNS) - 1}


def test_own_images_come_to_a_table(done: Project):
    table = pd.read_csv(done.root / "results/auc.csv").set_index("test_set")
    assert set(table.index) == {"lens", "print"}
    assert set(table.loc["lens", "seen"].astype(str)) != set(table.loc["print", "seen"].astype(str))
    manifest = pd.read_parquet(done.root / "data/manifest.parquet").set_index("source")
    assert set(manifest.loc["iris_print", "split"]) == {"test"}
    assert set(manifest.loc["iris_lens", "saliency"]) == {"human"}
    assert set(manifest.loc["iris_live", "saliency"]) == {""}


@pytest.mark.parametrize("name", ["report.html", "auc.md", "auc.tex", "check.html", "check.md"])
def test_nothing_is_called_a_face(done: Project, name: str):
    text = (done.root / "results" / name).read_text(encoding="utf-8")
    text = re.sub(r'src="data:[^"]*"', "", text)
    assert not re.findall(r"(?i)\bfaces?\b|bona.?fide|synthetic|phantom", text)


@pytest.mark.parametrize(
    ("row", "wrong", "command", "message"),
    [
        (",spoof,contact", ",spof,contact", "download", "`spof` is not among the classes"),
        ("marks.json,,,,,,,,\n", "marks.json,,,,\n", "download", "has 13 cells, not 17"),
        ("raw/iris/live,,", "raw/iris/alive,,", "download", "is local and is not here"),
        ("raw/iris/live,,,", "raw/iris/live,,data/raw/iris/marks.json,", "rasterize", "names no"),
    ],
)
def test_the_messages_of_the_page(
    prepared: Project, tmp_path: Path, row: str, wrong: str, command: str, message: str
):
    assert message in PAGE
    project = prepared.copy(tmp_path / "project")
    catalogue = project.root / "data/sources.csv"
    text = catalogue.read_text(encoding="utf-8")
    assert text.count(row) == 1
    catalogue.write_text(text.replace(row, wrong), encoding="utf-8")
    if command == "rasterize":
        project.run("cyborg", "download")
    assert message in project.run("cyborg", command, check=False).stderr
