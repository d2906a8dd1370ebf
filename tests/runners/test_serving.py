"""The server of `huntbeam serve`, asked over HTTP."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from huntbeam.runners.cli import main
from huntbeam.runners.serving import Views, server, warm
from huntbeam.transforms.views.catalog import VIEWS
from huntbeam.transforms.views.store import Store
from tests.transforms.views.folders import T0, add_parquet, folder_of
from tests.transforms.views.test_store import connect
from tests.transforms.views.test_tree import create


class Client:
    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=named)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.headers, body

    def json(self, path: str) -> Any:
        status, _, body = self.ask(path)
        assert status == 200, body
        return json.loads(body)


@contextmanager
def served(folder: Path) -> Iterator[Client]:
    with Store(folder) as store, server(Views(store, 1, ()), 0) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Client(running.server_address[1])
        finally:
            running.shutdown()
            thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "_archive.json").write_text("{}")
    joins = [connect(n, process_command_line=f"run {n}") for n in range(5)]
    creates = [create("ws-1", "child", "root", 5), create("ws-1", "root", None)]
    return folder_of(tmp_path, {"sysmon_join": joins, "sysmon_process_create": creates})


def test_it_answers_views_of_all_and_of_a_span_and_with_a_text(folder: Path) -> None:
    with served(folder) as client:
        assert client.json("/api/state")["streams"] == {"sysmon_join": 5, "sysmon_process_create": 2}
        assert client.json("/api/view/connections")["total"] == 5
        assert client.json(f"/api/view/connections?since={T0 + 1000}&until={T0 + 3000}")["total"] == 2
        assert client.json("/api/view/connections?text=RUN%204")["total"] == 1
        assert client.json(f"/api/view/connections?text={quote(chr(39) + ' OR 1=1 --')}")["total"] == 0
        tree = client.json("/api/tree?host=WS-1&guid=child")
        assert sorted(tree) == ["ws-1|child", "ws-1|root"]


def test_answers_are_the_same_before_and_after_the_files_are_counted(tmp_path: Path) -> None:
    for number in range(2):
        for stream in ("sysmon_network_connect", "sysmon_join"):
            add_parquet(tmp_path, stream, f"part-0-{number}.parquet", [connect(number * 5 + n) for n in range(5)])
    names = ("talkers", "time_connects", "connections", "levels")
    with served(tmp_path) as client:
        plain = {name: client.json(f"/api/view/{name}") for name in names}
    with Store(tmp_path, rollups=True) as store:
        warm(store, lambda: False)
        assert store.warm(VIEWS["talkers"])  # nothing was done
        warm(store)
        assert not store.warm(VIEWS["time_connects"])
        views = Views(store, 1, ())
        assert {name: json.loads(views.answer(f"/api/view/{name}", {})) for name in names} == plain
        assert views.waiting == 0


def test_it_takes_up_what_comes_meanwhile(folder: Path) -> None:
    with served(folder) as client:
        number = client.json("/api/state")["number"]
        add_parquet(folder, "sysmon_join", "part-0-9.parquet", [connect(77)])
        for _ in range(200):
            state = client.json("/api/state")
            if state["number"] != number:
                break
            threading.Event().wait(0.05)
        assert state["streams"]["sysmon_join"] == 6
        assert client.json("/api/view/connections")["total"] == 6


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", "127.0.0.1.evil.example:{port}", ""])
def test_another_host_s_name_is_refused(folder: Path, host: str) -> None:
    with served(folder) as client:
        for path in ("/", "/api/state", "/api/view/connections"):
            status, _, body = client.ask(path, Host=host.format(port=client.port))
            assert (status, b"run 4" in body) == (421, False)
        assert client.ask("/api/state", Host=f"LOCALHOST:{client.port}")[0] == 200


def test_it_is_read_only_and_no_other_site_may_ask(folder: Path) -> None:
    with served(folder) as client:
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            assert client.ask("/api/state", method)[0] == 501
        assert client.ask("/api/state", Sec_Fetch_Site="cross-site")[0] == 403
        status, headers, body = client.ask("/api/state", "HEAD")
        assert (status, body) == (200, b"")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Access-Control-Allow-Origin"] is None
        for path in ("/api/view/nothing", "/api/view/", "/../etc/passwd", "/page.css", "/api/viewconnections"):
            assert client.ask(path)[0] == 404
        assert client.ask("/api/view/connections?since=x")[0] == 400


def test_the_page_may_ask_its_server_alone(folder: Path) -> None:
    with served(folder) as client:
        status, _, body = client.ask("/")
        assert status == 200
        assert b"connect-src 'self'" in body
        assert b"run 4" not in body  # the views are asked for


def test_the_command_serves_until_it_is_told_to_stop(folder: Path) -> None:
    argv = [sys.executable, "-m", "huntbeam.runners.cli", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", said)
        assert found, said
        assert Client(int(found[1])).json("/api/state")["streams"]["sysmon_join"] == 5
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--port", "70000"], "--port 70000: write a number from 0 to 65535"),
        (["--refresh", "0"], "--refresh 0: write a number of seconds from 1 on"),
    ],
)
def test_what_cannot_be_used_is_said(
    folder: Path, options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", str(folder), *options]) == 2
    assert says in capsys.readouterr().err


def test_a_port_that_is_taken_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with served(folder) as client:
        assert main(["serve", str(folder), "--port", str(client.port)]) == 2
    assert "choose another, or 0 for any" in capsys.readouterr().err
