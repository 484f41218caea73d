"""Make runs/<grid> agree with plan/<grid>: keep, restore and prune cells, and run the missing."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from filelock import FileLock, Timeout

from cyborg.common.errors import UserError
from cyborg.common.files import write_json
from cyborg.common.packages import check_packages
from cyborg.grid.cell_paths import (
    LOGS,
    RUNS,
    WORK,
    is_intact,
    list_finished,
    list_planned,
)
from cyborg.grid.dvc_cache import restore_cells, set_aside_cells
from cyborg.grid.progress import ProgressBar

# Lines of a failed cell's log that are shown, and logs of which they are shown.
LOG_LINES, LOGS_SHOWN = 25, 3
# Used if the environment names no profile of Snakemake.
PROFILE = Path("workflow/profiles/default")


def run_grid(grid: str, root: Path = Path()) -> str:
    """Finish every wanted cell of a grid, remove the others, and return a summary.

    Finished cells stay. Cells that earlier revisions finished are restored from DVC's cache or
    remote. Snakemake runs the rest, on whatever SNAKEMAKE_PROFILE names.

    Raises UserError if cells failed. All others are finished and kept then, and nothing is
    removed.
    """
    check_packages("dvc", "snakemake")
    root = root.resolve()
    with lock_grid(root, grid):
        wanted = list_planned(root, grid)
        if not wanted:
            raise UserError(
                f"no {grid} cells are planned",
                location=root / "plan" / grid,
                hint="run `dvc repro` (or `cyborg plan`) first",
            )
        kept = check_finished(root, grid, set(wanted))
        restored = restore_cells(root, grid, set(wanted) - kept)
        missing = sorted(set(wanted) - kept - set(restored))
        if missing:
            run_missing(root, grid, missing, wanted)
        finished = list_finished(root, grid)
        failed = [name for name in wanted if name not in finished]
        if failed:
            raise UserError(
                f"{len(failed)} of {len(wanted)} {grid} cells failed",
                hint="read their logs above, fix the cause and run `dvc repro` again. Finished "
                "cells are kept",
            )
        pruned = set(finished) - set(wanted)
        set_aside_cells(root, grid, pruned)
        sweep_folders(root, grid, set(wanted))
    write_json(
        root / WORK / f"{grid}.summary.json",
        {
            "run": missing,
            "restored": restored,
            "kept": sorted(kept),
            "pruned": sorted(pruned),
        },
    )
    return (
        f"{grid}: {len(missing)} cells run, {len(restored)} restored, {len(kept)} kept, "
        f"{len(pruned)} pruned"
    )


def lock_grid(root: Path, grid: str) -> FileLock:
    """Return the acquired lock of a grid. Wait, with a message, if another run holds it."""
    (root / WORK).mkdir(parents=True, exist_ok=True)
    lock = FileLock(str(root / WORK / f"{grid}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        # It may also be a run whose DVC was killed.
        print(f"{grid}: waiting for another run in this folder", file=sys.stderr)
        lock.acquire()
    return lock


def check_finished(root: Path, grid: str, wanted: set[str]) -> set[str]:
    """Return the wanted cells that are finished. Remove damaged ones, with a message."""
    kept = set()
    for name, folder in list_finished(root, grid).items():
        if name not in wanted:
            continue
        if is_intact(folder):
            kept.add(name)
        else:
            print(
                f"{grid}: {name} does not agree with its MANIFEST and is run again",
                file=sys.stderr,
            )
            shutil.rmtree(folder)
    return kept


def sweep_folders(root: Path, grid: str, wanted: set[str]) -> None:
    """Remove the folders of unwanted cells that killed schedulers left, and all empty folders."""
    base = root / RUNS / grid
    for folder in sorted(base.glob("*/*/seed*/*"), reverse=True):
        if str(folder.relative_to(base)) not in wanted:
            shutil.rmtree(folder)
    for depth in ("*/*/seed*", "*/*", "*"):
        for folder in base.glob(depth):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def run_missing(root: Path, grid: str, cells: list[str], wanted: dict[str, Path]) -> None:
    """Run the missing cells through Snakemake. Show progress, then the logs of failed cells."""
    config = root / WORK / f"{grid}.config.json"
    write_json(config, {"grid": grid, "cells": cells})
    log = root / LOGS / grid / "snakemake.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    for name in cells:  # an old log must not pass for this run's
        (root / LOGS / grid / f"{name}.log").unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "cyborg.grid.guard",
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        "workflow/Snakefile",
        "--configfile",
        str(config),
        "--directory",
        str(root),
        # Whether a cell is done is decided here, by its MANIFEST, and by nothing else.
        "--nolock",
        "--ignore-incomplete",
        "--drop-metadata",
        "--keep-going",
        "--rerun-triggers",
        "mtime",
        # All cells are alike, so nothing is gained by the other one, which needs a solver and room
        # for its files.
        "--scheduler",
        "greedy",
    ]
    environment = dict(os.environ)
    environment.setdefault("SNAKEMAKE_PROFILE", str(root / PROFILE))
    environment.setdefault("PYTHONHASHSEED", "0")
    with (
        open(log, "w", encoding="utf-8") as output,
        ProgressBar(root, grid, cells) as progress,
        subprocess.Popen(
            command,
            cwd=root,
            env=environment,
            # The guard ends Snakemake and its cells when this pipe closes: if an error leaves this
            # block, and if this process is killed. The cells resume at the next run.
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        while process.poll() is None:
            progress.update()
            time.sleep(0.2)
        progress.update()
    if process.returncode < 0:  # the guard was killed, and Snakemake may live
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    show_failures(root, grid, cells)


def show_failures(root: Path, grid: str, cells: list[str]) -> None:
    """Print the last lines of the logs of those cells that are not finished."""
    finished = list_finished(root, grid)
    failed = [name for name in cells if name not in finished]
    if not failed:
        return
    logs = [root / LOGS / grid / f"{name}.log" for name in failed]
    written = [path for path in logs if path.is_file() and path.stat().st_size]
    for path in written[:LOGS_SHOWN]:
        show_log(path, root)
    if len(written) < len(logs):
        # These cells never started, or were ended from outside. The scheduler's log tells why.
        show_log(root / LOGS / grid / "snakemake.log", root)
    for path in written[LOGS_SHOWN:]:
        print(f"failed as well: {path.relative_to(root)}", file=sys.stderr)


def show_log(path: Path, root: Path) -> None:
    """Print the last lines of a log on stderr."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    print(f"\n--- {path.relative_to(root)} (last lines)", file=sys.stderr)
    print("\n".join(lines[-LOG_LINES:]), file=sys.stderr)
