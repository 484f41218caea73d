"""A copy of this project with tiny cells, and the real commands run in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from paths import REPOSITORY

BIN = Path(sys.executable).parent

TINY: dict[str, Any] = {
    "name": "tiny",
    "classes": ["bona_fide", "synthetic"],
    "data": {
        "catalogue": "data/sources.csv",
        "training_sets": {"phantom": ["phantom_real", "phantom_warping"]},
        "test_sets": {"blocking": ["phantom_test_real", "phantom_blocking"]},
    },
    "phantom": {"size": 48, "annotators": 1},
    "saliency": {"human": {"aggregate": "mean"}},
    "split": {"validation": 0.25},
    "check": {
        "near_duplicate_bits": 4,
        "near_duplicate_correlation": 0.97,
        "on_near_duplicates": "warn",
    },  # at 48 pixels many phantoms look the same
    "pack": {"reencode": "none"},
    "architectures": {"small_cnn": {"weights": "none", "image_size": 32}},
    "variants": {
        "cross_entropy": {"loss": "cross_entropy"},
        "cyborg": {"loss": "cyborg", "saliency": "human", "alpha": 0.5},
    },
    "seeds": [1, 2],
    "training": {"epochs": 2, "batch_size": 8, "learning_rate": 0.001},
    "evaluation": {"batch_size": 16, "gallery": 2},
    "report": {"bootstrap": 100},
}
COUNT = 24  # images of every phantom source


@dataclass
class Project:
    """A project folder under git and DVC."""

    root: Path

    def environment(self) -> dict[str, str]:
        """The project's own code before the installed one, its own configuration of git and DVC."""
        return os.environ | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.root / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "GIT_AUTHOR_NAME": "t",
            "GIT_AUTHOR_EMAIL": "t@example.org",
            "GIT_COMMITTER_NAME": "t",
            "GIT_COMMITTER_EMAIL": "t@example.org",
            "DVC_NO_ANALYTICS": "1",
        }

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the project; on failure, show what it printed."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment(),
            text=True,
            capture_output=True,
            timeout=600,
        )
        if check and done.returncode:
            raise AssertionError(
                f"{command} exited with {done.returncode}\n"
                f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
            )
        return done

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a command in a process group of its own, so that it can be killed whole."""
        with open(self.root / "started.log", "wb") as log:
            return subprocess.Popen(
                command,
                cwd=self.root,
                env=self.environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def repro(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`dvc repro`, after forgetting what earlier runs did."""
        for kind in ("train", "evaluate", "wait"):
            (self.root / f".work/{kind}.summary.json").unlink(missing_ok=True)
        return self.run("dvc", "repro", *words, check=check)

    def did(self, kind: str, what: str) -> list[str]:
        """Cells that the last repro `run`, `restored`, `kept` or `pruned`, without fingerprints."""
        path = self.root / f".work/{kind}.summary.json"
        if not path.is_file():
            return []
        return sorted(name.rsplit("/", 1)[0] for name in json.loads(path.read_text())[what])

    def params(self, **changes: Any) -> None:
        """Write params.yaml: TINY with changes, given as dotted keys with `__` for the dot."""
        values = json.loads(json.dumps(TINY))
        for key, value in changes.items():
            *above, last = key.split("__")
            place = values
            for part in above:
                place = place[part]
            place[last] = value
        (self.root / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))

    def commit(self) -> None:
        """Commit everything that git does not ignore."""
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", "state", "--allow-empty")

    def copy(self, target: Path) -> Project:
        """Another project in the same state, cache included."""
        shutil.copytree(self.root, target, symlinks=True)
        return Project(target)

    def contents(self, folder: str) -> dict[str, bytes]:
        """All files below a folder with their bytes."""
        base = self.root / folder
        return {
            str(p.relative_to(base)): p.read_bytes() for p in sorted(base.rglob("*")) if p.is_file()
        }


def create(root: Path) -> Project:
    """A fresh tiny project under git, with its own copy of the code, nothing run yet."""
    root.mkdir(parents=True)
    for name in ("src", "workflow"):
        shutil.copytree(
            REPOSITORY / name,
            root / name,
            ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"),
        )
    for name in (
        "dvc.yaml",
        ".dvcignore",
        ".gitignore",
        "data/sources.csv",
        "data/raw/README.md",
        ".dvc/config",
        ".dvc/.gitignore",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / name, root / name)
    _shrink(root / "data/sources.csv")
    project = Project(root)
    project.params()
    project.run("git", "init", "-q")
    project.commit()
    return project


def shortened(params: dict[str, Any]) -> dict[str, Any]:
    """A shipped file with EfficientNet-lite0, cut to two variants, one seed, one small epoch."""
    params["architectures"]["efficientnet_lite0"]["image_size"] = 64
    params["variants"] = {name: params["variants"][name] for name in ("cross_entropy", "cyborg")}
    params["seeds"] = [1]
    params["training"] |= {"epochs": 1, "images_per_epoch": 32}
    params["report"]["bootstrap"] = 100
    return params


def _shrink(path: Path) -> None:
    """Fewer phantoms per source."""
    import pandas as pd

    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.loc[table["access"] == "phantom", "count"] = str(COUNT)
    table.to_csv(path, index=False)
