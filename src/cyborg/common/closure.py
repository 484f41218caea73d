"""Find and hash the code that a module runs: all files that it imports, read and not run."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from cyborg.common.files import encode_canonically, sha256_bytes, sha256_file

PACKAGE = Path(__file__).resolve().parents[1]


def hash_code(starts: Iterable[str], package: Path = PACKAGE) -> str:
    """Return the sha256 over names and contents of all modules reached from `starts`.

    starts: dotted names. package: folder of the package that they belong to.
    """
    files = collect_modules(starts, package)
    hashes = {name: sha256_file(path) for name, path in files.items()}
    return sha256_bytes(encode_canonically(hashes))


def collect_modules(starts: Iterable[str], package: Path = PACKAGE) -> dict[str, Path]:
    """Return all modules of the package reached from `starts` by imports, with their files.

    Imports inside functions count, imports for type checkers alone do not. Members of a family
    are imported by name while the program runs, which this function cannot see: name them in
    `starts`. The top `__init__` is left out. It only lists the public names, which are imported
    when they are used. Raises ModuleNotFoundError if a start is not a module of the package.

    >>> sorted(collect_modules(["cyborg.common.errors"]))
    ['cyborg.common', 'cyborg.common.errors']
    """
    found: dict[str, Path] = {}
    waiting = list(starts)
    if missing := [name for name in waiting if find_file(name, package) is None]:
        raise ModuleNotFoundError(f"no such module: {', '.join(missing)}")
    while waiting:
        name = waiting.pop()
        path = find_file(name, package)
        if name in found or path is None or name == package.name:
            continue
        found[name] = path
        waiting += list_imports(path, name)
        if "." in name:  # importing a module runs the __init__ of the packages above it
            waiting.append(name.rsplit(".", 1)[0])
    return dict(sorted(found.items()))


def find_file(name: str, package: Path = PACKAGE) -> Path | None:
    """Return the file of the module `name`, or None if it is not a module of the package."""
    top, *parts = name.split(".")
    base = package.joinpath(*parts)
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if top == package.name and path.is_file():
            return path
    return None


@cache
def list_imports(path: Path, name: str) -> tuple[str, ...]:
    """Return the dotted names that the file of module `name` imports from its own package.

    `from package import member` gives both `package` and `package.member`, because `member` may
    be a module or something inside the package.
    """
    top = name.split(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_type_checkers = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for statement in node.body
        for child in ast.walk(statement)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if node in for_type_checkers:
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _resolve_base(node, name, is_package=path.name == "__init__.py")
            names.update([base, *(f"{base}.{alias.name}" for alias in node.names)])
    return tuple(sorted(n for n in names if n == top or n.startswith(f"{top}.")))


def _resolve_base(node: ast.ImportFrom, name: str, is_package: bool) -> str:
    """Return the dotted name after `from`, with the dots of a relative import resolved."""
    if not node.level:
        return node.module or ""
    package = name.split(".") if is_package else name.split(".")[:-1]
    above = package[: len(package) - node.level + 1]
    return ".".join([*above, node.module] if node.module else above)
