"""Repair what a killed run left in .dvc, so that the next `dvc repro` is not blocked.

DVC writes `.dvc/tmp/rwlock` and `dvc.lock` in place. A run that is killed at that moment leaves an
empty or cut file, which stops every later run. It also leaves its entry in the rwlock, which blocks
if another process has the same number by then, as in containers. DVC cannot be repaired from inside
one of its stages, so `make repro` calls this before it starts DVC.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from cyborg.common.files import write_json

RWLOCK = Path(".dvc/tmp/rwlock")
# Seconds by which the clocks of processes and of files may differ.
CLOCK_SLACK = 2.0


def repair_project(root: Path = Path()) -> list[str]:
    """Repair the files of DVC that block a run. Return a sentence for each repair.

    Entries of runs that are alive stay. Calling this at any time is safe.
    """
    found = [repair_rwlock(root), repair_dvc_lock(root), allow_missing_git(root)]
    return [sentence for sentence in found if sentence]


def repair_rwlock(root: Path) -> str | None:
    """Remove a damaged rwlock, or its entries of processes that ended. Return what was done."""
    path = root / RWLOCK
    if not path.is_file():
        return None
    with guard_rwlock(path):
        try:
            written = path.stat().st_mtime
            entries = read_entries(path)
        except FileNotFoundError:
            return None
        except (ValueError, AttributeError, TypeError, KeyError):
            path.unlink()
            return f"removed {RWLOCK}, which a killed run had left damaged"
        alive: dict[str, dict[str, Any]] = {"read": {}, "write": {}}
        removed = set()
        for mode, place, holder in entries:
            if not is_alive(holder["pid"], holder["cmd"], written):
                removed.add(holder["pid"])
            elif mode == "read":
                alive["read"].setdefault(place, []).append(holder)
            else:
                alive["write"][place] = holder
        if not removed:
            return None
        write_json(path, alive)
    numbers = ", ".join(map(str, sorted(removed)))
    return f"removed the locks of ended processes from {RWLOCK} (PID {numbers})"


def read_entries(path: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """Return the entries of an rwlock: `read` or `write`, the locked path, and who holds it.

    Raises ValueError, AttributeError, TypeError or KeyError if the file is damaged.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    if not set(content) <= {"read", "write"}:
        raise ValueError("unknown keys")
    entries = [("write", place, holder) for place, holder in content.get("write", {}).items()]
    for place, holders in content.get("read", {}).items():
        entries += [("read", place, holder) for holder in holders]
    for _, _, holder in entries:
        if type(holder["pid"]) is not int or not isinstance(holder["cmd"], str):
            raise TypeError("not a process")
    return entries


def is_alive(pid: int, command: str, written: float) -> bool:
    """Return whether the process that wrote an entry of the rwlock still runs.

    command: the words of the process, joined with blanks, without the interpreter.
    written: time of the last change of the rwlock. A process that began later did not write it.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        words = " ".join(process.cmdline())
        return words.endswith(command) and process.create_time() <= written + CLOCK_SLACK
    except psutil.AccessDenied:
        return True
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False


@contextlib.contextmanager
def guard_rwlock(path: Path) -> Iterator[None]:
    """Hold the lock that DVC holds while it edits the rwlock."""
    from dvc.lock import make_lock

    with make_lock(str(path.with_name("rwlock.lock")), tmp_dir=str(path.parent)):
        yield


def repair_dvc_lock(root: Path) -> str | None:
    """Move a dvc.lock that is not whole aside. DVC makes it again from its cache of runs."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    path = root / "dvc.lock"
    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.load(path.read_bytes(), yaml.CSafeLoader))
    except FileNotFoundError:
        return None
    except (yaml.YAMLError, ValueError, Invalid):
        path.replace(path.with_name("dvc.lock.damaged"))
        return (
            "moved dvc.lock, which a killed run had left damaged, to dvc.lock.damaged. "
            "`git checkout dvc.lock` brings the committed one back"
        )
    return None


def allow_missing_git(root: Path) -> str | None:
    """Let DVC work if no git repository contains the project, as after unpacking an archive."""
    from dvc.config import Config

    root = root.resolve()
    if any((place / ".git").exists() for place in (root, *root.parents)):
        return None
    if not (root / ".dvc").is_dir() or Config(str(root / ".dvc"))["core"].get("no_scm"):
        return None
    with Config(str(root / ".dvc")).edit("local") as values:
        values.setdefault("core", {})["no_scm"] = True
    return (
        "there is no git repository here, so DVC works without it. After `git init`, run "
        "`dvc config --local --unset core.no_scm`"
    )
