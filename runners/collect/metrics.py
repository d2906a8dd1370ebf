"""The counts to be fetched: Prometheus text on loopback, and a file of JSON."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from huntbeam.pipelines.options import OptionError
from huntbeam.runners.collect.counts import Counts
from huntbeam.runners.collect.sockets import Address

_PATIENCE = 2.0  # seconds for a request: one comes after the other
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class MetricsServer:
    """Answers GET /metrics with what `text` gives, in a thread of its own, while it is entered. Raises OptionError."""

    def __init__(self, address: Address, text: Callable[[], str]) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = _PATIENCE

            def do_GET(self) -> None:
                known = self.path.partition("?")[0] == "/metrics"
                body = text().encode() if known else b"the metrics are at /metrics\n"
                self.send_response(200 if known else 404)
                self.send_header("Content-Type", _TEXT)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing: a terminal is no log of requests."""

        class Server(HTTPServer):
            address_family = address.family

            def handle_error(self, *_: object) -> None:
                """A client that went away is its own business."""

        try:
            self._server = Server((address.host, address.port), Handler)
        except OSError as error:
            raise OptionError(
                f"--metrics {address} cannot be listened on ({error.strerror}): choose another port"
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def write_status(path: Path, counts: Counts) -> None:
    """Puts the counts into a file as one JSON object; a reader never sees half of it. Raises OSError."""
    aside = path.with_name(f"{path.name}.part")
    aside.write_bytes(msgspec.json.encode(counts) + b"\n")
    aside.replace(path)
