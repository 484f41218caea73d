"""Measure the costs of the grid itself: 200 cells that do nothing, run and then found finished.

    python benchmarks/orchestration.py [--cells 200]

Prints the time of a first `dvc repro`, of one that has nothing to do, and of the same cells run
one after the other without DVC and Snakemake (their own work: starting Python 200 times).
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cyborg.common.files import write_json
from cyborg.config.networks import NetworkSpec
from cyborg.grid.cell_paths import cell_path, list_planned
from cyborg.grid.kinds.wait import WaitSpec

REPOSITORY = Path(__file__).resolve().parents[1]
STAGE = """stages:
  wait:
    cmd: python -c "from cyborg.grid.run import run_grid; print(run_grid('wait'))"
    deps: [plan/wait]
    outs:
      - runs/wait:
          persist: true
"""


def main() -> None:
    """Build a project of waiting cells and time it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=200)
    cells = parser.parse_args().cells
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copytree(REPOSITORY / "workflow", root / "workflow")
        (root / "dvc.yaml").write_text(STAGE)
        for seed in range(cells):
            spec = WaitSpec(
                architecture=NetworkSpec(name="none", network="none", image_size=32),
                variant="waiting",
                classes=("bona_fide", "synthetic"),
                seed=seed,
                seconds=0,
                inputs="",
                code="",
                parents=(),
            )
            write_json(root / "plan" / f"{cell_path(spec)}.json", spec.to_json())
        time_command(root, "git", "init", "-q")
        time_command(root, "dvc", "init", "-q")
        first = time_command(root, "dvc", "repro")
        nothing = time_command(root, "dvc", "repro")
        shutil.rmtree(root / "runs")
        files = list(list_planned(root, "wait").values())
        start = time.perf_counter()
        for file in files[: cells // 10]:
            time_command(root, sys.executable, "-m", "cyborg", "cell", str(file))
        own = (time.perf_counter() - start) * cells / (cells // 10)
    cores = os.cpu_count()
    print(
        f"machine: {platform.processor() or platform.machine()}, {cores} cores, "
        f"Python {platform.python_version()}"
    )
    print(f"cells: {cells}")
    print(f"first dvc repro          {first:6.1f} s")
    print(f"cells' own work          {own:6.1f} s on one core, {own / (cores or 1):.1f} s on all")
    print(f"orchestration            {first - own / (cores or 1):6.1f} s")
    print(f"dvc repro, nothing to do {nothing:6.1f} s")


def time_command(root: Path, *command: str) -> float:
    """Return the seconds that a command takes. Show its output only if it fails."""
    start = time.perf_counter()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, env=os.environ | {"PATH": path}
    )
    if done.returncode:
        raise SystemExit(f"{command}\n{done.stdout}\n{done.stderr}")
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
