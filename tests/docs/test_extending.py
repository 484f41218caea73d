"""Each recipe of docs/extending.md gives a member that needs no other edit.

The code blocks of the page are written into a copy of the package, and the contract tests of all
families run on that copy. A contract test that lists the members by hand fails here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

from cyborg.common.families import FAMILIES
from cyborg.common.registry import Family
from paths import REPOSITORY

PAGE = (REPOSITORY / "docs/extending.md").read_text(encoding="utf-8")
# Title of a recipe and its text, code blocks included.
RECIPES = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
# Path in the repository and content of each member of the page.
MODULES = dict(re.findall(r"^```python\n# (src/\S+\.py)\n(.*?)^```", PAGE, re.M | re.S))
CONTRACTS = {
    "cyborg.losses": "tests/losses/test_loss_contract.py",
    "cyborg.training.controls": "tests/training/test_controls.py",
    "cyborg.training.preparations": "tests/training/test_preparation_contract.py",
    "cyborg.saliency.formats": "tests/saliency/formats/test_format_contract.py",
    "cyborg.results.metrics": "tests/results/test_metrics.py",
    "cyborg.results.sections": "tests/results/test_sections.py",
    "cyborg.grid.kinds": "tests/grid/test_kinds.py",
}


def find_member(family: Family) -> str:
    """Return the name of the page's one member of a family."""
    folder = f"src/{family.package.replace('.', '/')}"
    (name,) = [Path(path).stem for path in MODULES if str(Path(path).parent) == folder]
    return name


def extract_block(recipe: str, language: str) -> str:
    (block,) = re.findall(rf"^```{language}\n(.*?)^```", RECIPES[recipe], re.M | re.S)
    return block


MEMBERS = {family.package: find_member(family) for family in FAMILIES}


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, its pages and its catalogue, and with all members of the page."""
    root = tmp_path_factory.mktemp("extended")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "src/cyborg", root / "src/cyborg", ignore=ignored)
    shutil.copytree(REPOSITORY / "docs", root / "docs")
    (root / "data").mkdir()
    shutil.copy(REPOSITORY / "data/sources.csv", root / "data")
    for path, code in MODULES.items():
        (root / path).write_text(code, encoding="utf-8")
    return root


def run_python(root: Path, *arguments: str, cwd: Path, **environment: str) -> str:
    """Run Python with the extended package; return its output."""
    path = os.pathsep.join([str(root / "src"), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    return done.stdout


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_has_at_most_ten_lines(recipe: str):
    text = re.sub(r"^```.*?^```", "", RECIPES[recipe], flags=re.M | re.S)
    assert len([line for line in text.splitlines() if line.strip()]) <= 10


@pytest.mark.slow
def test_a_new_member_passes_the_contract_tests_of_its_family(extended: Path):
    report = extended / "report.xml"
    run_python(
        extended,
        *("-m", "pytest", "-p", "only_new_members", "-p", "no:cacheprovider", "-x"),
        *(f"--junitxml={report}", *CONTRACTS.values()),
        cwd=REPOSITORY,
        NEW_MEMBERS=" ".join(MEMBERS.values()),
    )
    tests = [case.get("name", "") for case in ElementTree.parse(report).iter("testcase")]
    for package, member in MEMBERS.items():
        ran = [test for test in tests if re.search(rf"[\[-]{member}[\]-]", test)]
        assert ran, f"no contract test runs over the members of {package}"


@pytest.mark.slow
def test_params_yaml_may_name_new_members_and_a_new_network(extended: Path):
    params = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    params["variants"]["extended"] = {
        "loss": MEMBERS["cyborg.losses"],
        "saliency": "human",
        "control": MEMBERS["cyborg.training.controls"],
        "prepare": {MEMBERS["cyborg.training.preparations"]: {}},
    }
    params["saliency"]["human"]["format"] = MEMBERS["cyborg.saliency.formats"]
    network = yaml.safe_load(extract_block("A network", "yaml"))["architectures"]
    params["architectures"] |= network
    (extended / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    shown = yaml.safe_load(run_python(extended, "-m", "cyborg", "params", cwd=extended))
    assert shown["variants"]["extended"]["loss"] == MEMBERS["cyborg.losses"]
    assert set(network) < set(shown["architectures"])


def test_the_catalogue_takes_the_row_of_a_data_set(extended: Path):
    row = extract_block("A data set", "csv")
    with open(extended / "data/sources.csv", "a", encoding="utf-8") as catalogue:
        catalogue.write(row)
    shutil.copy(REPOSITORY / "params.yaml", extended / "params.yaml")
    assert row.split(",")[0] in run_python(extended, "-m", "cyborg", "sources", cwd=extended)


@pytest.mark.slow
def test_make_docs_documents_new_members(extended: Path):
    pages = sorted(str(page) for page in (extended / "docs").glob("*.md"))
    run_python(extended, "-m", "cyborg.reference", *pages, cwd=extended)
    text = "".join(Path(page).read_text(encoding="utf-8") for page in pages)
    before = "".join(
        page.read_text(encoding="utf-8") for page in (REPOSITORY / "docs").glob("*.md")
    )
    for member in MEMBERS.values():
        assert text.count(member) > before.count(member), member
