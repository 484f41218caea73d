"""Say which parts of annotation files no map can show."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from cyborg.common.errors import UserError
from cyborg.saliency.annotation import Annotation


def report_left_out(annotations: Iterable[Annotation], path: Path, strict: bool) -> None:
    """Print on stderr how many parts of a file are left out, by reason, and where the first is.

    strict: raise UserError instead.
    """
    count: dict[str, int] = {}
    first: dict[str, str] = {}
    for annotation in annotations:
        for reason in annotation.left_out:
            count[reason] = count.get(reason, 0) + 1
            first.setdefault(reason, annotation.image)
    for reason, number in sorted(count.items()):
        text = f"{number} × {reason} (the first in image `{first[reason]}`)"
        if strict:
            raise UserError(
                f"holds what no map can show: {text}",
                location=path,
                hint="correct the file. Without --strict (`strict`) such parts are left out",
            )
        print(f"note: {path}: left out {text}", file=sys.stderr)
