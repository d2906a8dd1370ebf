"""Monster Agent's records on a real Kafka and Flink: the rows of `huntbeam monster` on files."""

from __future__ import annotations

import gzip
import random
import time
from pathlib import Path
from uuid import uuid4

import pytest

from huntbeam.runners.cli import main
from huntbeam.runners.stack.stack import Stack
from huntbeam.schemas.panels import MONSTER_AGENT
from tests import mmdb
from tests.collecting import collecting
from tests.conftest import Rows
from tests.e2e.indexes import asked, count, stored
from tests.e2e.jobs import QUICK, Feeder, eventually, huntbeam, make_topic, streaming
from tests.e2e.panels import panel_numbers
from tests.e2e.search import Server
from tests.e2e.topics import received
from tests.monster import by_uid, generator, tsv
from tests.pipelines.streaming import ONLY_STREAM
from tests.pipelines.test_monster import RULES, archive, run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

MADE = list(generator.records(1_040))
AROUND = list(  # with addresses that have places
    generator.records(1_040, remotes=(mmdb.IN_SEOUL, mmdb.IN_BERLIN, mmdb.IN_SIX, "203.0.113.77", "10.20.0.200"))
)
HEADERS = (b"", b"<134>Dec 18 08:00:00 ws-1 monster: ", b"<134>1 2017-12-18T08:00:00Z ws-1 monster - - - ")
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


def panels_show(url: str, prefix: str, documents: Rows) -> None:
    """Every panel, and of those that the generator counts, too, its numbers."""
    shown = {panel.name: panel_numbers(url, prefix, panel, documents) for panel in MONSTER_AGENT.panels}
    answer = generator.answer(documents)

    def joined(panel: str, number: int = 0) -> dict[str, float]:
        return {"|".join(map(str, keys)): numbers[number] for keys, numbers in shown[panel].items()}

    assert shown["events"] == {(): [answer["total"]]}
    assert joined("hosts") == answer["host_key|EventID"]
    assert (joined("files") | joined("registry")).items() <= answer["event_type"].items()
    sha2 = next(document["SHA2"] for document in documents if document["EventID"] == 1500)
    assert found_by(url, prefix, "SHA2", sha2) == sum(document.get("SHA2") == sha2 for document in documents)
    in_seoul = sum(document.get("remote_ip") == mmdb.IN_SEOUL for document in documents)
    assert (
        found_by(url, prefix, "remote_ip", mmdb.SEOUL) == found_by(url, prefix, "remote_ip", mmdb.IN_SEOUL) == in_seoul
    )
    windows = {keys: numbers for keys, numbers in shown["exfiltration"].items() if any(numbers[1:])}
    for number, name in ((1, "sent"), (2, "received")):
        found = {f"{at[:19]}Z|{host}": numbers[number] for (host, at), numbers in windows.items()}
        assert found == answer[name]


def found_by(url: str, prefix: str, field: str, text: str) -> int:
    """Documents that `field: "text"` in the dashboard's search bar leaves."""
    body = {"size": 0, "query": {"match_phrase": {field: text}}}
    total: int = asked(url, f"{prefix}monster-*", body)["hits"]["total"]["value"]
    return total


def located(documents: Rows) -> Rows:
    """With the places of addresses, by the files of places()."""
    geo = {
        mmdb.IN_SEOUL: mmdb.SEOUL_GEO,
        mmdb.IN_BERLIN: mmdb.BERLIN_GEO,
        mmdb.IN_SIX: {"country_code": "IE", "country": "Ireland"},
    }
    return [
        document | {"DestinationGeoip": geo[at]} if (at := document.get("remote_ip")) in geo else document
        for document in documents
    ]


def places(folder: Path) -> tuple[str, ...]:
    return "--geoip", mmdb.nested(folder / "a.mmdb"), "--geoip", mmdb.flat(folder / "b.mmdb")


def test_documents_in_an_index_are_the_generators_and_a_second_run_adds_none(search: Server, tmp_path: Path) -> None:
    """From files; every panel's numbers with them."""
    prefix = ("--index", search.url, "--index_prefix", "m-")
    assert main(["index", "setup", *prefix]) == 0
    path = archive(tmp_path, tsv(*AROUND))
    wanted = by_uid(located([record.document for record in AROUND]))
    for again in ("a", "b"):
        run(tmp_path / again, path, options=(*prefix, *places(tmp_path)))
        assert stored(search.url, "m-monster-*") == wanted
    panels_show(search.url, "m-", list(wanted.values()))


def test_from_datagrams_over_kafka_and_flink_to_the_panels_of_an_index(stack: Stack, tmp_path: Path) -> None:
    """The whole way; the same records out of files add nothing to it."""
    at = stack.up(search=["opensearch"])
    prefix = f"way{uuid4().hex[:8]}-"
    options = ("--index", at.opensearch or "", "--index_prefix", prefix, *places(tmp_path))
    wanted = by_uid(located([record.document for record in AROUND]))
    huntbeam(at, "index", "setup", *options[:4])
    with (
        streaming(at, *options, *QUICK, command="monster") as (job, _),
        collecting(at.kafka, tmp_path, "--topic", job.topic) as collector,
    ):
        sent = [HEADERS[number % 3] + record.line for number, record in enumerate(AROUND)] + [b"1500\ttorn"]
        for begin in range(0, len(sent), 50):
            collector.datagrams(*sent[begin : begin + 50])
            time.sleep(0.005)
        collector.until(taken_udp=len(sent), delivered=len(sent))
        eventually(lambda: count(at.opensearch or "", f"{prefix}monster-*") >= len(wanted))
        job.await_rows("dead_letters", 1)
        assert valid(job.rows("monster_events")) == wanted
    assert stored(at.opensearch or "", f"{prefix}monster-*") == wanted
    panels_show(at.opensearch or "", prefix, list(wanted.values()))
    run(tmp_path / "again", archive(tmp_path, gzip.compress(tsv(*AROUND)), "in.tsv.gz"), options=options)
    assert stored(at.opensearch or "", f"{prefix}monster-*") == wanted


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
