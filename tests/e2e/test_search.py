"""A real OpenSearch and a real Elasticsearch: templates, documents, a server that goes away, every panel's numbers."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from huntbeam.runners.cli import main
from huntbeam.schemas import streams
from huntbeam.schemas.panels import DASHBOARDS, Panel
from huntbeam.schemas.record import Kind, columns
from huntbeam.schemas.search import indexable, target
from huntbeam.schemas.streams import STREAMS
from huntbeam.transforms.search_bulk import Document, Limits, Written
from huntbeam.transforms.search_http import SearchClient, SearchServer, Unreachable
from huntbeam.transforms.search_index import WriteToSearchIndex
from huntbeam.transforms.search_writer import Writer
from tests.conftest import Rows, run_replay
from tests.e2e.indexes import asked, stored
from tests.e2e.panels import panel_numbers
from tests.e2e.search import Server
from tests.events import CONNECT, CONNECT_DATA, CREATE, wlb7

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]  # the first fetch takes a minute

AWAY = 30.0  # seconds
PATIENCE = 60.0


def client(search: Server) -> SearchClient:
    return SearchClient(SearchServer(search.url))


def archive(tmp_path: Path, connects: int, **last: str) -> Path:
    made = [
        CONNECT._replace(record_id=100 + n, data=CONNECT_DATA | {"SourcePort": str(20_000 + n)})
        for n in range(connects)
    ]
    made[-1] = made[-1]._replace(data=made[-1].data | last)
    path = tmp_path / "in.ndjson"
    path.write_text("".join(json.dumps(wlb7(fact)) + "\n" for fact in (CREATE, *made)))
    return path


def test_templates_are_accepted_shown_and_removed(search: Server, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--index", search.url, "--index_prefix", "setup-"]
    assert main(["index", "setup", *options, "--shards", "2", "--replicas", "0"]) == 0
    assert main(["index", "show", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("template") and line.endswith(" there") for line in lines) == len(indexable())
    assert client(search).request("PUT", "/setup-sysmon-join-2026.03.04").status == 200
    found = client(search).request("GET", "/setup-sysmon-join-2026.03.04").json()["setup-sysmon-join-2026.03.04"]
    assert found["settings"]["index"]["number_of_shards"] == "2"
    assert found["mappings"]["properties"]["dst_ip_addr"] == {"type": "ip"}
    stored_now = client(search).request("PUT", "/setup-sysmon-join-2026.03.04/_doc/1", b"{}")
    assert stored_now.status == 201
    assert main(["index", "show", *options]) == 0
    assert " 1 documents, " in capsys.readouterr().out
    assert main(["index", "remove", *options, "--delete_data"]) == 0
    assert main(["index", "show", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.endswith(" missing") for line in lines) >= len(indexable())
    assert not [line for line in lines if line.startswith("index ")]


def test_retention_needs_what_these_servers_have_not(search: Server, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["index", "setup", "--index", search.url, "--index_prefix", "kept-", "--retention", "90d"]
    assert main(argv) == 2
    assert "so --retention cannot be kept" in capsys.readouterr().err
    assert main(["index", "show", "--index", search.url, "--index_prefix", "kept-"]) == 0
    assert " there" not in capsys.readouterr().out


def test_documents_equal_the_rows_and_a_second_run_adds_none(search: Server, tmp_path: Path) -> None:
    prefix = ["--index", search.url, "--index_prefix", "run-"]
    assert main(["index", "setup", *prefix]) == 0
    path = archive(tmp_path, 2_000)
    rows = run_replay(tmp_path / "out", path, options=tuple(prefix))
    joins, windows = stored(search.url, "run-sysmon-join-*"), stored(search.url, "run-sysmon-windows-*")
    assert joins == {row["event_uid"]: row for row in rows[streams.JOIN]}
    assert windows == {row["event_uid"]: row for row in rows[streams.WINDOW_COUNTS]}
    assert len(joins) == 2_000
    run_replay(tmp_path / "again", path, options=tuple(prefix))
    assert stored(search.url, "run-sysmon-join-*") == joins
    assert stored(search.url, "run-sysmon-windows-*") == windows
    near = {"query": {"term": {"dst_ip_addr": "198.51.100.0/24"}}}
    assert asked(search.url, "run-sysmon-join-*", near)["hits"]["total"]["value"] == 2_000


def test_keys_of_ones_own_counters_are_found_and_a_bad_one_does_no_harm(search: Server) -> None:
    assert main(["index", "setup", "--index", search.url, "--index_prefix", "keys-"]) == 0
    keys = ({"host": "ws", "own": "x", "bytes": 7, "dst_ip_addr": "10.0.0.1"}, {"dst_ip_addr": "none", "own": "y"})
    found = [
        Document("keys-sysmon-windows-2026.03.04", str(number), json.dumps({"key": key}).encode())
        for number, key in enumerate(keys)
    ]
    assert Writer(client(search), PATIENCE).write(found) == Written(stored=2)
    for field, wanted, count in (("own", "x", 1), ("bytes", 7, 1), ("dst_ip_addr", "10.0.0.0/8", 1), ("own", "y", 1)):
        body = {"query": {"term": {f"key.{field}": wanted}}}
        assert asked(search.url, "keys-sysmon-windows-*", body)["hits"]["total"]["value"] == count


def test_a_bad_address_is_one_dead_letter(search: Server, tmp_path: Path) -> None:
    prefix = ("--index", search.url, "--index_prefix", "bad-")
    assert main(["index", "setup", *prefix]) == 0
    rows = run_replay(tmp_path / "out", archive(tmp_path, 50, DestinationIp="no address"), options=prefix)
    bad = next(row for row in rows[streams.JOIN] if row["dst_ip_addr"] == "no address")
    (dead,) = rows[streams.DEAD_LETTERS]
    assert "field dst_ip_addr (ip): " in dead["message"]
    joins = stored(search.url, "bad-sysmon-join-*")
    assert len(joins) == 49
    assert bad["event_uid"] not in joins


def test_a_higher_version_wins_whatever_the_order(search: Server) -> None:
    writer = Writer(client(search), PATIENCE)

    def revision(number: int) -> Document:
        return Document("versions-x", "one", json.dumps({"revision": number}).encode(), number)

    assert writer.write([revision(2)]) == Written(stored=1)
    assert writer.write([revision(1)]) == Written(superseded=1)
    assert writer.write([revision(2)]) == Written(superseded=1)
    assert writer.write([revision(5)]) == Written(stored=1)
    assert stored(search.url, "versions-x") == {"one": {"revision": 5}}


def _slowly(part: int, each: int) -> list[Document]:
    time.sleep(0.1)
    return [Document("away-x", f"{part}-{n}", json.dumps({"part": part, "n": n}).encode()) for n in range(each)]


def _away(search: Server) -> None:
    """Stops the server once it has some of the documents, and starts it again."""
    one = client(search)
    while True:
        one.request("POST", "/away-x/_refresh")
        if (one.request("GET", "/away-x/_count").json() or {}).get("count", 0):
            break
        time.sleep(0.05)
    search.stop()
    with pytest.raises(Unreachable):
        client(search).version()
    time.sleep(AWAY)
    search.start()


def test_a_server_that_is_away_for_30_s_while_documents_come_has_each_of_them_once(search: Server) -> None:
    parts, each = 60, 150
    away = threading.Thread(target=_away, args=(search,))
    away.start()
    began = time.monotonic()
    with TestPipeline() as pipeline:
        written = (
            pipeline
            | beam.Create(range(parts), reshuffle=False)
            | beam.Map(_slowly, each)
            | WriteToSearchIndex(SearchServer(search.url), limits=Limits(documents=each))
        )
        assert_that(written | beam.CombineGlobally(sum, Written()), equal_to([Written(stored=parts * each)]))
    away.join()
    assert time.monotonic() - began > AWAY
    assert stored(search.url, "away-x").keys() == {f"{part}-{n}" for part in range(parts) for n in range(each)}


VALUES: dict[str, Sequence[Any]] = {
    "EventID": (1500, 1501, 2012, 2500, 3500, 3501, 4001, 4500),
    "event_type": ("one", "two", "three"),
    "Signer": ("Microsoft Windows", "Somebody", None),
    "dst_port": (443, 445, 3389, 8080),
    "dst_ip_addr": ("198.51.100.4", "10.1.2.3", "fd00::1", "192.168.7.8"),
    "remote_ip": ("198.51.100.4", "10.1.2.3", "2001:db8::1"),
    "network_connection_initiated": ("true", "false"),
    "attack": (["T1059.001"], ["T1021", "T1021.002"], []),
    "DestinationGeoip": ({"location": {"lat": 37.5, "lon": 127.0}}, {"location": {"lat": 52.5, "lon": 13.4}}, None),
}
TIMES = [f"2026-03-0{day}T{hour:02}:10:00.000Z" for day in (4, 5) for hour in (0, 7, 23)]
OF_KIND: dict[str, Sequence[Any]] = {
    Kind.TEXT: ("a", "b", None),
    Kind.INTEGER: (0, 1, 7, 1_000),
    Kind.NUMBER: (0.5, 2.0),
    Kind.BOOLEAN: (True, False),
    Kind.INSTANT: TIMES,
    Kind.GUID: ("0a1b2c3d-1111-4222-8333-0123456789ab",),
    Kind.IP: ("192.0.2.1", "192.0.2.2"),
    Kind.TEXT_LIST: (["x"], []),
}
BOARD_PANELS = [
    pytest.param(panel, id=f"{board.name}-{panel.name}")
    for board in DASHBOARDS
    for panel in board.panels
    if panel.stream in STREAMS
]


def random_rows(stream: str, count: int = 300) -> Rows:
    """Documents with few values a field, so that every bucket of a panel is shown."""
    pick = random.Random(stream)  # noqa: S311 - the same each time
    names = STREAMS[stream].__struct_encode_fields__
    kinds = {name: column.kind for name, column in zip(names, columns(STREAMS[stream]), strict=True)}
    rows = []
    for number in range(count):
        row = {name: pick.choice(VALUES.get(name) or OF_KIND.get(kind) or (None,)) for name, kind in kinds.items()}
        row["key"] = {"host": pick.choice("hi"), "process_path": pick.choice("pq")}
        row |= {"time": pick.choice(TIMES), "event_uid": f"{stream}-{number}"}
        rows.append({name: value for name, value in row.items() if value is not None and name in kinds})
    return rows


@pytest.fixture(scope="module")
def filled(search: Server) -> dict[str, Rows]:
    """Documents of every stream that panels show, by stream."""
    assert main(["index", "setup", "--index", search.url, "--index_prefix", "panels-"]) == 0
    found = {stream: random_rows(stream) for stream in {param.values[0].stream for param in BOARD_PANELS}}
    for stream, rows in found.items():
        index = f"panels-{target(stream).name}-2026.03.04"
        written = Writer(client(search), PATIENCE).write(
            [Document(index, row["event_uid"], json.dumps(row).encode()) for row in rows]
        )
        assert written == Written(stored=len(rows))
    return found


@pytest.mark.parametrize("panel", BOARD_PANELS)
def test_a_panel_shows_the_numbers(search: Server, filled: dict[str, Rows], panel: Panel) -> None:
    assert panel_numbers(search.url, "panels-", panel, filled[panel.stream])
