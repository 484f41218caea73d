"""The repository's own promises: locks, environment, commands, names."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from paths import REPOSITORY

LOCKS = ["requirements.lock", "bootstrap.lock"]


def normal(name: str) -> str:
    """A package's name as the index writes it: ruamel.yaml is ruamel-yaml."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, str]:
    """Packages of the lock and their versions (the first where platforms differ)."""
    found: dict[str, str] = {}
    for line in (REPOSITORY / "requirements.lock").read_text().splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==([^ ;]+)", line):
            found.setdefault(normal(match[1]), match[2])
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_names_versions_and_hashes_only(name: str):
    text = (REPOSITORY / name).read_text()
    assert "://" not in text
    assert "--index" not in text
    pins = re.findall(
        r"^[A-Za-z0-9._-]+==[^\n]+(?:\n {4}--hash=sha256:[0-9a-f]{64}[ \\]*)+", text, re.MULTILINE
    )
    assert len(pins) == len(re.findall(r"^[A-Za-z0-9._-]+==", text, re.MULTILINE))


def test_every_declared_dependency_is_in_the_lock_and_its_version_is_allowed():
    from packaging.requirements import Requirement

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["pipeline"], *extras["dev"]]
    lock = locked()
    for text in wanted:
        requirement = Requirement(text)
        version = lock.get(normal(requirement.name))
        assert version is not None, f"{requirement.name} is not in requirements.lock: make lock"
        assert requirement.specifier.contains(version), f"{requirement} against {version}"


def test_the_conda_environment_installs_the_lock():
    environment = yaml.safe_load((REPOSITORY / "environment.yml").read_text())
    plain = [item for item in environment["dependencies"] if isinstance(item, str)]
    (pip,) = [item["pip"] for item in environment["dependencies"] if isinstance(item, dict)]
    # Everything comes from the lock: a package named here too could have another version.
    assert {re.split(r"[<>=]", item)[0] for item in plain} == {"python", "pip"}
    assert pip == ["--require-hashes", "-r requirements.lock"]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    lowest = re.search(r">=(\d+\.\d+)", project["requires-python"])
    assert lowest is not None
    assert f"python>={lowest[1]}" in next(item for item in plain if item.startswith("python"))


def test_every_stage_is_a_command_with_a_description():
    from cyborg.cli import GRIDS, STAGES

    stages = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]
    assert list(stages) == [
        "download",
        "rasterize",
        "split",
        "check",
        "pack",
        "plan",
        "train",
        "evaluate",
        "report",
    ]
    for name, stage in stages.items():
        assert stage["cmd"] == f"cyborg {name}"
        assert stage["desc"].strip()
        assert name in STAGES or name in GRIDS


def test_what_a_stage_depends_on_exists():
    """Code and catalogue named in dvc.yaml; what stages make is looked up among their outputs."""
    stages = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]
    made = set()
    for stage in stages.values():
        for out in stage["outs"]:
            made.add(out if isinstance(out, str) else next(iter(out)))
    for name, stage in stages.items():
        for path in stage["deps"]:
            inside = any(path == out or path.startswith(f"{out}/") for out in made)
            assert inside or (REPOSITORY / path).exists(), f"{name}: {path}"


def test_no_path_of_a_machine_and_no_unfinished_place_is_committed():
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    pattern = re.compile(r"(^|[^\w.])/(home|Users|root|work)/\w|\bTO" r"DO\b|\bFIX" r"ME\b")
    for name in listed.stdout.split():
        path = REPOSITORY / name
        if path.suffix in {".py", ".md", ".yaml", ".yml", ".csv", ".toml", ""} and path.is_file():
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                assert not pattern.search(line), f"{name}:{number}: {line.strip()[:120]}"


def test_the_shipped_results_are_those_of_the_shipped_code_and_parameters():
    """dvc.lock states what the shipped run was made from; none of it has changed since."""
    done = subprocess.run(
        [Path(sys.executable).parent / "dvc", "status", "--json"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for stage, changes in json.loads(done.stdout).items():
        for change in changes:
            named = change.get("changed deps", {}) if isinstance(change, dict) else {}
            for path, state in named.items():
                # What stages make is not in a fresh checkout; what is committed must agree.
                committed = path.startswith(("src/", "workflow/", "params.yaml"))
                committed |= path in {"data/sources.csv"}
                assert not committed, (
                    f"{stage}: {path} is {state}: run `dvc repro`, commit dvc.lock"
                )
