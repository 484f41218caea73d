"""The code that a cell runs: the files its modules import, found without running them, hashed."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from cyborg.common.files import encode_canonically, sha256_bytes, sha256_file

PACKAGE = Path(__file__).resolve().parents[1]


def hash_code(starts: list[str], package: Path = PACKAGE) -> str:
    """sha256 over names and contents of all modules reached from `starts` (dotted names)."""
    files = collect_modules(starts, package)
    return sha256_bytes(
        encode_canonically({name: sha256_file(path) for name, path in files.items()})
    )


def collect_modules(starts: list[str], package: Path = PACKAGE) -> dict[str, Path]:
    """Modules of the package reached from `starts` by import statements, with their files.

    Members of a family are imported by name at run time, which no static reading sees: the caller
    gives them as starts. Imports for type checkers alone are left out.
    """
    found: dict[str, Path] = {}
    waiting = list(starts)
    while waiting:
        name = waiting.pop()
        path = _file(name, package)
        if name in found or path is None:
            continue
        found[name] = path
        waiting += _imports(path, name, package.name)
        if "." in name:  # importing a module runs the __init__ of the packages above it
            waiting.append(name.rsplit(".", 1)[0])
    missing = [name for name in starts if name not in found]
    if missing:
        raise ModuleNotFoundError(f"no such module: {', '.join(missing)}")
    return dict(sorted(found.items()))


def _file(name: str, package: Path) -> Path | None:
    parts = name.split(".")
    if parts[0] != package.name:
        return None
    base = package.joinpath(*parts[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@cache
def _imports(path: Path, name: str, top: str) -> tuple[str, ...]:
    """Dotted names that a file imports from its own package, in any scope."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    here = name if path.name == "__init__.py" else name.rsplit(".", 1)[0]
    names: list[str] = []
    skipped = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for statement in node.body
        for child in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = here.split(".")[: len(here.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            # `from package import member` may name a module or something inside the package.
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(sorted({n for n in names if n == top or n.startswith(f"{top}.")}))
