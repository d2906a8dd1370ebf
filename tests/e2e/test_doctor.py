"""`huntbeam doctor` on a real stack, and what `huntbeam stream` refuses before it submits."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from confluent_kafka.admin import AdminClient

from huntbeam.runners.cli import main
from huntbeam.runners.kafka.topics import set_append_time
from huntbeam.runners.stack.stack import Stack
from tests.e2e.topics import PATIENCE, Record, make, send, topics

pytestmark = pytest.mark.e2e


@pytest.fixture
def at(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The broker, with the environment that `huntbeam stack env` prints."""
    where = stack.addresses()
    monkeypatch.setenv("HUNTBEAM_STACK_HOME", str(stack.home))
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", where.kafka)
    monkeypatch.setenv("FLINK_REST", where.flink_rest)
    monkeypatch.setenv("JOB_ENDPOINT", where.job_endpoint)
    monkeypatch.setenv("EXPANSION_SERVICE", where.expansion)
    monkeypatch.setenv("WORKER_POOL", where.worker_pool)
    yield where.kafka


def run(capsys: pytest.CaptureFixture[str], *argv: str, code: int) -> list[str]:
    capsys.readouterr()
    assert main(["doctor", *argv]) == code
    return capsys.readouterr().out.splitlines()


PRODUCERS_TIME = {"message.timestamp.type": "CreateTime"}  # as others make topics


def test_a_stack_that_runs_is_in_order(at: str, capsys: pytest.CaptureFixture[str]) -> None:
    with topics(at, "in") as (topic,):
        said = run(capsys, "--input_topic", topic, code=0)
    assert [line.split()[:2] for line in said[:-2]] == [
        ["ok", name]
        for name in (
            "versions",
            "broker",
            "topic",
            "flink",
            "job_endpoint",
            "expansion_service",
            "worker_pool",
            "stack",
        )
    ]
    assert "Flink 1." in said[3]


def test_topics_are_told_by_their_setting_and_by_their_oldest_records(
    at: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with topics(at, "empty", "appended", "produced", "mixed", "missing", made=2) as names:
        empty, appended, produced, mixed, missing = names
        make(at, produced, mixed, settings=PRODUCERS_TIME)
        for topic in (appended, produced, mixed):
            send(at, topic, [Record(b"{}")])
        set_append_time(AdminClient({"bootstrap.servers": at}), [mixed])
        send(at, mixed, [Record(b"{}") for _ in range(3)])
        said = run(capsys, "--on", "direct", *(a for name in names for a in ("--input_topic", name)), code=1)
    found = {topic: next(line for line in said if topic in line) for topic in names}
    assert found[empty].startswith("ok ")
    assert found[appended].startswith("ok ")
    assert found[produced].startswith("warn ")
    assert "--alter" in found[produced]
    assert found[mixed].startswith("warn ")
    assert "oldest records" in found[mixed]
    assert found[missing].startswith("fail ")


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one sentence with which a stream is refused, within a minute."""
    capsys.readouterr()
    started = time.monotonic()
    assert main(["stream", *argv]) == 2
    assert time.monotonic() - started < 60
    (said,) = capsys.readouterr().err.splitlines()
    return said


def test_a_stream_is_refused_before_a_topic_is_made(at: str, capsys: pytest.CaptureFixture[str]) -> None:
    def there() -> set[str]:
        known = AdminClient({"bootstrap.servers": at}).list_topics(timeout=PATIENCE).topics
        return {topic for topic in known if topic.startswith("refused_")}

    with topics(at, "in", "missing") as (topic, missing):
        argv = ["--topic_prefix", "refused_", "--input_topic"]
        assert f"there is no topic {missing}" in refused(capsys, *argv, missing)
        assert "nothing answers at 127.0.0.1:1 (--worker_pool)" in refused(
            capsys, *argv, topic, "--worker_pool", "127.0.0.1:1"
        )
        assert "task slots" in refused(capsys, *argv, topic, "--parallelism", "100")
        assert "Flink does not answer" in refused(capsys, *argv, topic, "--flink_rest", f"http://{at}")
        assert "no Kafka broker answers" in refused(capsys, *argv, topic, "--bootstrap_servers", "127.0.0.1:1")
        assert not there()
