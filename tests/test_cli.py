"""The `cyborg` command: help, version, exit codes, and how fast it answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from cyborg.cli import GRIDS, STAGES, main
from paths import REPOSITORY
from project import TINY


def test_without_arguments_it_prints_its_help(capsys: pytest.CaptureFixture[str]):
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("usage: cyborg")
    for name in (*STAGES, *GRIDS, "saliency", "agreement", "params", "show"):
        assert f"\n    {name} " in printed


def test_it_prints_the_version_that_is_installed(capsys: pytest.CaptureFixture[str]):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"cyborg {version('cyborg-saliency')}\n"


def test_an_error_the_user_can_fix_has_exit_code_2_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["params", "--params", str(tmp_path / "absent.yaml")]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: {tmp_path}/absent.yaml: there is no such file\nhint: ")
    assert "Traceback" not in printed.err
    assert printed.out == ""


@pytest.mark.parametrize("arguments", [["no-such-command"], ["cell"], ["saliency"]])
def test_wrong_arguments_have_exit_code_2(arguments: list[str]):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_help_imports_no_large_package():
    code = (
        "import sys; from cyborg.cli import main; main([]); "
        "print(sorted({'torch', 'pandas', 'dvc', 'snakemake', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_it_prints_on_any_encoding(tmp_path: Path, encoding: str):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/auc.md").write_text("| Größe | 0.9 ± 0.1 → 漢字 |\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "cyborg", "show"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert "0.9" in done.stdout.decode(encoding)
    assert "?" in done.stdout.decode(encoding)


def test_params_checks_networks_and_catalogue_before_data_is_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    catalogue = (REPOSITORY / "data/sources.csv").read_text(encoding="utf-8")
    (tmp_path / "data/sources.csv").write_text(catalogue, encoding="utf-8")
    values = json.loads(json.dumps(TINY))
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(values))
    assert main(["params"]) == 0
    values["architectures"]["mine"] = {"network": "resnet5o", "image_size": 64}
    values["data"]["test_sets"]["blocking"].append("phantom_blokcing")
    path.write_text(yaml.safe_dump(values))
    capsys.readouterr()
    assert main(["params"]) == 2
    printed = capsys.readouterr()
    assert "architectures.mine: `resnet5o` is not a network" in printed.err
    assert "`resnet50`" in printed.err
    assert "did you mean `phantom_blocking`?" in printed.err
    assert printed.out == ""


def test_params_of_registered_networks_does_not_import_timm():
    code = (
        "import sys; from cyborg.cli import main; assert main(['params']) == 0; "
        "print(sorted({'timm'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert done.stdout.splitlines()[-1] == "[]"
