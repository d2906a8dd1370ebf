"""Monster Agent's records on a real Kafka and Flink: the rows of `huntbeam monster` on files."""

from __future__ import annotations

import random
from pathlib import Path
from uuid import uuid4

import pytest

from huntbeam.runners.cli import main
from huntbeam.runners.stack.stack import Stack
from tests import mmdb
from tests.conftest import Rows
from tests.e2e.jobs import Feeder, eventually, huntbeam, make_topic, streaming
from tests.e2e.search import Server
from tests.e2e.test_search import asked, stored
from tests.e2e.topics import received
from tests.monster import by_uid, generator
from tests.pipelines.streaming import ONLY_STREAM
from tests.pipelines.test_monster import RULES, archive, run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

MADE = list(generator.records(1_040))
DETECT = ("--detect", "exfiltration,signers", "--exfiltration_bytes", "20000000", "--window", "1m")


def valid(rows: Rows) -> dict[str, object]:
    """The valid copy of each row, without what a stream alone has."""
    best: dict[str, dict[str, object]] = {}
    for row in sorted(rows, key=lambda row: (row.get("count", 0), row.get("revision", 0))):
        best[row["event_uid"]] = {k: v for k, v in row.items() if k not in (*ONLY_STREAM, "revision")}
    return {uid: row for uid, row in best.items() if not row.get("retracted")}


def lines() -> list[bytes]:
    found = [record.line.replace(b"203.0.113.10", mmdb.IN_SEOUL.encode()) for record in MADE]
    found += [b"1500\t1", b"torn", b"\xff\xfe", found[0]]
    random.Random(5).shuffle(found)  # noqa: S311 - the same each time
    return found


def test_documents_in_an_index_are_the_generators_and_a_second_run_adds_none(search: Server, tmp_path: Path) -> None:
    """The numbers of panels with them; the generator's address is a place."""
    prefix = ("--index", search.url, "--index_prefix", "m-")
    assert main(["index", "setup", *prefix]) == 0
    path = archive(tmp_path, b"\n".join(record.line for record in MADE))
    wanted = by_uid([record.document for record in MADE])
    for again in ("a", "b"):
        run(tmp_path / again, path, options=prefix)
        assert stored(search, "m-monster-*") == wanted
    terms = {"size": 0, "aggs": {"found": {"terms": {"field": "event_type", "size": 100}}}}
    found = asked(search, "m-monster-*", terms)["aggregations"]["found"]["buckets"]
    answer = generator.answer(wanted.values())
    assert {bucket["key"]: bucket["doc_count"] for bucket in found} == answer["event_type"]
    sums = {name: {"sum": {"field": name}} for name in ("SendBytes", "RecvBytes")}
    by_host = {"size": 0, "query": {"range": {"EventID": {"gte": 3500, "lte": 3503}}}, "aggs": sums}
    sent = asked(search, "m-monster-*", by_host)["aggregations"]
    assert sent["SendBytes"]["value"] == sum(answer["sent"].values())
    assert sent["RecvBytes"]["value"] == sum(answer["received"].values())


def test_a_job_on_flink_gives_the_rows_of_files(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(RULES)
    options = (*DETECT, "--geoip", mmdb.nested(tmp_path / "a.mmdb"), "--rules", str(tmp_path / "rules.yml"))
    expected = run(tmp_path / "out", archive(tmp_path, b"\n".join(lines())), options=options)
    assert all(expected.values())
    with streaming(stack.addresses(), *options, "--window_grace", "10s", command="monster") as (job, feeder):
        feeder.send(lines())
        for stream, rows in expected.items():
            eventually(lambda stream=stream, rows=rows: valid(job.rows(stream)) == valid(rows))  # type: ignore[misc]


@pytest.mark.parametrize("encoding", ["json", "avro"])
def test_a_topic_is_read_to_its_end_without_java(kafka: str, stack: Stack, encoding: str) -> None:
    prefix = f"m_{uuid4().hex[:8]}_"
    topic = make_topic(kafka, f"{prefix}in")
    Feeder(kafka, topic).send([*(record.line for record in MADE), b"torn"])
    argv = ("monster", "--bootstrap_servers", kafka, "--input_topic", topic, "--topic_prefix", prefix, "--on", "direct")
    _, said = huntbeam(stack.addresses(), *argv, "--encoding", encoding)
    assert "emitted monster events: 1,040" in said
    out, _ = huntbeam(
        stack.addresses(), "peek", f"{prefix}MONSTER_EVENTS", "--bootstrap_servers", kafka, "--where", "EventID=2500"
    )
    documents = by_uid([record.document for record in MADE if record.document["EventID"] == 2500])
    assert len(documents) == len(out.splitlines())
    assert "FinalFileName(NT)" in out
    assert len(received(kafka, f"{prefix}DEAD_LETTERS")) == 1
