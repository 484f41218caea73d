"""Packages import earlier ones only, and dvc.yaml names the code that each stage runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cyborg.cli import GRIDS, STAGES
from cyborg.common.closure import collect_modules, find_file, list_imports
from cyborg.common.families import CELL_KINDS, FORMATS, METRICS, SECTIONS
from cyborg.common.registry import Family
from paths import REPOSITORY

PACKAGE = REPOSITORY / "src" / "cyborg"

# A package imports itself and the packages before it.
ORDER = [
    "common",
    "config",
    "catalogue",
    "phantom",
    "download",
    "saliency",
    "split",
    "check",
    "models",
    "pack",
    "losses",
    "training",
    "evaluation",
    "grid",
    "results",
    "reference",
    "cli",
    "__main__",
]

# The module that runs a stage, and the families whose members that stage finds by name.
RUN_BY = {
    **{stage: module for stage, (module, _) in STAGES.items()},
    **dict.fromkeys(GRIDS, "cyborg.grid.run"),
}
FAMILIES: dict[str, list[Family[Any]]] = {
    "rasterize": [FORMATS],
    "plan": [CELL_KINDS],
    "report": [METRICS, SECTIONS],
}


def list_modules(package: Path) -> Iterator[tuple[str, Path]]:
    """Dotted name and file of every module of a package, its top `__init__` left out."""
    for path in sorted(package.rglob("*.py")):
        parts = [package.name, *path.relative_to(package).with_suffix("").parts]
        if path.name == "__init__.py":
            parts.pop()
        if len(parts) > 1:
            yield ".".join(parts), path


def find_imports_of_later_packages(package: Path) -> list[str]:
    """One sentence for each import of a package that comes later in ORDER."""
    found = []
    for name, path in list_modules(package):
        place = ORDER.index(name.split(".")[1])
        for imported in list_imports(path, name):
            if "." not in imported or find_file(imported, package) is None:
                continue
            if ORDER.index(imported.split(".")[1]) > place:
                found.append(f"{path.relative_to(package.parent)} imports {imported}")
    return found


def test_every_folder_has_a_place_in_the_order():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders == set(ORDER) - {"cli", "__main__"}


def test_no_package_imports_a_later_one():
    found = find_imports_of_later_packages(PACKAGE)
    assert not found, "a package imports a later one:\n" + "\n".join(found)


def test_an_import_of_a_later_package_is_found(tmp_path: Path):
    package = tmp_path / "cyborg"
    for name, text in {
        "__init__.py": "",
        "split/__init__.py": "",
        "split/split.py": "from typing import TYPE_CHECKING\n\nimport cyborg.pack.pack as stage\n"
        "if TYPE_CHECKING:\n    from cyborg.check import leaks\n",
        "check/__init__.py": "",
        "check/leaks.py": "def read():\n    from ..pack import pack\n",
        "pack/__init__.py": "",
        "pack/pack.py": "import cyborg.split.split\n",
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    assert find_imports_of_later_packages(package) == [
        "cyborg/check/leaks.py imports cyborg.pack",
        "cyborg/check/leaks.py imports cyborg.pack.pack",
        "cyborg/split/split.py imports cyborg.pack.pack",
    ]


def read_stages() -> dict[str, dict[str, Any]]:
    stages: dict[str, dict[str, Any]] = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())[
        "stages"
    ]
    return stages


def list_code(stage: str) -> list[str]:
    """Paths, from the repository, of all files that a stage imports."""
    members = [
        family.module_name(name)
        for family in FAMILIES.get(stage, [])
        for name in family.list_names()
    ]
    files = collect_modules([RUN_BY[stage], *members]).values()
    return [path.relative_to(REPOSITORY).as_posix() for path in files]


def covers(dependency: str, path: str) -> bool:
    return path == dependency or path.startswith(f"{dependency}/")


@pytest.mark.parametrize("stage", RUN_BY)
def test_dvc_yaml_names_all_code_that_a_stage_imports(stage: str):
    dependencies = read_stages()[stage]["deps"]
    missing = [path for path in list_code(stage) if not any(covers(d, path) for d in dependencies)]
    assert not missing, f"add to `deps` of stage `{stage}` in dvc.yaml: {missing}"


@pytest.mark.parametrize("stage", RUN_BY)
def test_dvc_yaml_names_no_code_that_a_stage_does_not_import(stage: str):
    code = list_code(stage)
    for dependency in read_stages()[stage]["deps"]:
        if dependency.startswith("src/"):
            assert any(covers(dependency, path) for path in code), (
                f"stage `{stage}` in dvc.yaml names `{dependency}` and imports nothing from it"
            )
