"""A user's own folders for each test, and a web server on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from napari_medcnn.core.events import Event, Message, run_to_end
from napari_medcnn.models.importing.job import import_model
from napari_medcnn.models.spec import ModelSpec


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of models; what the user trusts and downloads lies beside it."""
    monkeypatch.setenv("MEDCNN_MODELS", str(tmp_path / "user" / "models"))
    monkeypatch.setenv("MEDCNN_CONFIG", str(tmp_path / "user" / "config"))
    monkeypatch.setenv("MEDCNN_CACHE", str(tmp_path / "user" / "cache"))
    return tmp_path / "user" / "models"


def imported(source: Path | str, **options: Any) -> ModelSpec:
    return run_to_end(import_model(source, **options), ModelSpec)


def told(source: Path | str, **options: Any) -> tuple[ModelSpec, list[str]]:
    """The model, and what the user was told on the way."""
    events: list[Event] = []
    spec = run_to_end(import_model(source, **options), ModelSpec, events.append)
    return spec, [event.text for event in events if isinstance(event, Message)]


def nothing_left(models: Path) -> bool:
    """Whether an import that was refused left nothing behind."""
    return not models.is_dir() or not list(models.iterdir())


class Server:
    """Serves one file at every path, as a web server does that knows ranges.

    `stop_after` ends a connection after so many bytes; `requests` lists path, Range and status.
    """

    def __init__(self) -> None:
        self.content = b""
        self.etag = '"one"'
        self.stop_after: int | None = None
        self.requests: list[tuple[str, str | None, int]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted, same = handler.headers.get("Range"), handler.headers.get("If-Range")
        status, begin = 200, 0
        if handler.path.startswith("/missing"):
            status = 404
        elif self.etag and handler.headers.get("If-None-Match") == self.etag:
            status = 304
        elif wanted and same == self.etag:
            status, begin = 206, int(wanted.removeprefix("bytes=").rstrip("-"))
        body = self.content[begin:] if status in (200, 206) else b""
        self.requests.append((handler.path, wanted, status))
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        if self.etag:
            handler.send_header("ETag", self.etag)
        if status == 206:
            end = len(self.content)
            handler.send_header("Content-Range", f"bytes {begin}-{end - 1}/{end}")
        handler.end_headers()
        if self.stop_after is None:
            handler.wfile.write(body)
        else:
            handler.wfile.write(body[: self.stop_after])
            handler.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()
    running.thread.join()
