"""Run one cell by its specification: lock, work aside, write the MANIFEST, rename into place."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from cyborg.common.errors import UserError
from cyborg.common.families import CELL_KINDS
from cyborg.common.files import describe_write_error, sha256_file, sync_to_disk, write_json
from cyborg.common.progress import ReportProgress
from cyborg.grid.cell_paths import MANIFEST, RUNS, WORK, cell_path, is_intact, read_spec

# Errors of a file system that the user can fix.
_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


def run_cell(path: Path, root: Path = Path()) -> Path:
    """Run the cell of a specification file unless it is finished, and return its folder.

    It is safe to start a cell twice and to kill it at any moment. A cell is worked on in `.work/`,
    and its folder under runs/ appears complete or not at all. An interrupted training goes on from
    its last epoch.
    """
    spec = read_spec(path)
    kind = CELL_KINDS.find(spec.kind)
    folder = root / RUNS / cell_path(spec)
    work = root / WORK / cell_path(spec)
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise describe_write_error(work, error) from error
    # The lock lies beside the folder that it protects, because that folder is removed at the end.
    with FileLock(f"{work}.lock"), take_gpu(root):
        if is_intact(folder):
            return folder
        result = work / "result"
        shutil.rmtree(result, ignore_errors=True)
        try:
            result.mkdir(parents=True)
            report = make_reporter(work / "progress.json")
            kind.run(spec, result, root, work / "resume", report)
            publish_result(result, folder)
        except OSError as error:
            if error.errno == errno.ENOENT and not result.is_dir():
                raise UserError(
                    "was deleted while its cell ran",
                    location=work,
                    hint="run the same command again. The cell starts from its first epoch",
                ) from error
            if error.errno not in _UNWRITABLE:
                raise
            raise describe_write_error(Path(error.filename or work), error) from error
        shutil.rmtree(work, ignore_errors=True)
    return folder


def publish_result(result: Path, folder: Path) -> None:
    """Make `result` the finished `folder`. All files are on disk before the folder has its name."""
    files = sorted(path for path in result.iterdir())
    for file in files:
        sync_to_disk(file)
    write_json(result / MANIFEST, {file.name: sha256_file(file) for file in files})
    sync_to_disk(result)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.is_dir() and any(folder.iterdir()):  # damaged, or left by a killed scheduler
        shutil.rmtree(folder)
    # Renaming onto an empty folder works. The scheduler makes that folder before it starts a job.
    result.rename(folder)
    sync_to_disk(folder.parent)


def make_reporter(path: Path) -> ReportProgress:
    """Return a function that leaves a cell's progress in a file for the runner."""

    def report(done: int, total: int) -> None:
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps({"done": done, "total": total}), encoding="utf-8")
        temporary.replace(path)

    return report


@contextmanager
def take_gpu(root: Path) -> Iterator[None]:
    """Take a free GPU if this machine has several and nobody has chosen one.

    CYBORG_GPUS is their number (set by the gpu profile), CYBORG_CELLS_PER_GPU how many cells may
    share one. Schedulers that assign devices themselves (SLURM's --gres) set
    CUDA_VISIBLE_DEVICES, which is respected.
    """
    gpus = int(os.environ.get("CYBORG_GPUS", "0"))
    if not gpus or "CUDA_VISIBLE_DEVICES" in os.environ:
        yield
        return
    share = int(os.environ.get("CYBORG_CELLS_PER_GPU", "1"))
    folder = root / WORK / "gpus"
    folder.mkdir(parents=True, exist_ok=True)
    # Every GPU has its first cell before one has a second.
    slots = [(gpu, slot) for slot in range(share) for gpu in range(gpus)]
    while True:
        for gpu, slot in slots:
            lock = FileLock(str(folder / f"{gpu}.{slot}.lock"))
            try:
                lock.acquire(timeout=0.05)
            except Timeout:
                continue
            os.environ["CUDA_VISIBLE_DEVICES"] = str(gpu)
            try:
                yield
            finally:
                os.environ.pop("CUDA_VISIBLE_DEVICES", None)
                lock.release()
            return
