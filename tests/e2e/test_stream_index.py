"""A stream on a real Kafka and Flink into a real OpenSearch that goes away meanwhile: each row once, as in topics."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from huntbeam.runners.stack.stack import Stack
from huntbeam.schemas import streams
from huntbeam.schemas.search import MONSTER
from huntbeam.schemas.streams import JOIN, WINDOW_COUNTS
from tests.e2e.indexes import count, stored
from tests.e2e.jobs import QUICK, SHORT, eventually, feeding, huntbeam, streaming
from tests.events import CONNECT, CONNECT_DATA, CREATE, wlb7
from tests.monster import by_uid, generator

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

CONNECTS = 4_000
RECORDS = 5_200
AWAY = 30.0  # seconds


def values() -> list[bytes]:
    facts = [
        CONNECT._replace(record_id=100 + n, data=CONNECT_DATA | {"SourcePort": str(20_000 + n)})
        for n in range(CONNECTS)
    ]
    facts[-1] = facts[-1]._replace(data=facts[-1].data | {"DestinationIp": "no address"})
    return [json.dumps(wlb7(fact)).encode() for fact in (CREATE, *facts)]


def plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "schema_version"}


def test_a_stream_loses_nothing_while_the_server_is_away_and_writes_nothing_twice(stack: Stack) -> None:
    at = stack.up(search=["opensearch"])
    url = at.opensearch or ""
    prefix = "e2e-"
    huntbeam(at, "index", "setup", "--index", url, "--index_prefix", prefix)
    with streaming(at, *SHORT, *QUICK, "--index", url, "--index_prefix", prefix) as (job, feeder):
        with feeding(feeder, values(), per_second=120):
            eventually(lambda: len(stored(url, f"{prefix}sysmon-join-*")) > 100)
            stack.stop("opensearch")
            time.sleep(AWAY)
            stack.start("opensearch")
        eventually(lambda: len(stored(url, f"{prefix}sysmon-join-*")) >= CONNECTS - 1)
        job.await_rows(streams.DEAD_LETTERS, 1)
        joins = {row["event_uid"]: plain(row) for row in job.rows(JOIN)}
        bad = {uid for uid, row in joins.items() if row["dst_ip_addr"] == "no address"}
        assert len(joins) == CONNECTS
        assert stored(url, f"{prefix}sysmon-join-*") == {uid: row for uid, row in joins.items() if uid not in bad}
        (dead,) = {row["event_uid"]: row for row in job.rows(streams.DEAD_LETTERS)}.values()
        assert (dead["step"], dead["error_class"]) == ("index", "DocumentRefused")
        eventually(lambda: counted(job.rows(WINDOW_COUNTS)) == CONNECTS)  # the last window closes later
        eventually(lambda: windows(job.rows(WINDOW_COUNTS)) == stored(url, f"{prefix}sysmon-windows-*"))


@pytest.mark.full
def test_monster_agents_documents_are_there_once_each_after_the_server_was_away(stack: Stack) -> None:
    at = stack.up(search=["opensearch"])
    url, index = at.opensearch or "", "away-monster-*"
    made = list(generator.records(RECORDS))
    options = ("--index", url, "--index_prefix", "away-")
    huntbeam(at, "index", "setup", *options)
    with streaming(at, *QUICK, *options, command="monster") as (job, feeder):
        with feeding(feeder, [record.line for record in made], per_second=120):
            eventually(lambda: count(url, index) > 100)
            stack.stop("opensearch")
            time.sleep(AWAY)
            stack.start("opensearch")
        eventually(lambda: count(url, index) >= RECORDS)
        job.await_rows(MONSTER, RECORDS)
        wanted = by_uid([record.document for record in made])
        assert stored(url, index) == {row["event_uid"]: plain(row) for row in job.rows(MONSTER)} == wanted
        assert job.rows(streams.DEAD_LETTERS) == []


def counted(rows: list[dict[str, Any]]) -> int:
    """Connects in the windows."""
    return sum(row["count"] for row in windows(rows).values() if row["counter"] == "network_destination")


def windows(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By id; of copies the one with the highest count."""
    best: dict[str, dict[str, Any]] = {}
    for row in map(plain, rows):
        name = f"{row['event_uid']}-{row['generation']}"
        if name not in best or row["count"] > best[name]["count"]:
            best[name] = row
    return best
