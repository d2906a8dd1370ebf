"""A search server in this process, over real HTTP: it keeps documents, and fails as a test says."""

from __future__ import annotations

import gzip
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Fails = list[tuple[int, str]]


@dataclass
class Kept:
    """What a server was sent, and what it is to answer first."""

    version: dict[str, Any] = field(default_factory=lambda: {"number": "2.19.1", "distribution": "opensearch"})
    documents: dict[tuple[str, str], tuple[int | None, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    fails: Fails = field(default_factory=list)  # status and body of the next answers to a bulk
    logins: tuple[str, ...] = ()  # headers that are let in; none: everybody
    most: int = 10_000_000  # bytes of a body
    url: str = ""
    known: tuple[str, ...] = ()  # further paths that are there

    def bulk(self, body: bytes) -> dict[str, Any]:
        lines = body.splitlines()
        items = []
        for action, source in zip(lines[::2], lines[1::2], strict=True):
            meta, row = json.loads(action)["index"], json.loads(source)
            items.append({"index": self._index(meta, row)})
        return {"errors": False, "items": items}

    def _index(self, meta: dict[str, Any], row: Any) -> dict[str, Any]:
        key, version = (meta["_index"], meta["_id"]), meta.get("version")
        if isinstance(row, dict) and row.get("dst_ip_addr") == "bad":
            reason = "failed to parse field [dst_ip_addr] of type [ip] in document with id 'x'. Preview: 'bad'"
            return {"status": 400, "error": {"type": "mapper_parsing_exception", "reason": reason}}
        known = self.documents.get(key)
        if known is not None and version is not None and (known[0] or 0) >= version:
            return {"status": 409, "error": {"type": "version_conflict_engine_exception"}}
        self.documents[key] = version, row
        return {"status": 201 if known is None else 200}


@contextmanager
def serving(kept: Kept, certificate: Path | None = None) -> Iterator[Kept]:
    """Serves on a free port of loopback; with a file of a certificate and its key by TLS."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            return None

        def do_GET(self) -> None:
            self._handle("GET")

        def do_POST(self) -> None:
            self._handle("POST")

        def do_PUT(self) -> None:
            self._handle("PUT")

        def _handle(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            if headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            kept.requests.append((method, self.path, headers, body))
            status, answer = self._answer(method, headers, body)
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _answer(self, method: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
            if kept.logins and headers.get("authorization") not in kept.logins:
                return 401, {"error": "who?"}
            if self.path == "/":
                return 200, {"version": kept.version}
            if self.path.startswith("/_bulk"):
                if kept.fails:
                    status, text = kept.fails.pop(0)
                    return status, text.encode()
                if len(body) > kept.most:
                    return 413, b""
                return 200, kept.bulk(body)
            if self.path.startswith("/api/saved_objects/_import"):
                return 200, {"success": True, "successCount": body.count(b'"migrationVersion"')}
            return (200, {}) if method == "PUT" or self.path in kept.known else (404, {})

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        if certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        kept.url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{server.server_address[1]}"
        yield kept
        server.shutdown()
        thread.join()
