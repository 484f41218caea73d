"""Where cells lie: one place for the paths that planner, runner and cell share."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from cyborg.common.errors import UserError
from cyborg.common.files import encode_canonically, read_json, sha256_bytes, sha256_file

MANIFEST = "MANIFEST.json"
PLAN, RUNS, WORK, LOGS = Path("plan"), Path("runs"), Path(".work"), Path("logs")
_CELL = re.compile(r"[a-z0-9][a-z0-9_]*/[a-z0-9][a-z0-9_]*/seed\d+/[0-9a-f]{12}")


def fingerprint(spec: dict[str, Any]) -> str:
    """The first 12 digits of the sha256 of a specification's canonical JSON."""
    return sha256_bytes(encode_canonically(spec))[:12]


def cell_name(spec: dict[str, Any]) -> str:
    """`<architecture>/<variant>/seed<k>/<fingerprint>`, the cell's folder under runs/<kind>."""
    return (
        f"{spec['architecture']['name']}/{spec['variant']}/seed{spec['seed']}/{fingerprint(spec)}"
    )


def specification(path: Path) -> dict[str, Any]:
    """Read the specification of a cell and hold it against the fingerprint in its name.

    Raises UserError where the file was edited by hand: its results would pass for another cell's.
    """
    spec: dict[str, Any] = read_json(path)
    name = "/".join(path.with_suffix("").parts[-4:])
    if not isinstance(spec, dict) or not _CELL.fullmatch(name) or cell_name(spec) != name:
        raise UserError(
            "does not agree with the fingerprint in its name",
            where=path,
            hint="do not edit plan/; change params.yaml and run `dvc repro` (or `cyborg plan`)",
        )
    return spec


def planned(root: Path, kind: str) -> dict[str, Path]:
    """The wanted cells of a kind: name and specification file, sorted by name."""
    folder = root / PLAN / kind
    files = sorted(folder.glob("*/*/seed*/*.json"))
    return {str(file.relative_to(folder).with_suffix("")): file for file in files}


def finished(root: Path, kind: str) -> dict[str, Path]:
    """Cells of a kind whose folder holds a MANIFEST: name and folder, sorted by name."""
    folder = root / RUNS / kind
    found = sorted(folder.glob(f"*/*/seed*/*/{MANIFEST}"))
    return {str(file.parent.relative_to(folder)): file.parent for file in found}


def intact(folder: Path) -> bool:
    """Whether a finished folder holds exactly the files of its MANIFEST, with their contents."""
    try:
        listed = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        present = {p.name for p in folder.iterdir()} - {MANIFEST}
        return present == set(listed) and all(
            sha256_file(folder / name) == digest for name, digest in listed.items()
        )
    except (OSError, ValueError, AttributeError, TypeError):
        return False
