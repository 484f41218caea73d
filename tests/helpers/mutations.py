"""Change files to try readers: bytes and tokens, and values whose syntax is kept."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import xml.etree.ElementTree as tree
import zlib
from random import Random
from typing import Any

NASTY: list[Any] = [
    None,
    True,
    "",
    "x",
    "../../etc/passwd",
    "\ud800",
    "\0",
    "data:text/html;base64,AAAA",
    "data:image/png;base64,AAAA",
    0,
    -1,
    0.5,
    1e9,
    10**9,
    1e308,
    -1e308,
    2**63,
    10**400,
    [],
    {},
    [[]],
    [[0, 0]],
    [[0, 0]] * 3,
    [None],
    {"a": {}},
    [[1e9, 1e9], [0, 0]],
    [255] * 40,
    [0] * 40,
]
TEXTS = [
    b"", b"0", b"-1", b"1e309", b"-1e308", b"nan", b"inf", b"1000000000", b"99999999999999999999",
    b"x", b"\xff", b"\0", b"{", b"[", b"}", b'"', b"<", b">", b"&a;", b",", b";", b"\n", b"  ",
    b"true", b"null", b"undefined", b"../../x", b"9" * 5000, b"[" * 3000, b"<a>" * 300,
    b'<!DOCTYPE a [<!ENTITY a "b">]>', b"0, 1, 2", b"0,4000000000",
]  # fmt: skip


def mutate(data: bytes, random: Random) -> bytes:
    """Change a file's bytes and tokens, which mostly breaks it, or its values, which does not."""
    changes = (change_bytes, change_token) if random.random() < 0.3 else (change_value,)
    for _ in range(random.randint(1, 4)):
        data = random.choice(changes)(data, random)
    return data


def change_bytes(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data) + 1)
    stop = min(len(data), start + random.choice((1, 1, 2, 8, 64)))
    kind = random.randrange(6)
    if kind == 0:  # cut short
        return data[:start]
    if kind == 1:  # leave out
        return data[:start] + data[stop:]
    if kind == 2:  # twice
        return data[:stop] + data[start:]
    if kind == 3:  # insert
        return data[:start] + random.choice(TEXTS) + data[start:]
    if kind == 4:  # other bytes
        return data[:start] + random.randbytes(stop - start) + data[stop:]
    if start == len(data):
        return data
    flipped = data[start] ^ (1 << random.randrange(8))
    return data[:start] + bytes([flipped]) + data[start + 1 :]


def change_token(data: bytes, random: Random) -> bytes:
    """Replace a number, word or text."""
    found = list(re.finditer(rb'-?\d+\.?\d*|[A-Za-z_]+|"[^"\n]{0,80}"', data[:20000]))
    if not found:
        return change_bytes(data, random)
    token = random.choice(found)
    return data[: token.start()] + random.choice(TEXTS) + data[token.end() :]


def change_value(data: bytes, random: Random) -> bytes:
    """Change a value and keep the file's syntax: JSON, XML, CSV, PNG; else a token."""
    start = data.lstrip()[:1]
    if start in (b"{", b"["):
        return change_json(data, random)
    if start == b"<":
        return change_xml(data, random)
    if data.startswith(b"\x89PNG"):
        return change_png(data, random)
    if b"," in data[:200]:
        return change_csv(data, random)
    return change_token(data, random)


def change_json(data: bytes, random: Random) -> bytes:
    try:
        root = json.loads(data)
    except (ValueError, RecursionError):
        return change_token(data, random)
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            places.append((value, key))
            if isinstance(inner, dict | list) and len(places) < 3000:
                walk(inner)

    if isinstance(root, dict | list):
        walk(root)
    if not places:
        return change_bytes(data, random)
    container, key = random.choice(places)
    kind = random.randrange(8)
    if kind == 0:
        del container[key]
    elif kind == 1:
        value: Any = container[key]
        for _ in range(random.choice((1, 5, 100))):
            value = [value]
        container[key] = value
    elif kind == 2 and isinstance(container, list):
        container += [container[key]] * random.choice((1, 3, 20))
    elif kind == 3:  # the value of another place
        other, index = random.choice(places)
        container[key] = json.loads(json.dumps(other[index])) if index in other else None
    else:
        container[key] = random.choice(NASTY)
    return json.dumps(root).encode("utf-8", "replace")


def change_xml(data: bytes, random: Random) -> bytes:
    try:
        root = tree.fromstring(data)
    except tree.ParseError:
        return change_token(data, random)
    elements = [(parent, child) for parent in root.iter() for child in parent]
    if not elements:
        return change_bytes(data, random)
    parent, child = random.choice(elements)
    text = random.choice(TEXTS).decode("latin-1").replace("\0", "").replace("\xff", "ÿ")
    kind = random.randrange(6)
    if kind == 0:
        parent.remove(child)
    elif kind == 1:
        parent.extend([child] * random.choice((1, 10)))
    elif kind == 2:
        child.tag = random.choice(elements)[1].tag
    elif kind == 3 and child.attrib:
        key = random.choice(sorted(child.attrib))
        if random.random() < 0.2:
            del child.attrib[key]
        else:
            child.attrib[key] = random.choice(
                (text, "-" + child.attrib[key], child.attrib[key].replace(",", ";"), "1e9")
            )
    elif kind == 4:
        random.choice(elements)[1].append(tree.fromstring(tree.tostring(child)))
    else:
        child.text = text
    return tree.tostring(root, encoding="utf-8", xml_declaration=True)


def change_csv(data: bytes, random: Random) -> bytes:
    try:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8"), newline="")))
    except (UnicodeDecodeError, csv.Error):
        return change_token(data, random)
    row = random.choice([row for row in rows if row] or [[""]])
    column = random.randrange(len(row))
    cell = row[column].encode()
    cell = random.choice(TEXTS) if random.random() < 0.5 else change_cell(cell, random)
    row[column] = cell.decode("utf-8", "replace")
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()


def change_cell(cell: bytes, random: Random) -> bytes:
    """A cell may hold JSON or SVG of its own, or a picture."""
    if cell.lstrip()[:1] in (b"{", b"[", b"<"):
        return change_value(cell, random)
    if cell.startswith(b"data:image/png;base64,"):
        picture = base64.b64decode(cell[22:] + b"==", validate=False)
        return cell[:22] + base64.b64encode(change_png(picture, random))
    return change_token(cell, random)


def change_png(data: bytes, random: Random) -> bytes:
    """Change a chunk of a PNG and mend its checksum, so that decoders read on."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    if not chunks:
        return change_bytes(data, random)
    chosen = random.choice((0, 0, random.randrange(len(chunks))))
    kind, content = chunks[chosen]
    if kind == b"IDAT" and random.random() < 0.7:
        try:
            pixels = bytearray(zlib.decompress(content))
            pixels[random.randrange(len(pixels))] = random.randrange(256)
            content = zlib.compress(bytes(pixels))
        except (zlib.error, ValueError):
            content = change_bytes(content, random)
    elif content:
        place = random.randrange(len(content))
        value = bytes([random.choice((0, 1, 2, 3, 4, 6, 8, 16, 127, 255))])
        content = content[:place] + value + content[place + 1 :]
    chunks[chosen] = (kind, content)
    result = data[:8]
    for kind, content in chunks:
        checksum = zlib.crc32(kind + content).to_bytes(4, "big")
        result += len(content).to_bytes(4, "big") + kind + content + checksum
    return result
