"""Fetch one file over HTTP or from Google Drive. It is verified, and complete or absent."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from tqdm import tqdm

from cyborg.common.errors import UserError
from cyborg.common.files import describe_write_error, sha256_file, sync_to_disk, write_json

# Bytes read at a time, at most.
BLOCK = 1 << 16
# Seconds to wait for a connection, and for the next bytes.
TIMEOUT = (15.0, 60.0)
# Seconds between two attempts, at most.
LONGEST_WAIT = 60.0
# A server that sends fewer bytes than this in PATIENCE seconds is given up.
FEWEST_BYTES = 6000
PATIENCE = 60.0
# HTTP status codes after which the server may do better in a moment.
PASSING = (408, 425, 429, 500, 502, 503, 504)
DRIVE = ("drive.google.com", "docs.google.com", "drive.usercontent.google.com")

# Attempts are counted here and not by urllib3's `Retry`. Retry repeats requests that fail before
# the body begins. A large file breaks off in its body: then the next request must ask for the
# rest of the file and check that it is still the same one, and progress must renew the patience.


@dataclass(frozen=True)
class FetchedFile:
    """Checksum and size of a fetched file."""

    sha256: str
    bytes: int


class FetchError(UserError):
    """No mirror gave the file, or none gave the expected one."""


class _AgainError(Exception):
    """This attempt failed, and another one may not. `wait`: seconds that the server asks for."""

    def __init__(self, reason: str, wait: float | None = None):
        super().__init__(reason)
        self.wait = wait


class _RefusedError(Exception):
    """No further attempt at this address makes sense."""


def fetch_file(
    urls: Sequence[str],
    target: Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    attempts: int = 5,
    wait: float = 1.0,
) -> FetchedFile:
    """Fetch a file from the first mirror that gives it, and write it to `target`.

    If the connection or this process ends, the bytes that have arrived stay in `<target>.part`.
    The next call continues them if the server says that it is still the same file. After
    `attempts` failures in a row without progress, the next mirror is tried. Between two attempts
    `wait` seconds pass, doubled each time, up to a minute. A server may ask for another time.

    sha256, size (bytes): those that the file must have. None accepts any. A fetched file that
    differs is not kept.

    Raises FetchError with the reason of every mirror, and UserError if the disk is full.
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
    raise FetchError("could not be fetched:\n  " + "\n  ".join(reasons), location=target.name)


def _fetch_from_mirror(
    url: str, part: Path, sha256: str | None, size: int | None, attempts: int, wait: float
) -> FetchedFile:
    """Fetch from one address into `part` and verify it."""
    failures = 0
    while True:
        before = _measure_file(part)
        try:
            if _find_host(url) in DRIVE:
                _fetch_from_drive(url, part, attempts)
            else:
                _request_file(url, part, size, known=sha256 is not None)
            return _verify_part(part, sha256, size, resumed=before > 0)
        except _AgainError as error:
            failures = 1 if _measure_file(part) > before else failures + 1
            if failures >= attempts:
                raise _RefusedError(f"{error} ({attempts} attempts)") from None
            pause = wait * 2 ** (failures - 1) if error.wait is None else error.wait
            print(f"{url}: {error}. Trying again", file=sys.stderr)
            time.sleep(min(pause, LONGEST_WAIT))


def _verify_part(part: Path, sha256: str | None, size: int | None, *, resumed: bool) -> FetchedFile:
    """Return checksum and size of a complete part. A part that is not as expected is discarded."""
    got = FetchedFile(sha256_file(part), _measure_file(part))
    if sha256 in (None, got.sha256) and size in (None, got.bytes) and got.bytes:
        return got
    _discard_part(part)
    if resumed:  # perhaps only the part that lay here was bad
        raise _AgainError("the continued file is not the expected one. Starting over", wait=0.0)
    if not got.bytes:
        raise _RefusedError("the file is empty")
    if size not in (None, got.bytes):
        raise _RefusedError(f"has {got.bytes} bytes, not {size}, and was not kept")
    raise _RefusedError(f"its sha256 is {got.sha256}, not {sha256}, and was not kept")


def _request_file(url: str, part: Path, size: int | None, *, known: bool) -> None:
    """Make one request. Append to `part` if the server continues the same file.

    known: whether the checksum is known, so that any part may be tried.
    """
    notes = _read_notes(part, url, known=known)
    start = _measure_file(part) if notes else 0
    if start and start == notes.get("total"):
        return  # everything had arrived when the last process ended
    headers = {"Accept-Encoding": "identity", "User-Agent": "cyborg-saliency"}
    validator = ""
    if start:
        headers["Range"] = f"bytes={start}-"
        if notes["url"] == url and notes["validator"]:
            validator = headers["If-Range"] = notes["validator"]
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            _check_response(response)
            start, total = _find_range(response, part, start)
            if start and (
                (validator and _read_validator(response) not in ("", validator))
                or notes["total"] not in (None, total)
            ):
                _discard_part(part)
                raise _AgainError("the file has changed on the server. Starting over", wait=0.0)
            if size is not None and total not in (None, size):
                raise _RefusedError(f"has {total} bytes, not {size}")
            _save_body(response, url, part, start, total)
    except (requests.TooManyRedirects, ValueError) as error:
        raise _RefusedError(_shorten_message(error)) from None  # ValueError: not a valid address
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _AgainError(_shorten_message(error)) from None


def _check_response(response: requests.Response) -> None:
    """Raise an error if the answer is not a file, or not the bytes of the file."""
    status = response.status_code
    if status in PASSING:
        pause = response.headers.get("Retry-After", "")
        raise _AgainError(f"HTTP {status}", float(pause) if pause.isdecimal() else None)
    if status not in (200, 206, 416):
        raise _RefusedError(f"HTTP {status} {response.reason}")
    if status == 416:
        return  # `_find_range` handles it
    kind = response.headers.get("Content-Type", "").lower()
    if kind.startswith(("text/html", "application/xhtml")):
        raise _RefusedError("the server sent a web page instead of a file")
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    # Some servers call the compression of a .gz file an encoding. Its bytes are the file.
    is_gzip_file = urlsplit(response.url).path.lower().endswith((".gz", ".tgz"))
    if encoding != "identity" and not (is_gzip_file and encoding in ("gzip", "x-gzip")):
        raise _RefusedError(
            f"the server sent the file in another encoding (Content-Encoding: {encoding}), "
            "although it was asked not to"
        )


def _find_range(response: requests.Response, part: Path, start: int) -> tuple[int, int | None]:
    """Return the first byte of the answer, and the number of bytes of the whole file if known."""
    length = response.headers.get("Content-Length", "")
    if response.status_code == 200:
        return 0, int(length) if length.isdecimal() else None
    if response.status_code == 416:
        _discard_part(part)
        raise _AgainError("the server does not continue the file. Starting over", wait=0.0)
    sent = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", sent.strip())
    if not match or int(match[1]) != start:
        _discard_part(part)
        raise _AgainError(f"the server sent another range ({sent or 'none'})", wait=0.0)
    # The range may end before the file does. Then the next request asks for the rest.
    return start, int(match[3])


def _read_validator(response: requests.Response) -> str:
    """Return the tag or the date by which a server tells whether a file is still the same."""
    tag, modified = (response.headers.get(name, "") for name in ("ETag", "Last-Modified"))
    return tag if tag and not tag.startswith("W/") else modified


def _save_body(
    response: requests.Response, url: str, part: Path, start: int, total: int | None
) -> None:
    """Write the body to `part`, after noting the facts that continue it later."""
    notes = {"url": url, "validator": _read_validator(response), "total": total}
    write_json(_notes_path(part), notes)
    with (
        open(part, "ab" if start else "wb") as file,
        tqdm(
            total=total, initial=start, unit="B", unit_scale=True, desc=part.stem, disable=None
        ) as bar,
    ):
        for block in _read_blocks(response):
            file.write(block)
            bar.update(len(block))
    if total is not None and _measure_file(part) != total:
        raise _AgainError(f"the connection was cut after {_measure_file(part)} of {total} bytes")


def _read_blocks(response: requests.Response) -> Iterator[bytes]:
    """Yield the bytes of the body as they arrive, so that a cut loses none of them.

    They are not decoded: see `_check_response`.
    """
    begin, received = time.monotonic(), 0
    while block := response.raw.read1(BLOCK, decode_content=False):
        yield block
        received += len(block)
        if time.monotonic() - begin > PATIENCE:
            if received < FEWEST_BYTES:
                raise _RefusedError(f"sent no more than {received} bytes in {PATIENCE:g} seconds")
            begin, received = time.monotonic(), 0


def _fetch_from_drive(url: str, part: Path, attempts: int) -> None:
    """Fetch a file from Google Drive. gdown passes its pages of warning and consent."""
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
            f"Google Drive does not give the file: {_shorten_message(error)} (often its "
            "quota is used up: try another day, or download it in a browser)"
        ) from None


def _find_host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError as error:
        raise _RefusedError(f"is not an address: {error}") from None


def _notes_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_notes(part: Path, url: str, *, known: bool) -> dict[str, Any]:
    """Return the notes about a part that can be continued, {} if it must not be continued."""
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


def _measure_file(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _shorten_message(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:200]}…"
