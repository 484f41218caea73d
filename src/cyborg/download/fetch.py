"""Fetch one file over HTTP or from Google Drive: resumed, retried, verified, complete or absent."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from tqdm import tqdm

from cyborg.common.errors import UserError
from cyborg.common.files import describe_write_error, sha256_file, sync_to_disk, write_json

BLOCK = 1 << 16  # what is lost where a connection is cut
TIMEOUT = (15.0, 60.0)  # seconds: to connect, between two blocks
LONGEST_WAIT = 60.0
PASSING = (408, 425, 429, 500, 502, 503, 504)  # the server may do better in a moment
DRIVE = ("drive.google.com", "docs.google.com", "drive.usercontent.google.com")


@dataclass(frozen=True)
class FetchedFile:
    """Checksum and size of a fetched file."""

    sha256: str
    bytes: int


class FetchError(UserError):
    """No mirror gave the file, or not the expected one."""


class _AgainError(Exception):
    """This attempt failed, another may not; `wait` in seconds where the server says how long."""

    def __init__(self, reason: str, wait: float | None = None):
        super().__init__(reason)
        self.wait = wait


class _RefusedError(Exception):
    """No further attempt at this address."""


def fetch_file(
    urls: Sequence[str],
    target: Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    attempts: int = 5,
    wait: float = 1.0,
) -> FetchedFile:
    """Fetch a file from the first mirror that gives it and write it to `target`.

    What has arrived stays in `<target>.part` when a connection or this process ends, and is
    continued by the next call, if the server vouches that it is still the same file. After
    `attempts` failures in a row without progress the next mirror is tried; between attempts
    `wait` seconds pass, doubled each time (up to a minute, or what the server asks for).

    sha256, size (bytes): what the file must have; None accepts any. A file that differs is
    removed. Raises FetchError with the reason of every mirror, UserError where the disk is full.
    """
    part = target.with_name(f"{target.name}.part")
    reasons = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for url in urls:
            try:
                fetched = _fetch_from_mirror(url, part, sha256, size, attempts, wait)
            except _RefusedError as error:
                reasons.append(f"{url}: {error}")
                continue
            sync_to_disk(part)
            part.replace(target)
            _notes_path(part).unlink(missing_ok=True)
            sync_to_disk(target.parent)
            return fetched
    except OSError as error:
        raise describe_write_error(target, error) from error
    raise FetchError("could not be fetched:\n  " + "\n  ".join(reasons), where=target.name)


def _fetch_from_mirror(
    url: str, part: Path, sha256: str | None, size: int | None, attempts: int, wait: float
) -> FetchedFile:
    """Fetch from one address into `part` and verify it."""
    failures = 0
    while True:
        before = _measure(part)
        try:
            if _find_host(url) in DRIVE:
                _fetch_from_drive(url, part, attempts)
            else:
                _request(url, part, size, known=sha256 is not None)
            return _verify(part, sha256, size, resumed=before > 0)
        except _AgainError as error:
            failures = 1 if _measure(part) > before else failures + 1
            if failures >= attempts:
                raise _RefusedError(f"{error} ({attempts} attempts)") from None
            pause = wait * 2 ** (failures - 1) if error.wait is None else error.wait
            print(f"{url}: {error}; trying again", file=sys.stderr)
            time.sleep(min(pause, LONGEST_WAIT))


def _verify(part: Path, sha256: str | None, size: int | None, *, resumed: bool) -> FetchedFile:
    got = FetchedFile(sha256_file(part), _measure(part))
    if sha256 in (None, got.sha256) and size in (None, got.bytes) and got.bytes:
        return got
    _discard_part(part)
    if resumed:  # perhaps only the part that lay here was bad
        raise _AgainError("the continued file is not the expected one; starting over", wait=0.0)
    if not got.bytes:
        raise _RefusedError("the file is empty")
    if size not in (None, got.bytes):
        raise _RefusedError(f"has {got.bytes} bytes, not {size}; removed")
    raise _RefusedError(f"its sha256 is {got.sha256}, not {sha256}; removed")


def _request(url: str, part: Path, size: int | None, *, known: bool) -> None:
    """One request; appends to `part` where the server continues the same file.

    known: the checksum is, so that any part may be tried.
    """
    notes = _read_notes(part, url, known=known)
    start = _measure(part) if notes else 0
    if start and start == notes.get("total"):
        return  # all had arrived when the last process ended
    headers = {"Accept-Encoding": "identity", "User-Agent": "cyborg-saliency"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if notes["url"] == url and notes["validator"]:
            headers["If-Range"] = notes["validator"]
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            start, total = _check_response(response, part, start, size)
            _save_body(response, url, part, start, total)
    except (requests.TooManyRedirects, ValueError) as error:
        raise _RefusedError(_shorten(error)) from None  # ValueError: not a valid address
    except requests.RequestException as error:
        raise _AgainError(_shorten(error)) from None


def _check_response(
    response: requests.Response, part: Path, start: int, size: int | None
) -> tuple[int, int | None]:
    """First byte of the answer and total bytes of the file, or why the answer is no use."""
    status = response.status_code
    if status in PASSING:
        pause = response.headers.get("Retry-After", "")
        raise _AgainError(f"HTTP {status}", float(pause) if pause.isdecimal() else None)
    if status == 416:
        _discard_part(part)
        raise _AgainError("the server does not continue the file; starting over", wait=0.0)
    if status not in (200, 206):
        raise _RefusedError(f"HTTP {status} {response.reason}")
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise _RefusedError("the server sent a web page instead of a file")
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() else None
    if status == 206:
        sent = response.headers.get("Content-Range", "")
        if not sent.startswith(f"bytes {start}-"):
            _discard_part(part)
            raise _AgainError(f"the server sent another range ({sent})", wait=0.0)
        total = start + total if total is not None else None
    else:
        start = 0
    if size is not None and total not in (None, size):
        raise _RefusedError(f"has {total} bytes, not {size}")
    return start, total


def _save_body(
    response: requests.Response, url: str, part: Path, start: int, total: int | None
) -> None:
    """Write the body to `part`, after noting what is needed to continue it later."""
    tag, modified = (response.headers.get(name, "") for name in ("ETag", "Last-Modified"))
    validator = tag if tag and not tag.startswith("W/") else modified
    write_json(_notes_path(part), {"url": url, "validator": validator, "total": total})
    with (
        open(part, "ab" if start else "wb") as file,
        tqdm(
            total=total, initial=start, unit="B", unit_scale=True, desc=part.stem, disable=None
        ) as bar,
    ):
        for block in response.iter_content(BLOCK):
            file.write(block)
            bar.update(len(block))
    if total is not None and _measure(part) != total:
        raise _AgainError(f"the connection was cut after {_measure(part)} of {total} bytes")


def _fetch_from_drive(url: str, part: Path, attempts: int) -> None:
    """Google Drive, whose pages of warning and consent gdown knows how to pass."""
    import gdown
    from gdown.exceptions import DownloadError

    _discard_part(part)  # gdown keeps parts of its own, and takes a file of this name for the whole
    try:
        gdown.download(
            url,
            str(part),
            quiet=not sys.stderr.isatty(),
            use_cookies=False,
            resume=True,
            timeout=TIMEOUT,
            retries=attempts - 1,
        )
    except (DownloadError, requests.RequestException) as error:
        raise _RefusedError(
            f"Google Drive does not give the file: {_shorten(error)} (often its quota is used up: "
            "try another day, or download it in a browser)"
        ) from None


def _find_host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError as error:
        raise _RefusedError(f"is not an address: {error}") from None


def _notes_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_notes(part: Path, url: str, *, known: bool) -> dict[str, Any]:
    """What was noted of a part that can be continued; empty where it must not be."""
    try:
        notes = json.loads(_notes_path(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(notes, dict) or not {"url", "validator", "total"} <= notes.keys():
        return {}
    return notes if known or (notes["url"] == url and notes["validator"]) else {}


def _discard_part(part: Path) -> None:
    part.unlink(missing_ok=True)
    _notes_path(part).unlink(missing_ok=True)


def _measure(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _shorten(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:200]}…"
