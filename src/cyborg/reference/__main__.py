"""Write every generated block of the pages: `python -m cyborg.reference FILE.md …`."""

from __future__ import annotations

import sys
from pathlib import Path

from cyborg.common.errors import UserError
from cyborg.reference.pages import write_pages


def main(arguments: list[str]) -> int:
    """Update the pages named by `arguments`, and return the exit code."""
    try:
        changed = write_pages([Path(name) for name in arguments])
    except UserError as error:
        print(error.text(), file=sys.stderr)
        return 2
    for page in changed:
        print(f"updated {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
