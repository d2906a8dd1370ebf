"""`huntbeam topics` and `huntbeam peek` against a real broker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from confluent_kafka.admin import AdminClient

from huntbeam.runners.cli import main
from huntbeam.runners.kafka import clients, topics
from huntbeam.runners.kafka.properties import client_config
from huntbeam.schemas.record import Kind, columns
from huntbeam.schemas.streams import STREAMS
from huntbeam.transforms.topic_rows import Encoding, RowEncoder, topic_name
from tests.e2e.topics import make

pytestmark = pytest.mark.e2e

TIME = "2026-03-04T05:06:07.089Z"
EMPTY = {Kind.TEXT: "", Kind.INTEGER: 0, Kind.INSTANT: TIME}


@pytest.fixture
def prefix(kafka: str) -> Iterator[str]:
    """What the names of this test's topics begin with; they are deleted after it."""
    mine = f"tools_{uuid4().hex[:8]}_"
    yield mine
    admin = clients.admin(client_config(kafka, {}))
    names = topics.own_topics(admin, mine)
    for future in admin.delete_topics(names).values() if names else ():
        future.result(10)


def join(number: int, **values: Any) -> msgspec.Struct:
    record = STREAMS["sysmon_join"]
    plain = {c.name: None if c.nullable else EMPTY[c.kind] for c in columns(record)}
    return record(**plain | {"event_uid": f"{number:032x}", "event_date_creation": TIME} | values)


def produce(kafka: str, topic: str, *values: bytes | None, timestamp: int = 0) -> None:
    producer = clients.producer(client_config(kafka, {}))
    for value in values:
        producer.produce(topic, value, b"key", timestamp=timestamp)
    assert producer.flush(30) == 0


def run(capsys: pytest.CaptureFixture[str], kafka: str, *argv: str, code: int = 0) -> tuple[list[str], str]:
    capsys.readouterr()
    assert main([*argv, "--bootstrap_servers", kafka]) == code
    said = capsys.readouterr()
    return said.out.splitlines(), said.err


def test_create_makes_what_is_missing_and_list_shows_it(
    kafka: str, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made, _ = run(capsys, kafka, "topics", "create", "--topic_prefix", prefix)
    assert made == [f"{topic_name(stream, prefix)} was made" for stream in STREAMS]
    again, warning = run(capsys, kafka, "topics", "create", "--topic_prefix", prefix, f"{prefix}in", "sysmon_join")
    assert again == [f"{prefix}in was made", f"{prefix}SYSMON_JOIN is there already"]
    assert warning == ""
    (head, *lines), _ = run(capsys, kafka, "topics", "list", "--topic_prefix", prefix)
    assert head.split("\t") == ["topic", "partitions", "copies", "records", "timestamp", "cleanup", "retention"]
    shown = {name.removeprefix(prefix): rest for name, *rest in (line.split("\t") for line in lines)}
    assert shown["in"] == ["3", "1", "0", "LogAppendTime", "delete", "7d"]
    assert shown["DEAD_LETTERS"] == ["3", "1", "0", "LogAppendTime", "delete", "30d"]
    assert shown["SYSMON_PROCESS_CREATE"] == ["3", "1", "0", "LogAppendTime", "compact,delete", "7d"]
    assert len(shown) == len(STREAMS) + 1


def test_options_shape_the_topics(kafka: str, prefix: str) -> None:
    shape = ["--partitions", "1", "--replication_factor", "1", "--retention", "36h"]
    assert main(["topics", "create", f"{prefix}in", *shape, "--bootstrap_servers", kafka]) == 0
    (info,) = topics.describe(clients.admin(client_config(kafka, {})), [f"{prefix}in"])
    assert info == topics.TopicInfo(f"{prefix}in", 1, 1, 0, "LogAppendTime", "delete", 36 * 3_600_000)


def test_a_topic_of_producers_times_is_told_and_altered(
    kafka: str, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    admin, name = AdminClient({"bootstrap.servers": kafka}), f"{prefix}old"
    make(kafka, name, partitions=1, settings={})
    assert topics.timestamp_type(admin, name) == "CreateTime"
    _, warning = run(capsys, kafka, "topics", "create", name)
    assert f"`huntbeam topics create {name} --alter` makes it the broker's" in warning
    said, warning = run(capsys, kafka, "topics", "create", name, "--alter")
    assert (said[-1], warning) == (f"{name} takes the broker's time from now on", "")
    assert topics.timestamp_type(admin, name) == "LogAppendTime"


def test_ensure_topics_gives_only_those_it_made(kafka: str, prefix: str) -> None:
    admin = clients.admin(client_config(kafka, {}))
    specs = [topics.input_topic(f"{prefix}{name}") for name in "ab"]
    assert topics.ensure_topics(admin, specs[:1]) == [f"{prefix}a"]
    assert topics.ensure_topics(admin, specs) == [f"{prefix}b"]
    assert topics.ensure_topics(admin, specs) == []


def test_peek_shows_rows_of_both_encodings(kafka: str, prefix: str, capsys: pytest.CaptureFixture[str]) -> None:
    topic = topic_name("sysmon_join", prefix)
    main(["topics", "create", "--topic_prefix", prefix, "sysmon_join", "--bootstrap_servers", kafka])
    rows = [join(number, dst_port=445 if number % 3 else 443, host=f"WS-{number}") for number in range(30)]
    encoders = [RowEncoder("sysmon_join", encoding) for encoding in Encoding]
    produce(kafka, topic, *(encoders[number % 2].encode(row)[1] for number, row in enumerate(rows)), None, b"junk")
    lines, said = run(capsys, kafka, "peek", topic)
    geo = {"src_geo", "dst_geo"}  # left out where they are null
    columns = [column for column in rows[0].__struct_fields__ if column not in geo]
    expected = [{column: getattr(row, column) for column in columns} | {"schema_version": 1} for row in rows]
    assert [json.loads(line) for line in lines] == expected
    assert f"1 values of {topic} are neither JSON objects nor Avro rows" in said
    lines, _ = run(capsys, kafka, "peek", topic, "--where", "dst_port=445", "--where", "host=ws-2?", "--limit", "3")
    assert [json.loads(line)["host"] for line in lines] == ["WS-20", "WS-22", "WS-23"]


def test_peek_ends_at_an_empty_topic(kafka: str, prefix: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["topics", "create", f"{prefix}in", "--bootstrap_servers", kafka])
    assert run(capsys, kafka, "peek", f"{prefix}in") == ([], "")


def test_peek_of_a_missing_topic_names_those_like_it(
    kafka: str, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["topics", "create", f"{prefix}winlogbeat", "--bootstrap_servers", kafka])
    _, said = run(capsys, kafka, "peek", f"{prefix}winlogbaet", code=2)
    assert said == f"huntbeam: there is no topic {prefix}winlogbaet: did you mean {prefix}winlogbeat?\n"


def test_peek_follows_until_it_is_interrupted(kafka: str, prefix: str) -> None:
    topic = f"{prefix}in"
    main(["topics", "create", topic, "--bootstrap_servers", kafka])
    produce(kafka, topic, b'{"n":"before"}')
    command = [sys.executable, "-m", "huntbeam.runners.cli", "peek", topic, "--follow", "--from", "end"]
    environment = os.environ | {"KAFKA_BOOTSTRAP_SERVERS": kafka}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as peek:
        assert peek.stdout is not None
        os.set_blocking(peek.stdout.fileno(), False)
        line = None
        for number in range(60):  # it has begun when it shows something
            produce(kafka, topic, b'{"n":%d}' % number)
            time.sleep(0.5)
            if line := peek.stdout.readline():
                break
        peek.send_signal(signal.SIGINT)
        _, said = peek.communicate(timeout=30)
    assert json.loads(line or b"{}")["n"] in range(60)
    assert (peek.returncode, said) == (130, b"")


def test_a_broker_that_is_not_there_is_told_in_time(capsys: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    with pytest.raises(clients.KafkaUnusable, match=r"no Kafka broker answers at 127\.0\.0\.1:1: check --bootstrap_"):
        clients.check_broker(client_config("127.0.0.1:1", {}), timeout=2)
    assert time.monotonic() - started < 5


def test_a_broker_without_tls_is_told_as_such(kafka: str) -> None:
    config = client_config(kafka, {"security.protocol": "ssl"})
    with pytest.raises(clients.KafkaUnusable, match=r"check .*security\.protocol"):
        clients.check_broker(config, timeout=3)
