"""Servers that break the rules: the right file arrives or a clear error, never a wrong file."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cyborg.download import fetch
from cyborg.download.fetch import FetchedFile, FetchError, fetch_file
from file_server import BLOCK, CONTENT, DIGEST, Handler, Server, cut, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


Fault = Callable[[Handler, bytes], bool]


def send(status: int, data: bytes, headers: dict[str, str], announced: int | None = None) -> Fault:
    """Answer with these bytes and headers, whatever was asked for."""

    def fault(handler: Handler, _: bytes) -> bool:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data) if announced is None else announced))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)
        handler.close_connection = True
        return True

    return fault


def content_range(start: int, end: int, total: int = len(CONTENT)) -> dict[str, str]:
    return {"Content-Range": f"bytes {start}-{end - 1}/{total}", "ETag": '"v1"'}


def arrives(server: Server, folder: Path) -> bool:
    """Whether the file arrives without a known checksum. It is the right one, or absent."""
    target = folder / "a.bin"
    try:
        got = fetch_file([server.url("a.bin")], target, attempts=3, wait=0)
    except FetchError:
        assert not target.exists()
        return False
    assert got == FetchedFile(DIGEST, len(CONTENT))
    assert target.read_bytes() == CONTENT
    return True


def test_a_changed_tag_on_resume_starts_over(server: Server, tmp_path: Path) -> None:
    """The server ignores If-Range and sends the rest of another file of the same length."""
    old = CONTENT[::-1]
    part = BLOCK + 9
    first = send(200, old[:part], {"ETag": '"old"'}, announced=len(old))
    rest = send(206, CONTENT[part:], content_range(part, len(CONTENT)))
    server.faults = [first, rest]
    assert arrives(server, tmp_path)
    assert [asked for _, asked in server.requests] == ["", f"bytes={part}-", ""]


def test_a_changed_length_on_resume_starts_over(server: Server, tmp_path: Path) -> None:
    part = BLOCK
    first = send(200, b"0" * part, {"ETag": '"v1"'}, announced=len(CONTENT) - 5)
    rest = send(206, CONTENT[part:], content_range(part, len(CONTENT)))
    server.faults = [first, rest]
    assert arrives(server, tmp_path)


def test_a_short_range_is_continued(server: Server, tmp_path: Path) -> None:
    half = 5 * BLOCK
    server.faults = [cut(BLOCK), send(206, CONTENT[BLOCK:half], content_range(BLOCK, half))]
    assert arrives(server, tmp_path)
    assert server.requests[-1] == ("a.bin", f"bytes={half}-")


def test_a_range_nobody_asked_for(server: Server, tmp_path: Path) -> None:
    """Its first bytes are continued; a range that begins elsewhere is not used."""
    server.faults = [send(206, CONTENT[:BLOCK], content_range(0, BLOCK))]
    assert arrives(server, tmp_path)
    (tmp_path / "a.bin").unlink()
    server.faults = [send(206, CONTENT[9:], content_range(9, len(CONTENT)))]
    assert arrives(server, tmp_path)
    (tmp_path / "a.bin").unlink()
    server.faults = [send(206, CONTENT[:BLOCK], {})] * 3
    assert not arrives(server, tmp_path)


@pytest.mark.parametrize(
    "value", ["bytes 65536-1/656360", "bytes=65536-656359/656360", "bytes */*"]
)
def test_a_range_without_sense(server: Server, tmp_path: Path, value: str) -> None:
    server.faults = [cut(BLOCK), send(206, b"rubbish", {"Content-Range": value})]
    assert arrives(server, tmp_path)


def test_an_encoded_file_is_refused(server: Server, tmp_path: Path) -> None:
    packed = gzip.compress(CONTENT)
    server.faults = [send(200, packed, {"Content-Encoding": "gzip"})]
    with pytest.raises(FetchError, match="Content-Encoding: gzip"):
        fetch_file([server.url("a.bin")], tmp_path / "a.bin", wait=0)
    assert not (tmp_path / "a.bin").exists()


def test_a_gz_file_that_is_called_encoded_arrives_as_it_is(server: Server, tmp_path: Path) -> None:
    packed = gzip.compress(CONTENT)
    server.files["a.tar.gz"] = packed
    server.faults = [send(200, packed, {"Content-Encoding": "x-gzip"})]
    fetch_file([server.url("a.tar.gz")], tmp_path / "a.tar.gz", wait=0)
    assert (tmp_path / "a.tar.gz").read_bytes() == packed


def test_connections_cut_after_a_few_bytes_make_progress(server: Server, tmp_path: Path) -> None:
    server.files["a.bin"] = CONTENT[:5000]

    def cut_early(handler: Handler, data: bytes) -> bool:
        asked = handler.headers.get("Range", "bytes=0-")
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        handler.begin(206 if start else 200, data, start)
        handler.wfile.write(data[start : start + 300])
        handler.close_connection = True
        return True

    server.faults = [cut_early] * 30
    fetch_file([server.url("a.bin")], tmp_path / "a.bin", attempts=3, wait=0)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT[:5000]
    assert len(server.requests) == 17


def drip(handler: Handler, data: bytes) -> bool:
    """Send one byte at a time."""
    handler.begin(200, data)
    try:
        for byte in data:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(0.02)
    except OSError:
        pass
    return True


def test_a_byte_at_a_time_arrives(server: Server, tmp_path: Path) -> None:
    server.files["a.bin"] = CONTENT[:20]
    server.faults = [drip]
    fetch_file([server.url("a.bin")], tmp_path / "a.bin", wait=0)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT[:20]


def test_a_server_that_is_too_slow_is_given_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "PATIENCE", 0.1)
    monkeypatch.setattr(fetch, "FEWEST_BYTES", 100)
    server.faults = [drip]
    with pytest.raises(FetchError, match=r"sent no more than \d+ bytes in 0.1 seconds"):
        fetch_file([server.url("a.bin")], tmp_path / "a.bin", wait=0)
    fetch_file([server.url("a.bin")], tmp_path / "a.bin", wait=0)  # a later call continues
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.requests[-1][1].startswith("bytes=")


@pytest.mark.parametrize("kind", ["Text/HTML", "TEXT/HTML; charset=UTF-8", "application/xhtml+xml"])
def test_a_web_page_in_any_case(server: Server, tmp_path: Path, kind: str) -> None:
    server.faults = [send(200, b"<HTML>log in</HTML>", {"Content-Type": kind})]
    with pytest.raises(FetchError, match="a web page"):
        fetch_file([server.url("a.bin")], tmp_path / "a.bin", wait=0)
    assert list(tmp_path.iterdir()) == []
