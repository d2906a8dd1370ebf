"""`huntbeam collect` on a real broker: UDP and TCP to a topic, through outages, garbage and load."""

from __future__ import annotations

import json
import random
import time
from base64 import b64decode
from collections import Counter
from pathlib import Path

import pytest

from huntbeam.runners.collect.batches import batch_of
from huntbeam.runners.collect.delivery import Delivery
from huntbeam.runners.collect.spool import Place
from huntbeam.runners.stack.stack import Stack
from tests.collecting import collecting
from tests.e2e.jobs import huntbeam
from tests.e2e.topics import PATIENCE, make, received, running, topics
from tests.test_synthesize import load as load_script

syslog_load = load_script("syslog_load")
load, record = syslog_load.send, syslog_load.record

pytestmark = pytest.mark.e2e


def values(kafka: str, topic: str) -> list[bytes]:
    return [message.value() or b"" for message in received(kafka, topic)]


def test_datagrams_and_lines_are_the_topics_records(kafka: str, tmp_path: Path) -> None:
    records = [record(number) for number in range(6_000)]
    headers = [b"", b"<134>Oct 11 22:14:15 ws-1 monster: ", b"<134>1 2024-03-04T05:06:07Z ws-1 monster - - - "]
    with topics(kafka, "monster") as (topic,), collecting(kafka, tmp_path, "--topic", topic, "--tcp") as collector:
        for number in range(3_000):
            collector.datagrams(headers[number % 3] + records[number])
        with collector.connect() as lines, collector.connect() as counted:
            for number in range(3_000, 4_500):
                lines.sendall(headers[number % 3] + records[number] + b"\n")
            for number in range(4_500, 6_000):
                message = headers[number % 3] + records[number]
                counted.sendall(b"%d %s" % (len(message), message))
            said = collector.stop()  # at once: what was sent is taken
        assert Counter(values(kafka, topic)) == Counter(records)
        counts = collector.counts
        assert (counts["taken_udp"], counts["taken_tcp"], counts["delivered"]) == (3_000, 3_000, 6_000)
        assert (counts["headers_rfc3164"], counts["headers_rfc5424"]) == (2_000, 2_000)
        assert "stopped: 6,000 taken, 6,000 delivered" in said


def test_headers_can_be_kept(kafka: str, tmp_path: Path) -> None:
    with (
        topics(kafka, "monster") as (topic,),
        collecting(kafka, tmp_path, "--topic", topic, "--keep_headers") as collector,
    ):
        collector.datagrams(b"<13>1500\tk", b"1501\tk")
        collector.stop()
        assert sorted(values(kafka, topic)) == [b"1501\tk", b"<13>1500\tk"]


def test_garbage_goes_on_as_it_is_and_becomes_dead_letters(stack: Stack, kafka: str, tmp_path: Path) -> None:
    choose = random.Random(7)  # noqa: S311 - a test that can be run again
    kinds = [
        lambda: b"",
        lambda: choose.randbytes(65_507),
        lambda: choose.randbytes(choose.randrange(1, 200)),
        lambda: b"1500,a,b,%d" % choose.randrange(10**6),
        lambda: b"1500\t" + b"x\t" * choose.randrange(60),
        lambda: b"<13>",
        lambda: b'<13>1 - a b c d [a x="' * choose.randrange(1, 9),
        lambda: b"\n",
    ]
    sent = [choose.choice(kinds[:1] + kinds[2:])() for _ in range(9_600)] + [kinds[1]() for _ in range(400)]
    choose.shuffle(sent)
    with (
        topics(kafka, "monster") as (topic,),
        collecting(kafka, tmp_path, "--topic", topic, "--tcp", "--keep_headers") as collector,
    ):
        for begin in range(0, len(sent), 50):
            collector.datagrams(*sent[begin : begin + 50])
            time.sleep(0.005)
        with collector.connect() as to:
            to.sendall(b"\n\n" + b"\xff" * 300_000 + b"\n999999 torn")
        collector.until(taken_udp=len(sent) - sent.count(b""), empty=sent.count(b"") + 2, cut=2, kernel_drops=0)
        collector.datagrams(b"1500\tstill there")
        collector.stop()
        wanted = Counter([s for s in sent if s] + [b"\xff" * 262_144, b"torn", b"1500\tstill there"])
        assert Counter(values(kafka, topic)) == wanted
        prefix = f"{topic}_"
        argv = ("monster", "--input_topic", topic, "--topic_prefix", prefix, "--on", "direct")
        huntbeam(stack.addresses(), *argv)
        letters = Counter(b64decode(json.loads(row)["raw_b64"]) for row in values(kafka, f"{prefix}DEAD_LETTERS"))
        assert letters == Counter({raw: count for raw, count in wanted.items() if not raw.isspace()})
        assert letters.total() > 7_000


def test_while_kafka_is_away_records_wait_on_disk_and_keep_their_order(
    stack: Stack, kafka: str, tmp_path: Path
) -> None:
    with topics(kafka, "monster") as (unused,):
        topic = f"{unused}_one"
        make(kafka, topic, partitions=1)
        with collecting(kafka, tmp_path, "--topic", topic) as collector:
            load("127.0.0.1", collector.port, 10_000, 1)
            collector.until(delivered=10_000)
            for end in (stack.stop, stack.kill):
                end("kafka")
                try:
                    load("127.0.0.1", collector.port, 40_000, 4)  # more than the window holds
                    collector.until_so(
                        lambda: collector.counts["in_spool"] > 10_000 and not collector.counts["kafka_up"]
                    )
                finally:
                    stack.start("kafka")
                load("127.0.0.1", collector.port, 10_000, 1)
                collector.until_so(lambda: collector.counts["in_spool"] == 0)
            collector.until(delivered=350_000, in_flight=0)
            collector.stop()
        found = values(kafka, topic)
        numbers = [int(value.split(b"\t")[1]) for value in found]
        parts = [10_000, 160_000, 10_000, 160_000, 10_000]
        assert numbers == [number for part in parts for number in range(part)]


def test_killed_or_stopped_while_kafka_is_away_the_next_one_delivers(stack: Stack, kafka: str, tmp_path: Path) -> None:
    with topics(kafka, "monster") as (topic,):
        stack.stop("kafka")
        try:
            with collecting(kafka, tmp_path, "--topic", topic, "--spool_always") as collector:
                collector.datagrams(*(b"<13>killed %d" % number for number in range(500)))
                collector.until(in_spool=500)
                collector.process.kill()
            with collecting(kafka, tmp_path, "--topic", topic) as collector:
                collector.datagrams(*(b"<13>stopped %d" % number for number in range(500)))
                collector.until(taken_udp=500)
                assert "1,000 records are left in the spool" in collector.stop()
        finally:
            stack.start("kafka")
        with collecting(kafka, tmp_path, "--topic", topic) as collector:
            collector.datagrams(b"<13>last")
            collector.until(delivered=1_001, in_spool=0, in_flight=0)
            collector.stop()
        wanted = [b"%s %d" % (how, number) for how in (b"killed", b"stopped") for number in range(500)]
        assert Counter(values(kafka, topic)) == Counter([*wanted, b"last"])


def test_a_topic_that_is_missing_is_said(kafka: str, tmp_path: Path) -> None:
    with running(kafka, "collect", "--topic", "t_nowhere", "--spool", str(tmp_path), "--syslog", "31514") as process:
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert "there is no topic t_nowhere: make it with `huntbeam topics create t_nowhere`" in said


def test_what_kafka_refuses_for_good_is_kept_as_dead_letters(kafka: str, tmp_path: Path) -> None:
    with topics(kafka, "monster") as (unused,):
        topic = f"{unused}_small"
        make(kafka, topic, settings={"max.message.bytes": "5000"})
        with collecting(kafka, tmp_path, "--topic", topic) as collector:
            for number in range(3):
                collector.datagrams(b"small %d" % number)
                collector.until(delivered=number + 1)
            collector.datagrams(random.Random(7).randbytes(60_000))  # noqa: S311 - what cannot be compressed
            collector.until(refused=1, in_flight=0)
            collector.datagrams(b"small 3")
            collector.until(delivered=4)
            collector.stop()
        assert sorted(values(kafka, topic)) == [b"small %d" % number for number in range(4)]
        (letter,) = (tmp_path / "spool" / topic / "refused.jsonl").read_text().splitlines()
        assert json.loads(letter)["raw_length"] == 60_000


def test_a_producer_that_lost_its_place_is_replaced(kafka: str) -> None:
    with topics(kafka, "monster") as (topic,):
        delivery = Delivery({"bootstrap.servers": kafka}, topic, keep_headers=False, refuse=lambda *_: None)
        places = [Place(1, number, 2) for number in range(3)]
        for number, place in enumerate(places):
            delivery.add(batch_of([b"%d" % number, b"%d again" % number]), place)
        delivery._fatal = True
        done: list[Place] = []
        while not delivery.is_empty:
            done += delivery.poll(0.1)
        assert done == places
        assert delivery.delivered == 6
        assert set(values(kafka, topic)) == {b"%d%s" % (n, rest) for n in range(3) for rest in (b"", b" again")}
