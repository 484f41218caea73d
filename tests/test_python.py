"""The Python interface: small, documented, fast to import, and without the pipeline's packages."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaging.requirements import Requirement
from safetensors.torch import save_file

import cyborg
from cyborg.common.families import FORMATS
from cyborg.models.trained import MODEL, NETWORK, load_model, write_description
from networks import describe, make, pictures
from paths import REPOSITORY

PAGE = REPOSITORY / "docs" / "python.md"
EXAMPLE = FORMATS.find("coco").example
CELL = "runs/train/resnet50/cyborg/seed0/0123456789ab"


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that sees the package as this one does."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_every_public_name_is_imported_and_listed():
    assert sorted(cyborg._MODULES) == sorted(cyborg.__all__) == cyborg.__all__
    for name in cyborg.__all__:
        assert getattr(cyborg, name).__doc__, name
        assert name in dir(cyborg)
    with pytest.raises(AttributeError, match="no attribute `cyborg_los`"):
        _ = cyborg.cyborg_los


def test_type_checkers_see_what_users_import():
    """Every lazy name is imported for type checkers from the same module."""
    text = Path(cyborg.__file__).read_text(encoding="utf-8")
    block = text[text.index("if TYPE_CHECKING:") : text.index("__all__ = ")]
    seen = {
        name.strip(): module
        for module, names in re.findall(r"from (\S+) import (.*)", block)
        for name in names.split(",")
    }
    assert seen == cyborg._MODULES
    assert (Path(cyborg.__file__).parent / "py.typed").is_file()


def test_the_import_is_fast_and_imports_nothing_heavy():
    code = (
        "import sys, time; start = time.perf_counter(); import cyborg; "
        "took = time.perf_counter() - start; dir(cyborg); "
        "print(took, *{'torch', 'numpy', 'pandas', 'pydantic', 'timm'} & set(sys.modules))"
    )
    took, *heavy = run_python(code).stdout.split()
    assert not heavy
    assert float(took) < 0.3


def test_the_page_names_the_whole_interface():
    named = set(re.findall(r"`(\w+)`", PAGE.read_text(encoding="utf-8").split("\n## ")[0]))
    # Types of results need no row of their own.
    assert set(cyborg.__all__) - named == {"Annotation", "Loss", "LossOutput", "Network"}


@pytest.fixture
def cell(tmp_path: Path) -> Path:
    """The folder of a trained cell, as the page calls it."""
    folder = tmp_path / CELL
    folder.mkdir(parents=True)
    network = make("small_cnn", seed=5)
    save_file(network.state_dict(), folder / MODEL)
    write_description(folder, describe("small_cnn", image_size=40), ("bona_fide", "synthetic"))
    return folder


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    """An annotation file of one image of 7×5 pixels, as the page calls it."""
    path = tmp_path / "annotations.json"
    path.write_bytes(EXAMPLE.content(EXAMPLE.path))
    return path


@pytest.mark.usefixtures("cell", "annotations")
def test_the_code_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    added = [line for line in blocks[0].splitlines() if line.endswith("# +")]
    assert len(added) == 7
    names: dict[str, Any] = {}
    losses = []
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
        losses.append(names["loss"])
    assert all(loss.total.isfinite() and loss.saliency > 0 for loss in losses)
    assert losses[0].saliency.item() != losses[2].saliency.item()
    assert losses[0].cam.shape == (4, 3, 3)
    assert names["maps"]
    assert all(m.dtype == np.uint8 and m.any() for m in names["maps"].values())
    assert set(names["scores"]) == {"bona_fide", "synthetic"}
    assert names["cam"].shape == (1, 5, 5)


# A trained cell


def test_a_cell_is_loaded_from_its_folder_alone(cell: Path, tmp_path: Path):
    moved = cell.rename(tmp_path / "mine")
    network, images = load_model(moved), pictures(40)
    assert not network.training
    assert network.class_names == ("bona_fide", "synthetic")
    expected = make("small_cnn", seed=5).eval()(images).logits
    assert network(images).logits.equal(expected)


def test_a_folder_that_holds_no_network_is_explained(cell: Path, tmp_path: Path):
    with pytest.raises(cyborg.UserError, match=r"no such file(.|\n)*finished training cell"):
        load_model(tmp_path)
    text = (cell / NETWORK).read_text()
    (cell / NETWORK).write_text(text.replace('"image_size"', '"image_siz"'))
    with pytest.raises(
        cyborg.UserError, match=r"network.json: architecture.image_siz(.|\n)*`image"
    ):
        load_model(cell)
    (cell / NETWORK).write_text(text.replace("small_cnn", "resnet18").replace("40", "64"))
    with pytest.raises(cyborg.UserError, match="is not a model of `resnet18`"):
        load_model(cell)
    (cell / NETWORK).write_text("[")
    with pytest.raises(cyborg.UserError, match="is not valid JSON"):
        load_model(cell)


# Annotations


def test_an_annotation_file_becomes_maps(annotations: Path):
    (annotation,) = cyborg.read_annotations(annotations)
    maps = cyborg.rasterize(annotations)
    assert list(maps) == [annotation.image]
    expected = np.where(EXAMPLE.pixels() > 0, 255, 0).astype(np.uint8)
    np.testing.assert_array_equal(maps[annotation.image], expected)
    boxes = cyborg.rasterize(annotations, granularity="box")[annotation.image]
    assert boxes.astype(bool).sum() > expected.astype(bool).sum()
    with pytest.raises(cyborg.UserError, match=r"rasterize: granularty(.|\n)*`granularity`"):
        cyborg.rasterize(annotations, granularty="box")


# Without the packages of the pipeline


def collect_requirements(names: list[str]) -> set[str]:
    """Normal names of installed packages and of all that they require, without extras."""
    found: set[str] = set()
    waiting = [Requirement(name) for name in names]
    while waiting:
        requirement = waiting.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        try:
            waiting += [Requirement(text) for text in importlib.metadata.requires(name) or []]
        except importlib.metadata.PackageNotFoundError:
            found.discard(name)
    return found


@pytest.fixture(scope="module")
def blocked() -> list[str]:
    """Modules that only the pipeline's packages have, and that a plain install lacks."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    core = collect_requirements(project["dependencies"])
    extra = collect_requirements(project["optional-dependencies"]["pipeline"]) - core
    return sorted(
        module
        for module, packages in importlib.metadata.packages_distributions().items()
        if {re.sub(r"[-_.]+", "-", package).lower() for package in packages} <= extra
    )


def block(modules: list[str]) -> str:
    return f"import sys\nfor name in {modules}: sys.modules[name] = None\n"


@pytest.mark.slow
def test_the_interface_works_without_the_packages_of_the_pipeline(
    blocked: list[str], annotations: Path
):
    assert {"dvc", "snakemake", "pandas", "matplotlib", "segmentation_models_pytorch"} < set(
        blocked
    )
    code = block(blocked) + (
        "import cyborg, torch\n"
        "for name in cyborg.__all__: getattr(cyborg, name)\n"
        "for name in cyborg.list_losses(): cyborg.find_loss(name)\n"
        f"assert cyborg.rasterize({str(annotations)!r})\n"
        "network = cyborg.create_network('resnet18', weights='none', image_size=64)\n"
        "logits, features, weight = network(torch.rand(2, 3, 64, 64))\n"
        "labels, maps = torch.tensor([0, 1]), torch.rand(2, 64, 64)\n"
        "cyborg.SaliencyLoss('cyborg')(logits, labels, features, weight, maps)\n"
        "try: cyborg.create_network('efficientnet_lite0', weights='package')\n"
        "except cyborg.UserError as error: assert 'cyborg-saliency[pipeline]' in error.text()\n"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr


def test_the_command_for_annotations_works_without_them(
    blocked: list[str], annotations: Path, tmp_path: Path
):
    arguments = ["saliency", str(annotations), "--out", str(tmp_path / "maps")]
    done = run_python(f"{block(blocked)}from cyborg.cli import main; sys.exit(main({arguments}))")
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "maps").glob("*.png"))


@pytest.mark.parametrize("command", ["download", "split", "train", "report"])
def test_a_command_of_the_pipeline_names_the_extra(
    command: str, blocked: list[str], tmp_path: Path
):
    code = f"{block(blocked)}from cyborg.cli import main; sys.exit(main([{command!r}]))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert re.match(r"error: the package `\w+` is not installed\nhint: ", done.stderr)
    assert "pip install 'cyborg-saliency[pipeline]'" in done.stderr
    assert "Traceback" not in done.stderr
