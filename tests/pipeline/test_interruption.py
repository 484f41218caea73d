"""Kill -9 anywhere, then `dvc repro`: complete, nothing finished is trained again."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from project import Project

pytestmark = pytest.mark.slow

LONG = {"training__epochs": 40, "seeds": [1, 2, 3]}


def processes(project: Project) -> dict[int, str]:
    """Command lines of all processes that work in the project's folder."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "cwd").resolve() == project.root.resolve():
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if command.strip():
                    found[int(entry.name)] = command
    return found


def wait_for(condition: Callable[[], object], what: str, seconds: float = 300) -> None:
    """Wait until a condition holds; fail after some time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"never saw {what}"
        time.sleep(0.02)


def training_has_begun(project: Project) -> bool:
    """Whether some cell has reported an epoch."""
    return any(project.root.glob(".work/train/*/*/*/*/progress.json"))


def a_model_is_written(project: Project) -> bool:
    """Whether some cell is between its training and its MANIFEST."""
    return any(project.root.glob(".work/train/*/*/*/*/result/*"))


def one_cell_is_finished(project: Project) -> bool:
    """Whether a first cell of this run has been renamed into place."""
    return any(project.root.glob("runs/train/*/*/seed3/*/MANIFEST.json"))


MOMENTS = {
    "in training, everything": (training_has_begun, ""),
    "a cell, while its model is written": (a_model_is_written, "cyborg cell"),
    "snakemake, after one cell": (one_cell_is_finished, "snakemake --snakefile"),
    "dvc": (training_has_begun, "dvc repro"),
    "the grid's runner": (training_has_begun, "cyborg train"),
}


# Killed between dvc and the cells, a run leaves nothing that the other moments do not leave.
SELDOM = ("snakemake, after one cell", "the grid's runner")


@pytest.mark.parametrize(
    "moment", [pytest.param(m, marks=[pytest.mark.exhaustive] * (m in SELDOM)) for m in MOMENTS]
)
def test_kill_then_repro(project: Project, moment: str):
    reached, target = MOMENTS[moment]
    project.params(**LONG)
    started = project.start("dvc", "repro")
    wait_for(lambda: reached(project) or started.poll() is not None, moment)
    assert started.poll() is None, "the run ended before it could be killed"
    victims = [pid for pid, command in processes(project).items() if target in command]
    assert victims, f"no process of `{target}`"
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if target in ("", "dvc repro"):
        started.wait()
    else:
        started.wait(timeout=300)
        assert started.returncode != 0 or one_cell_is_finished(project)
    finished = {
        path: path.stat().st_mtime_ns
        for path in project.root.glob("runs/train/*/*/*/*/MANIFEST.json")
    }
    project.repro()
    project.repro()  # and it is really complete
    for path, changed in finished.items():
        # Cells of other parameters were removed; those still wanted were not written again.
        assert not path.is_file() or path.stat().st_mtime_ns == changed
    cells = list(project.root.glob("runs/train/*/*/*/*"))
    assert len(cells) == 6
    assert project.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."


def test_a_truncated_model_is_made_anew(project: Project):
    model = next(project.root.glob("runs/train/*/cyborg/seed1/*/model.safetensors"))
    whole = model.read_bytes()
    model.chmod(0o644)
    model.write_bytes(whole[: len(whole) // 2])
    project.repro()
    assert model.read_bytes() == whole
    assert "small_cnn/cyborg/seed1" in [
        *project.did("train", "run"),
        *project.did("train", "restored"),
    ]
