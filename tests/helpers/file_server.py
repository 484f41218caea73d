"""A file server for tests of downloads, which misbehaves on demand."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

BLOCK = 1 << 16
CONTENT = np.random.default_rng(0).bytes(10 * BLOCK + 1000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `files`; `faults` are taken one per request, then it behaves."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.faults: list[Callable[[Handler, bytes], bool]] = []
        self.requests: list[tuple[str, str]] = []
        self.tag = '"v1"'

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    """HTTP with Range and If-Range."""

    server: Server

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        asked = self.headers.get("Range", "")
        self.server.requests.append((name, asked))
        if name not in self.server.files:
            self.send_error(404)
            return
        data = self.server.files[name]
        if self.server.faults and self.server.faults.pop(0)(self, data):
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if asked and self.headers.get("If-Range") not in (None, self.server.tag):
            start = 0
        if start >= len(data) > 0:
            self.send_error(416)
            return
        self.begin(206 if start else 200, data, start)
        self.wfile.write(data[start:])

    def begin(self, status: int, data: bytes, start: int = 0, kind: str = "image/png") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("Content-Type", kind)
        if self.server.tag:
            self.send_header("ETag", self.server.tag)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def cut(after: int) -> Callable[[Handler, bytes], bool]:
    """Announce all, send some, hang up."""

    def fault(handler: Handler, data: bytes) -> bool:
        handler.begin(200, data)
        handler.wfile.write(data[:after])
        handler.close_connection = True
        return True

    return fault


@contextmanager
def serving() -> Iterator[Server]:
    """A running server that has CONTENT as `a.bin`."""
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        running.files["a.bin"] = CONTENT
        yield running
        running.shutdown()
