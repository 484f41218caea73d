"""Contributors, hooks and public tests use the same commands."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib

import pytest
import yaml

from paths import REPOSITORY


def read(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def test_the_workflow_the_script_and_the_readme_run_the_same_tests():
    (job,) = yaml.safe_load(read(".github/workflows/test.yml"))["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert read(".ci/run").rstrip().endswith("make test")
    assert "`make test`" in read("README.md")


@pytest.mark.parametrize("target", ["repro", "test", "quick", "exhaustive", "docs", "setup"])
def test_every_make_target_of_the_documentation_exists(target: str):
    done = subprocess.run(
        ["make", "--dry-run", target], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f"make {target}" in read("README.md") + read("CONTRIBUTING.md") + read("docs/running.md")


def test_hooks_need_no_network():
    (repository,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        assert shutil.which(hook["entry"].split()[0])


def test_the_changelog_begins_with_the_version_of_the_package():
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    (newest, *_) = re.findall(r"^## (\S+)", read("CHANGELOG.md"), re.MULTILINE)
    assert newest == version
