"""Decide where cells lie: one place for the paths that planner, runner and cell share."""

from __future__ import annotations

import json
import re
from pathlib import Path

from pydantic import ValidationError

from cyborg.common.errors import UserError
from cyborg.common.families import CELL_KINDS
from cyborg.common.files import read_json, sha256_file
from cyborg.common.schema import collect_mistakes
from cyborg.config.cells import CellSpec

MANIFEST = "MANIFEST.json"
PLAN, RUNS, WORK, LOGS = Path("plan"), Path("runs"), Path(".work"), Path("logs")
_CELL = re.compile(r"[a-z0-9][a-z0-9_]*/[a-z0-9][a-z0-9_]*/seed\d+/[0-9a-f]{12}")
_HINT = "do not edit plan/; change params.yaml and run `dvc repro` (or `cyborg plan`)"


def cell_name(spec: CellSpec) -> str:
    """Return `<architecture>/<variant>/seed<k>/<fingerprint>`, the cell's folder in its grid.

    The fingerprint is the first 12 digits of the sha256 of the specification.
    """
    return f"{spec.architecture.name}/{spec.variant}/seed{spec.seed}/{spec.compute_digest()[:12]}"


def cell_path(spec: CellSpec) -> str:
    """Return `<grid>/<name>`, the path of a cell below plan/ (with .json) and below runs/."""
    return f"{CELL_KINDS.find(spec.kind).grid}/{cell_name(spec)}"


def read_spec(path: Path) -> CellSpec:
    """Read the specification of a cell and compare it with the fingerprint in its name.

    Raises UserError if the file is not a specification, and if it was edited by hand: its results
    would pass for those of another cell.
    """
    content = read_json(path)
    if not isinstance(content, dict) or "kind" not in content:
        raise UserError("is not the specification of a cell", location=path, hint=_HINT)
    kind = str(content["kind"])
    if kind not in CELL_KINDS.list_names():
        raise CELL_KINDS.describe_unknown(kind, str(path))
    spec_type: type[CellSpec] = CELL_KINDS.find(kind).spec
    try:
        spec = spec_type.model_validate(content)
    except ValidationError as error:
        raise collect_mistakes(error, spec_type, path) from None
    name = "/".join(path.with_suffix("").parts[-4:])
    if not _CELL.fullmatch(name) or cell_name(spec) != name:
        raise UserError(
            "does not agree with the fingerprint in its name",
            location=path,
            hint=_HINT,
        )
    return spec


def list_planned(root: Path, grid: str) -> dict[str, Path]:
    """Return the wanted cells of a grid: name and specification file, sorted by name."""
    folder = root / PLAN / grid
    files = sorted(folder.glob("*/*/seed*/*.json"))
    return {str(file.relative_to(folder).with_suffix("")): file for file in files}


def list_finished(root: Path, grid: str) -> dict[str, Path]:
    """Return the cells of a grid whose folder holds a MANIFEST: name and folder, sorted by name."""
    folder = root / RUNS / grid
    found = sorted(folder.glob(f"*/*/seed*/*/{MANIFEST}"))
    return {str(file.parent.relative_to(folder)): file.parent for file in found}


def is_intact(folder: Path) -> bool:
    """Return whether a finished folder holds exactly the files of its MANIFEST, unchanged."""
    try:
        listed = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        present = {p.name for p in folder.iterdir()} - {MANIFEST}
        return present == set(listed) and all(
            sha256_file(folder / name) == digest for name, digest in listed.items()
        )
    except (OSError, ValueError, AttributeError, TypeError):
        return False
