"""Find finished cells of earlier revisions in DVC's cache or remote, and bring them back."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from cyborg.grid.layout import MANIFEST, RUNS, WORK, intact

Files = dict[str, str]  # file of a cell: md5 of its content


def restore(root: Path, kind: str, wanted: Iterable[str]) -> list[str]:
    """Bring back those of the wanted cells that an earlier run has finished; return their names.

    Looked at in turn: cells set aside by an interrupted run, DVC's local cache, the remote of
    every revision of dvc.lock that git knows. A cell that does not agree with its MANIFEST is left
    out. A remote that cannot be reached is reported on stderr and costs nothing but training.
    """
    missing, found = set(wanted), []
    for name in sorted(missing):
        if _take_back(root, kind, name):
            found.append(name)
    missing -= set(found)
    if missing and (root / ".dvc").is_dir():
        from dvc.repo import Repo

        with Repo(str(root)) as repo:
            cache = Path(repo.cache.local.path)
            for name, files in _in_cache(cache, missing).items():
                if _copy(root, kind, name, files, lambda md5: _object(cache, md5)):
                    found.append(name)
            missing -= set(found)
            if missing:
                found += _from_remotes(repo, root, kind, missing, cache)
    return sorted(found)


def set_aside(root: Path, kind: str, names: Iterable[str]) -> None:
    """Remove cells that nobody wants now; those that DVC's cache does not hold are kept in .work.

    Cells of a run that was interrupted were never cached; without this, going back to their
    parameters would train them again.
    """
    names = set(names)
    cached: dict[str, Files] = {}
    if names and (root / ".dvc").is_dir():
        from dvc.repo import Repo

        with Repo(str(root)) as repo:
            cached = _in_cache(Path(repo.cache.local.path), names)
    for name in sorted(names):
        folder = root / RUNS / kind / name
        if name not in cached and intact(folder):
            kept = root / WORK / "kept" / kind / name
            shutil.rmtree(kept, ignore_errors=True)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(folder, kept)
        else:
            shutil.rmtree(folder)
        for parent in folder.parents:  # leave no empty folders: they are part of DVC's listing
            if parent == root / RUNS / kind or any(parent.iterdir()):
                break
            parent.rmdir()


def _take_back(root: Path, kind: str, name: str) -> bool:
    kept = root / WORK / "kept" / kind / name
    if not intact(kept):
        return False
    folder = root / RUNS / kind / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(kept, folder)
    return True


def _object(cache: Path, md5: str) -> Path:
    return cache / md5[:2] / md5[2:]


def _in_cache(cache: Path, names: set[str]) -> dict[str, Files]:
    """Those of the cells that some folder listing in the cache names, all their files present."""
    found: dict[str, Files] = {}
    for listing in sorted(cache.glob("??/*.dir")):
        for name, files in _cells(listing.read_bytes(), names - set(found)).items():
            if all(_object(cache, md5).is_file() for md5 in files.values()):
                found[name] = files
    return found


def _cells(listing: bytes, names: set[str]) -> dict[str, Files]:
    """The wanted cells in one of DVC's folder listings."""
    try:
        entries = json.loads(listing)
    except ValueError:
        return {}
    cells: dict[str, Files] = {}
    for entry in entries:
        name, _, file = entry["relpath"].rpartition("/")
        if name in names:
            cells.setdefault(name, {})[file] = entry["md5"]
    return {name: files for name, files in cells.items() if MANIFEST in files}


def _copy(root: Path, kind: str, name: str, files: Files, source: Any) -> bool:
    """Build a cell's folder from content-addressed objects; true where it is intact."""
    work = root / WORK / "restore" / kind / name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for file, md5 in files.items():
        # A copy, not a link: cached objects may be read-only.
        shutil.copyfile(source(md5), work / file)
    if not intact(work):
        shutil.rmtree(work)
        return False
    folder = root / RUNS / kind / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    work.rename(folder)
    return True


def _from_remotes(repo: Any, root: Path, kind: str, missing: set[str], cache: Path) -> list[str]:
    """Restore cells from the default remote, by the revisions of dvc.lock that git knows."""
    if not repo.config.get("core", {}).get("remote"):
        return []
    found: list[str] = []
    try:
        odb = repo.cloud.get_remote_odb(None, "pull", hash_name="md5")

        def fetch(md5: str) -> Path:
            path = root / WORK / "restore" / "objects" / md5
            path.parent.mkdir(parents=True, exist_ok=True)
            local = _object(cache, md5)
            if local.is_file():
                return local
            odb.fs.get_file(odb.oid_to_path(md5), str(path))
            return path

        for listing in _listings(root, kind):
            left = missing - set(found)
            if not left:
                break
            try:
                content = fetch(listing).read_bytes()
            except FileNotFoundError:  # that revision was never pushed
                continue
            if hashlib.md5(content, usedforsecurity=False).hexdigest() != listing.split(".")[0]:
                continue
            for name, files in _cells(content, left).items():
                if _copy(root, kind, name, files, fetch):
                    found.append(name)
    except Exception as error:  # whatever a remote's driver raises: the cells can be trained
        print(
            f"note: the remote could not be searched for finished cells: {error}", file=sys.stderr
        )
    finally:
        shutil.rmtree(root / WORK / "restore", ignore_errors=True)
    return found


def _listings(root: Path, kind: str) -> list[str]:
    """md5 of runs/<kind> in every committed dvc.lock, the newest first."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else ""

    prefix = git("rev-parse", "--show-prefix").strip()
    found: list[str] = []
    for commit in git("log", "--all", "--format=%H", "--", "dvc.lock").split():
        try:
            lock = yaml.safe_load(git("show", f"{commit}:{prefix}dvc.lock")) or {}
        except yaml.YAMLError:
            continue
        for stage in lock.get("stages", {}).values():
            for out in stage.get("outs", []):
                if out.get("path") == f"{RUNS}/{kind}" and out["md5"] not in found:
                    found.append(out["md5"])
    return found
