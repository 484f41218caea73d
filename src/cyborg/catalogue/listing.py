"""List the catalogue with the state of each source on this machine, for `cyborg sources`."""

from __future__ import annotations

from pathlib import Path

from cyborg.catalogue.members import count_images
from cyborg.catalogue.sources import Source, read_catalogue
from cyborg.config.experiment import Experiment


def format_listing(experiment: Experiment, root: Path = Path()) -> str:
    """Return the catalogue as a table with the state of each source. `*` marks those in use."""
    wanted = set(experiment.data.list_sources())
    head = ("", "name", "label", "generator", "role", "access", "images", "state")
    lines = [head]
    for source in read_catalogue(root / experiment.data.catalogue).values():
        there = count_images(source, root)
        images = f"{there}/{source.count}" if source.count else f"{there}"
        mark = "*" if source.name in wanted else ""
        kept = source.label, source.generator or "-", source.role, source.access
        lines.append((mark, source.name, *kept, images, _describe_state(source, root, there)))
    widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
    table = "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    guide = f"To get missing images, see the column `instructions` of {experiment.data.catalogue}"
    return f"{table}\n* used by the experiment. {guide}"


def _describe_state(source: Source, root: Path, there: int) -> str:
    if not there:
        part = root / ".work" / "download" / (source.store or "")
        if source.store and part.is_dir() and any(part.glob("*.part")):
            return "partly"
        return "needs agreement" if source.access == "gated" else "missing"
    if source.access != "local" and source.count and there != source.count:
        return "partly"
    return "ready"
