"""Find finished cells of earlier revisions in DVC's cache or remote, and bring them back."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from cyborg.grid.cell_paths import MANIFEST, RUNS, WORK, is_intact

# The files of a cell: name, and md5 of the content.
Files = dict[str, str]


def restore_cells(root: Path, grid: str, wanted: Iterable[str]) -> list[str]:
    """Bring back the wanted cells that an earlier run has finished, and return their names.

    Three places are searched in turn: the cells that an interrupted run set aside, DVC's local
    cache, and the remote, for every revision of dvc.lock that git knows. A cell that does not agree
    with its MANIFEST is left out. If the remote cannot be reached, a note says so on stderr, and
    the cells are trained instead.
    """
    missing, found = set(wanted), []
    for name in sorted(missing):
        if take_back(root, grid, name):
            found.append(name)
    missing -= set(found)
    if missing and (root / ".dvc").is_dir():
        from dvc.repo import Repo

        with Repo(str(root)) as repo:
            cache = Path(repo.cache.local.path)
            for name, files in find_cached(cache, missing).items():
                if copy_cell(root, grid, name, files, lambda md5: locate_object(cache, md5)):
                    found.append(name)
            missing -= set(found)
            if missing:
                found += restore_from_remote(repo, root, grid, missing, cache)
    return sorted(found)


def set_aside_cells(root: Path, grid: str, names: Iterable[str]) -> None:
    """Remove cells that nobody wants now. Those that DVC's cache does not hold are kept in .work.

    The cells of an interrupted run were never cached. Without this, going back to their parameters
    would train them again.
    """
    names = set(names)
    cached: dict[str, Files] = {}
    if names and (root / ".dvc").is_dir():
        from dvc.repo import Repo

        with Repo(str(root)) as repo:
            cached = find_cached(Path(repo.cache.local.path), names)
    for name in sorted(names):
        folder = root / RUNS / grid / name
        if name not in cached and is_intact(folder):
            kept = root / WORK / "kept" / grid / name
            shutil.rmtree(kept, ignore_errors=True)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(folder, kept)
        else:
            shutil.rmtree(folder)
        for parent in folder.parents:  # leave no empty folders: they are part of DVC's listing
            if parent == root / RUNS / grid or any(parent.iterdir()):
                break
            parent.rmdir()


def take_back(root: Path, grid: str, name: str) -> bool:
    """Bring back a cell that was set aside. Return whether there was an intact one."""
    kept = root / WORK / "kept" / grid / name
    if not is_intact(kept):
        return False
    folder = root / RUNS / grid / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(kept, folder)
    return True


def locate_object(cache: Path, md5: str) -> Path:
    """Return the path of an object in DVC's cache."""
    return cache / md5[:2] / md5[2:]


def find_cached(cache: Path, names: set[str]) -> dict[str, Files]:
    """Return the cells that some folder listing in the cache names, with all their files there."""
    found: dict[str, Files] = {}
    for listing in sorted(cache.glob("??/*.dir")):
        for name, files in parse_listing(listing.read_bytes(), names - set(found)).items():
            if all(locate_object(cache, md5).is_file() for md5 in files.values()):
                found[name] = files
    return found


def parse_listing(listing: bytes, names: set[str]) -> dict[str, Files]:
    """Return the wanted cells in one of DVC's folder listings, empty if it is not readable."""
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


def copy_cell(root: Path, grid: str, name: str, files: Files, fetch: Callable[[str], Path]) -> bool:
    """Build a cell's folder from content-addressed objects. Return whether it is intact.

    fetch: returns the local path of the object with an md5.
    """
    work = root / WORK / "restore" / grid / name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for file, md5 in files.items():
        # A copy, not a link: cached objects may be read-only.
        shutil.copyfile(fetch(md5), work / file)
    if not is_intact(work):
        shutil.rmtree(work)
        return False
    folder = root / RUNS / grid / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    work.rename(folder)
    return True


def restore_from_remote(
    repo: Any, root: Path, grid: str, missing: set[str], cache: Path
) -> list[str]:
    """Restore cells from the default remote, by the revisions of dvc.lock that git knows."""
    if not repo.config.get("core", {}).get("remote"):
        return []
    found: list[str] = []
    try:
        odb = repo.cloud.get_remote_odb(None, "pull", hash_name="md5")

        def fetch(md5: str) -> Path:
            path = root / WORK / "restore" / "objects" / md5
            path.parent.mkdir(parents=True, exist_ok=True)
            local = locate_object(cache, md5)
            if local.is_file():
                return local
            odb.fs.get_file(odb.oid_to_path(md5), str(path))
            return path

        for listing in list_revisions(root, grid):
            left = missing - set(found)
            if not left:
                break
            try:
                content = fetch(listing).read_bytes()
            except FileNotFoundError:  # that revision was never pushed
                continue
            if hashlib.md5(content, usedforsecurity=False).hexdigest() != listing.split(".")[0]:
                continue
            for name, files in parse_listing(content, left).items():
                if copy_cell(root, grid, name, files, fetch):
                    found.append(name)
    except Exception as error:  # drivers of remotes raise anything, and the cells can be trained
        print(
            f"note: the remote could not be searched for finished cells: {error}", file=sys.stderr
        )
    finally:
        shutil.rmtree(root / WORK / "restore", ignore_errors=True)
    return found


def list_revisions(root: Path, grid: str) -> list[str]:
    """Return the md5 of runs/<grid> in every committed dvc.lock, the newest first."""

    def git(*words: str) -> str:
        if shutil.which("git") is None:
            return ""
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
                if out.get("path") == f"{RUNS}/{grid}" and out["md5"] not in found:
                    found.append(out["md5"])
    return found
