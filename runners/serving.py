"""The server of `huntbeam serve`: the page and its views, on this machine alone, read only.

A page of another site could make a browser ask this server under a name that it made lead here (DNS rebinding): what
is asked under another host than ours is refused, and nobody else's script may read an answer.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import msgspec

from huntbeam.pipelines.report import frame, rule_texts, state
from huntbeam.runners.pages import page
from huntbeam.schemas.errors import UnusableError
from huntbeam.transforms.views.catalog import VIEWS
from huntbeam.transforms.views.store import Store
from huntbeam.transforms.views.tree import trees
from huntbeam.transforms.views.view import Ask

ADDRESS = "127.0.0.1"
ANSWERS, ANSWER_BYTES = 512, 64 * 1024 * 1024  # that are kept until the folder grows
AT_ONCE = 4  # queries
TEXT = 200  # characters of a text that is looked for
_JSON = "application/json; charset=utf-8"
_encode = msgspec.json.encode


class RefusedError(Exception):
    """A request that is not answered: its status and one sentence."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Views:
    """The answers. May be asked by many threads; what is slow is kept until the folder grows."""

    def __init__(self, store: Store, refresh: int, rules: tuple[str, ...]) -> None:
        self._store = store
        self._refresh = refresh
        self._rules = rules
        self._looked = time.monotonic()
        self._kept: OrderedDict[tuple[int, str], bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._asking = threading.BoundedSemaphore(AT_ONCE)
        self.waiting = 0  # who waits for an answer

    def page(self) -> bytes:
        """The page, without views: it asks for them."""
        return page(
            frame(self._store) | {"live": self._refresh, "rules": rule_texts(self._store, self._rules)}, "'self'"
        )

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        """JSON for a path below /api. Raises RefusedError."""
        if path == "/api/state":
            self._look()
            return _encode(state(self._store))
        if path == "/api/tree":
            return self._once(path, query, self._tree)
        name = path.removeprefix("/api/view/")
        if name not in VIEWS or name == path:
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is no such view")
        return self._once(path, query, lambda asked: self._store.run(VIEWS[name], _ask(asked)))

    def _tree(self, query: dict[str, str]) -> Any:
        return trees(self._store, [(query.get("host", ""), query.get("guid", ""))])

    def _look(self) -> None:
        with self._lock:
            if time.monotonic() - self._looked < self._refresh / 2:  # several pages may be open
                return
            self._looked = time.monotonic()
        self._store.refresh()

    def _once(self, path: str, query: dict[str, str], ask: Any) -> bytes:
        key = (self._store.version, f"{path}?{sorted(query.items())}")
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            self.waiting += 1
        try:
            made = self._made(query, ask)
        finally:
            with self._lock:
                self.waiting -= 1
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._bytes += len(made)
            while self._kept and (len(self._kept) > ANSWERS or self._bytes > ANSWER_BYTES):
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return made

    def _made(self, query: dict[str, str], ask: Any) -> bytes:
        with self._asking:
            try:
                return _encode(ask(query))
            except UnusableError:  # a file went since the folder was looked at
                if not self._store.refresh():
                    raise
                return _encode(ask(query))


def _ask(query: dict[str, str]) -> Ask:
    try:
        since, until = (int(query[name]) if name in query else None for name in ("since", "until"))
    except ValueError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "since and until are milliseconds since 1970") from error
    return Ask(since, until, query.get("text", "")[:TEXT])


class _Handler(BaseHTTPRequestHandler):
    views: Views
    hosts: frozenset[str]
    server_version = "HuntBeam"
    sys_version = ""
    timeout = 30

    def do_GET(self) -> None:
        try:
            status, kind, body = HTTPStatus.OK, *self._answer()
        except RefusedError as error:
            status, kind, body = error.status, _JSON, _encode({"error": str(error)})
        except Exception as error:  # a query that failed; the page says so and goes on
            sentence = str(error).partition("\n")[0] or type(error).__name__
            status, kind, body = HTTPStatus.INTERNAL_SERVER_ERROR, _JSON, _encode({"error": sentence})
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Referrer-Policy", "no-referrer"),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def _answer(self) -> tuple[str, bytes]:
        if (self.headers.get("Host") or "").lower() not in self.hosts:
            raise RefusedError(HTTPStatus.MISDIRECTED_REQUEST, "this server answers to 127.0.0.1 and localhost alone")
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and self.path != "/":
            raise RefusedError(HTTPStatus.FORBIDDEN, "another site may not ask this server")
        parts = urlsplit(self.path)
        if parts.path == "/":
            return "text/html; charset=utf-8", self.views.page()
        if not parts.path.startswith("/api/"):
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is no such page")
        query = {name: values[0] for name, values in parse_qs(parts.query, max_num_fields=8).items()}
        return _JSON, self.views.answer(parts.path, query)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
        """Requests are nobody's business."""


def server(views: Views, port: int) -> ThreadingHTTPServer:
    """The server, bound and not yet serving. Raises UnusableError where the port is taken."""
    handler = type("Handler", (_Handler,), {"views": views})
    try:
        made = ThreadingHTTPServer((ADDRESS, port), handler)
    except OSError as error:
        raise UnusableError(f"--port {port} cannot be used ({error.strerror}): choose another, or 0 for any") from error
    made.daemon_threads = True
    taken = made.server_address[1]
    handler.hosts = frozenset(f"{name}:{taken}" for name in (ADDRESS, "localhost"))  # type: ignore[attr-defined]
    return made


class _Warming(threading.Thread):
    """Counts what the views will ask, so that they are quick before they are looked at; who looks goes first."""

    def __init__(self, store: Store, views: Views, pause: float) -> None:
        super().__init__(daemon=True)
        self._store = store
        self._views = views
        self._pause = pause
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        while not self._ended.is_set():
            with suppress(UnusableError):  # who asks is told
                warm(self._store, self._go)
            self._ended.wait(self._pause)

    def _go(self) -> bool:
        while self._views.waiting and not self._ended.wait(0.05):
            pass
        return not self._ended.is_set()


def warm(store: Store, go: Callable[[], bool] = lambda: True) -> None:
    """Takes all files into the rollups of all views, batch by batch, as long as it may `go` on."""
    for view in VIEWS.values():
        while go() and store.warm(view):
            pass


def serve(folder: Path, port: int, refresh: int, rules: tuple[str, ...], quiet: bool) -> None:
    """Serves until SIGINT or SIGTERM."""
    with (
        Store(folder, rollups=True) as store,
        server(views := Views(store, refresh, rules), port) as http,
        _Warming(store, views, refresh),
    ):
        if not quiet:
            print(f"huntbeam: http://{ADDRESS}:{http.server_address[1]}/ shows {folder}; Ctrl-C ends", file=sys.stderr)
        try:
            http.serve_forever()
        except KeyboardInterrupt:
            return
