"""One search server by itself, which a test may stop and start again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from huntbeam.runners.stack import processes, state
from huntbeam.runners.stack.java import find_java
from huntbeam.runners.stack.parts import fetch_search
from huntbeam.runners.stack.processes import Running
from huntbeam.runners.stack.services import Layout, search_service
from huntbeam.runners.stack.stack import default_cache, lacking
from huntbeam.runners.stack.state import Settings


class Server:
    """OpenSearch or Elasticsearch at one port; its data outlive a stop."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        ports = state.choose_ports({}, [name])
        settings = Settings(cache="", ports=ports, task_slots=1, search=(name,))
        layout = Layout(home)
        layout.make()
        jars = fetch_search(default_cache(), name, print)
        self._service = search_service(name, jars, settings, layout, find_java())
        self._log = layout.logs / f"{name}.log"
        self._running: Running | None = None
        self.url = f"http://127.0.0.1:{ports[name]}"

    def start(self) -> None:
        self._service.prepare()
        mark = processes.new_mark()
        self._running = processes.spawn(self._service.command(mark), {}, self._log, mark)
        until = time.monotonic() + 120
        while not self._service.answers(mark):
            assert processes.alive(self._running), self._log.read_text()
            assert time.monotonic() < until
            time.sleep(0.2)

    def stop(self) -> None:
        if self._running is not None:
            processes.stop(self._running)


@pytest.fixture(scope="module", params=state.SEARCH)
def search(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each of the servers, one at a time."""
    if missing := lacking([request.param]):
        pytest.skip(missing)
    server = Server(request.param, tmp_path_factory.mktemp(request.param))
    server.start()
    yield server
    server.stop()
