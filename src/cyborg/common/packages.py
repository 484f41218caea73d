"""Report packages that are not installed and that only the pipeline needs."""

from __future__ import annotations

import importlib.util

from cyborg.common.errors import UserError

# The command that installs everything that dvc.yaml needs.
INSTALL = "pip install 'cyborg-saliency[pipeline]'"


def check_packages(*names: str) -> None:
    """Raise UserError if one of the packages is not installed. It imports none of them.

    >>> check_packages("json")
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise explain_missing_package(ModuleNotFoundError(name=name))


def explain_missing_package(error: ModuleNotFoundError) -> UserError:
    """Return the message for an import that failed because a package is not installed.

    >>> print(explain_missing_package(ModuleNotFoundError(name="dvc.repo")).text())
    error: the package `dvc` is not installed
    hint: run `pip install 'cyborg-saliency[pipeline]'`, which installs all that the pipeline needs
    """
    name = (error.name or str(error)).split(".")[0]
    return UserError(
        f"the package `{name}` is not installed",
        hint=f"run `{INSTALL}`, which installs all that the pipeline needs",
    )
