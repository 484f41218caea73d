"""The audit as people read it: Markdown, and one HTML file with the suspicious pairs in it."""

from __future__ import annotations

import base64
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from cyborg.split.duplicates import thumbnail

SHOWN = 40
"""Pairs whose pictures are shown."""
SIDE = 96
"""Side of the pictures, pixels."""
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; margin: .6em 0; }
th, td { border-bottom: 1px solid #ccc; padding: .2em .8em; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
li { margin: .4em 0; } .hint { color: #555; } .stop { color: #a00; } .good { color: #060; }
figure { display: inline-block; margin: .5em; } figcaption { font-size: 12px; }
img { image-rendering: pixelated; }
"""

Table = tuple[str, str, list[str], list[list[str]]]


def markdown(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    lines = ["# Audit of the data", "", _verdict(report), ""]
    for title, mistakes in _lists(report):
        lines += [f"## {title}", ""]
        for m in mistakes:
            place = f"{m['where']}: " if m["where"] else ""
            lines.append(f"- {place}{m['what']}" + (f" *({m['hint']})*" if m["hint"] else ""))
        lines.append("")
    for title, note, heads, rows in _tables(report):
        if not rows:
            continue
        lines += [f"## {title}", "", note, ""] if note else [f"## {title}", ""]
        lines.append(f"| {' | '.join(heads)} |")
        lines.append(f"|{' --- |' * len(heads)}")
        lines += [f"| {' | '.join(row)} |" for row in rows]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def html(report: dict[str, Any], pairs: pd.DataFrame, files: pd.Series, root: Path) -> str:
    """The report as one HTML file without references to others; pairs are shown as pictures.

    pairs: near duplicates `a`, `b`, `distance`, `correlation`; files: path by image.
    """
    good = "good" if report["passed"] else "stop"
    parts = [
        "<!doctype html>", '<html lang="en"><meta charset="utf-8">', "<title>Audit</title>",
        f"<style>{STYLE}</style>", "<h1>Audit of the data</h1>",
        f'<p class="{good}">{escape(_verdict(report))}</p>',
    ]  # fmt: skip
    for title, mistakes in _lists(report):
        parts += [f"<h2>{title}</h2>", "<ul>"]
        for m in mistakes:
            place = f"<code>{escape(m['where'])}</code>: " if m["where"] else ""
            hint = f'<br><span class="hint">{escape(m["hint"])}</span>' if m["hint"] else ""
            parts.append(f"<li>{place}{escape(m['what'])}{hint}</li>")
        parts.append("</ul>")
    for title, note, heads, rows in _tables(report):
        if not rows:
            continue
        parts += [f"<h2>{title}</h2>", f"<p>{escape(note)}</p>" if note else "", "<table>"]
        parts.append("<tr>" + "".join(f"<th>{escape(head)}</th>" for head in heads) + "</tr>")
        parts += ["<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows]
        parts.append("</table>")
    if len(pairs):
        parts.append("<h2>Test images that look like training images</h2>")
        if len(pairs) > SHOWN:
            parts.append(f"<p>The first {SHOWN} of {len(pairs)}.</p>")
        parts += [_figure(row, files, root) for row in pairs.head(SHOWN).itertuples()]
    return "\n".join(part for part in parts if part) + "\n"


def _verdict(report: dict[str, Any]) -> str:
    warnings = f"{len(report['warnings'])} warnings"
    if report["passed"]:
        return f"Passed, {warnings}."
    return f"Stopped: {len(report['errors'])} mistakes, {warnings}. Nothing is trained on this."


def _lists(report: dict[str, Any]) -> list[tuple[str, list[dict[str, str]]]]:
    lists = [("What stops the build", report["errors"]), ("Warnings", report["warnings"])]
    return [(title, mistakes) for title, mistakes in lists if mistakes]


def _tables(report: dict[str, Any]) -> list[Table]:
    """Title, note, heads and rows of every table."""
    sets = report.get("sets", {"training_sets": {}, "test_sets": {}})
    kinds = {"training_sets": "training", "test_sets": "test"}
    counts = [
        [kinds[kind], name, part, ", ".join(f"{n} {label}" for label, n in entry[part].items()),
         ", ".join(f"{n} {maps}" for maps, n in entry["maps"][part].items()) or "–"]
        for kind, entries in sets.items()
        for name, entry in entries.items()
        for part in ("train", "validation", "test") if part in entry
    ]  # fmt: skip
    measured = report.get("confounds", {})
    families = sorted({f for entries in measured.values() for e in entries.values() for f in e})
    confounds = [
        [kinds[kind], name, *(_number(entry.get(family)) for family in families)]
        for kind, entries in measured.items()
        for name, entry in entries.items()
    ]
    trivial = [
        [name, _number(aucs.get("thumbnails")), _number(aucs.get("header"))]
        for name, aucs in report.get("baselines", {}).items()
    ]
    generators = [
        [name, ", ".join(entry["seen"]) or "–", ", ".join(entry["unseen"]) or "–"]
        for name, entry in report.get("generators", {}).items()
    ]
    near = [
        [pair["a"], pair["b"], str(pair["distance"]), f"{pair['correlation']:.3f}"]
        for pair in report.get("near_duplicates", {}).get("pairs", [])
    ]
    first = report.get("baselines_trained_on", "")
    return [
        ("Sets", "", ["kind", "set", "part", "images", "maps"], counts),
        ("Generators", "Of each test set: trained on, or not.", ["set", "seen", "unseen"],
         generators),
        ("Trivial classifiers",
         f"AUC on each test set of what was learnt on `{first}` from 8x8 thumbnails, or from file "
         "headers alone. A network should be read beside these.",
         ["test set", "thumbnails", "header"], trivial),
        ("Confounds",
         "Cross-validated AUC, within each set, of a small classifier that sees only this; 0.5 is "
         "no information, – is too few images.",
         ["kind", "set", *families], confounds),
        ("Near duplicates", "", ["test image", "training image", "bits", "correlation"], near),
    ]  # fmt: skip


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _cell(text: str) -> str:
    number = text.replace(".", "", 1).isdigit()
    return f"<td{' class=number' if number else ''}>{escape(text)}</td>"


def _figure(row: Any, files: pd.Series, root: Path) -> str:
    pictures = "".join(_picture(root / files[name]) for name in (row.a, row.b))
    bits = f"{row.distance} bits, {row.correlation:.3f}"
    text = f"{escape(row.a)}<br>{escape(row.b)}<br>{bits}"
    return f"<figure>{pictures}<figcaption>{text}</figcaption></figure>"


def _picture(path: Path) -> str:
    buffer = BytesIO()
    Image.fromarray(thumbnail(path, SIDE)).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="" width="{SIDE}" height="{SIDE}" src="data:image/png;base64,{data}">'
