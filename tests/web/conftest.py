"""Owns the tiny server of the kitchen sink: pages as text, web/dist as files compressed as a real server sends them."""

from __future__ import annotations

import gzip
import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from mimetypes import guess_type
from pathlib import Path
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

import pytest

from tests.web.kitchen import WEB

LEVEL = 5
"""How hard the chassis compresses."""

POLICY = "default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'"


@dataclass
class Kitchen:
    """A server on 127.0.0.1. `pages` maps a path to HTML; `stream` feeds the event stream; None cuts it."""

    pages: dict[str, str] = field(default_factory=dict)
    stream: SimpleQueue[str | None] = field(default_factory=SimpleQueue)
    streaming: bool = True
    wire: dict[str, int] = field(default_factory=dict)
    posted: list[tuple[str, bytes]] = field(default_factory=list)
    answer: tuple[int, str] = (303, "/done")
    stopping: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def url(self, path: str) -> str:
        """The address of a path."""
        return f"http://127.0.0.1:{self.port}{path}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, kitchen: Kitchen) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.kitchen = kitchen


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the test tells what went wrong."""

    def _send(self, status: int, body: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        kitchen, path = self.server.kitchen, urlsplit(self.path).path
        if path == "/stream":
            self._stream()
        elif path.startswith("/static/"):
            self._file(WEB / "dist" / Path(path).name)
        elif path in kitchen.pages:
            self._page(path, kitchen.pages[path])
        else:
            self._send(404, b"not found", "text/plain")

    def _page(self, path: str, text: str) -> None:
        body = gzip.compress(text.encode(), LEVEL)
        self.server.kitchen.wire[path] = len(body)
        self._send(200, body, "text/html; charset=utf-8", Content_Encoding="gzip", Cache_Control="no-store")

    def _file(self, file: Path) -> None:
        if not file.is_file():
            self._send(404, b"not found", "text/plain")
            return
        kind = guess_type(file.name)[0] or "application/octet-stream"
        packed = file.suffix == ".woff2"
        body = file.read_bytes() if packed else gzip.compress(file.read_bytes(), LEVEL)
        self.server.kitchen.wire[file.name] = len(body)
        headers = {} if packed else {"Content_Encoding": "gzip"}
        self._send(200, body, kind, Cache_Control="public, max-age=31536000, immutable", **headers)

    def _stream(self) -> None:
        kitchen = self.server.kitchen
        if not kitchen.streaming:
            self._send(503, b"", "text/plain")
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        self.wfile.write(b"retry: 200\n\n")
        while not kitchen.stopping.is_set():
            try:
                message = kitchen.stream.get(timeout=0.1)
            except Empty:
                continue
            if message is None:
                return
            self.wfile.write(message.encode())
            self.wfile.flush()

    def do_POST(self) -> None:
        kitchen = self.server.kitchen
        kitchen.posted.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        status, where = kitchen.answer
        if status == 303:
            self._send(303, b"", "text/plain", Location=where)
        else:
            self._send(status, kitchen.pages[where].encode(), "text/html; charset=utf-8")


@pytest.fixture(scope="session", autouse=True)
def built() -> dict[str, str]:
    """web/dist as it follows from the sources, built anew only when they changed; answers with the manifest."""
    found = WEB / "dist" / "manifest.json"
    sources = [WEB / "build.js", *(WEB / "styles").iterdir(), *(WEB / "islands").iterdir()]
    if not found.exists() or found.stat().st_mtime < max(source.stat().st_mtime for source in sources):
        subprocess.run(["node", "web/build.js"], cwd=WEB.parent, check=True, capture_output=True)
    manifest: dict[str, str] = json.loads(found.read_text("utf-8"))
    return manifest


@pytest.fixture
def kitchen(built: dict[str, str]) -> Iterator[Kitchen]:
    """A fresh server for one test."""
    made = Kitchen()
    server = _Server(made)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield made
    made.stopping.set()
    server.shutdown()
    server.server_close()
    thread.join()
