"""Bring runs/<kind> to what plan/<kind> wants: keep, restore, run the missing cells, prune."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from filelock import FileLock, Timeout

from cyborg.common.errors import UserError
from cyborg.common.files import read_json, write_json
from cyborg.common.packages import check_packages
from cyborg.grid import store
from cyborg.grid.layout import LOGS, RUNS, WORK, finished, intact, planned
from cyborg.grid.progress import Progress

LOG_LINES, LOGS_SHOWN = 25, 3
PROFILE = Path("workflow/profiles/default")


def run_grid(kind: str, root: Path = Path()) -> str:
    """Make every wanted cell of `kind` finished and remove the others; return what was done.

    Cells that are finished stay, cells that earlier revisions finished are restored from DVC's
    cache or remote, and Snakemake runs the rest, on whatever SNAKEMAKE_PROFILE names.

    Raises UserError where cells failed; all others are finished and kept then, and nothing is
    removed.
    """
    check_packages("dvc", "snakemake")
    root = root.resolve()
    with _alone(root, kind):
        wanted = planned(root, kind)
        if not wanted:
            raise UserError(
                f"no {kind} cells are planned",
                where=root / "plan" / kind,
                hint="run `dvc repro` (or `cyborg plan`) first",
            )
        kept = _kept(root, kind, set(wanted))
        restored = store.restore(root, kind, set(wanted) - kept)
        missing = sorted(set(wanted) - kept - set(restored))
        if missing:
            _snakemake(root, kind, missing, wanted)
        done = finished(root, kind)
        failed = [name for name in wanted if name not in done]
        if failed:
            raise UserError(
                f"{len(failed)} of {len(wanted)} {kind} cells failed",
                hint="their logs stand above; mend the cause and run `dvc repro` again, finished "
                "cells are kept",
            )
        pruned = set(done) - set(wanted)
        store.set_aside(root, kind, pruned)
        _sweep(root, kind, set(wanted))
    summary = (
        f"{kind}: {len(missing)} cells run, {len(restored)} restored, {len(kept)} kept, "
        f"{len(pruned)} pruned"
    )
    write_json(
        root / WORK / f"{kind}.summary.json",
        {
            "run": missing,
            "restored": restored,
            "kept": sorted(kept),
            "pruned": sorted(pruned),
        },
    )
    return summary


def _alone(root: Path, kind: str) -> FileLock:
    """The lock of this grid; waits, with a word, for another run (or one whose DVC was killed)."""
    (root / WORK).mkdir(parents=True, exist_ok=True)
    lock = FileLock(str(root / WORK / f"{kind}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{kind}: another run is at work in this folder; waiting for it", file=sys.stderr)
        lock.acquire()
    return lock


def _kept(root: Path, kind: str, wanted: set[str]) -> set[str]:
    """Finished wanted cells; those damaged since are removed, and said to be."""
    kept = set()
    for name, folder in finished(root, kind).items():
        if name not in wanted:
            continue
        if intact(folder):
            kept.add(name)
        else:
            print(
                f"{kind}: {name} does not agree with its MANIFEST and is made anew", file=sys.stderr
            )
            shutil.rmtree(folder)
    return kept


def _sweep(root: Path, kind: str, wanted: set[str]) -> None:
    """Remove folders without a MANIFEST: what killed schedulers left, empty or half-deleted."""
    base = root / RUNS / kind
    for folder in sorted(base.glob("*/*/seed*/*"), reverse=True):
        if str(folder.relative_to(base)) not in wanted:
            shutil.rmtree(folder)
    for depth in ("*/*/seed*", "*/*", "*"):
        for folder in base.glob(depth):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _snakemake(root: Path, kind: str, cells: list[str], wanted: dict[str, Path]) -> None:
    """Run the missing cells through Snakemake; show progress, then the logs of failed cells."""
    config = root / WORK / f"{kind}.config.json"
    parents = {
        name: [f"{RUNS}/{parent}" for parent in read_json(wanted[name]).get("parents", [])]
        for name in cells
    }
    write_json(config, {"kind": kind, "cells": cells, "parents": parents})
    log = root / LOGS / kind / "snakemake.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    for name in cells:  # an old log must not pass for this run's
        (root / LOGS / kind / f"{name}.log").unlink(missing_ok=True)
    command = [
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
    ]
    environment = dict(os.environ)
    environment.setdefault("SNAKEMAKE_PROFILE", str(root / PROFILE))
    environment.setdefault("PYTHONHASHSEED", "0")
    with (
        open(log, "w", encoding="utf-8") as output,
        Progress(root, kind, cells) as progress,
        subprocess.Popen(
            command,
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            while process.poll() is None:
                progress.update()
                time.sleep(0.2)
        except BaseException:
            process.terminate()  # Snakemake stops its cells; they resume at the next run
            process.wait()
            raise
        progress.update()
    failed = [name for name in cells if name not in finished(root, kind)]
    if not failed:
        return
    logs = [root / LOGS / kind / f"{name}.log" for name in failed]
    shown = [path for path in logs if path.is_file() and path.stat().st_size]
    for path in shown[:LOGS_SHOWN]:
        _show(path, root)
    if len(shown) < len(logs):  # never started, or ended from outside: the scheduler knows why
        _show(log, root)
    for path in shown[LOGS_SHOWN:]:
        print(f"failed as well: {path.relative_to(root)}", file=sys.stderr)


def _show(path: Path, root: Path) -> None:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    print(f"\n--- {path.relative_to(root)} (last lines)", file=sys.stderr)
    print("\n".join(lines[-LOG_LINES:]), file=sys.stderr)
