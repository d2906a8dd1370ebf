"""Topics for tests: filled, read back, and commands that are killed while they are at it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from huntbeam.runners.kafka.topics import TopicSpec, ensure_topics

PARTITIONS = 3
PATIENCE = 60.0  # seconds; a busy machine is no bug

APPEND_TIME = {"message.timestamp.type": "LogAppendTime"}


class Record(NamedTuple):
    """What a test sends."""

    value: bytes | None
    key: bytes | None = None


def make(kafka: str, *names: str, partitions: int = PARTITIONS, settings: Mapping[str, str] = APPEND_TIME) -> None:
    """Topics, once the broker shows them."""
    admin = AdminClient({"bootstrap.servers": kafka})
    ensure_topics(admin, [TopicSpec(name, partitions, 1, dict(settings)) for name in names])


@contextmanager
def topics(kafka: str, *names: str, made: int = 1) -> Iterator[list[str]]:
    """Names of topics of this test's own; the first `made` of them exist. All are deleted after."""
    own = uuid4().hex[:8]
    named = [f"t_{own}_{name}" for name in names]
    make(kafka, *named[:made])
    try:
        yield named
    finally:
        admin = AdminClient({"bootstrap.servers": kafka})
        there = [name for name in named if name in admin.list_topics(timeout=PATIENCE).topics]
        for future in admin.delete_topics(there).values() if there else ():
            future.result(PATIENCE)


def send(kafka: str, topic: str, records: Iterable[Record]) -> None:
    """Appends records; those without a key go to partitions in turn."""
    producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random", "linger.ms": 50})
    for number, record in enumerate(records):
        partition = number % PARTITIONS if record.key is None else -1
        producer.produce(topic, record.value, record.key, partition)
        if number % 1_000 == 0:
            producer.poll(0)
    assert producer.flush(PATIENCE) == 0


def received(kafka: str, topic: str) -> list[Message]:
    """What a consumer of completed transactions gets, from the beginning."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": uuid4().hex,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    partitions = consumer.list_topics(topic, timeout=PATIENCE).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    messages: list[Message] = []
    left = set(partitions)  # while records come a partition reaches its end more than once
    while left:
        for message in consumer.consume(1_000, 1.0):
            error = message.error()
            if error is None:
                messages.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())
    consumer.close()
    return messages


def committed(kafka: str, group: str, topic: str) -> list[int]:
    """The offsets of a group, by partition."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": group})
    offsets = consumer.committed([TopicPartition(topic, p) for p in range(PARTITIONS)], timeout=PATIENCE)
    consumer.close()
    return [offset.offset for offset in offsets]


def ends(kafka: str, topic: str) -> list[int]:
    """The offsets behind the last records, by partition."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "ends"})
    high = [consumer.get_watermark_offsets(TopicPartition(topic, p), PATIENCE)[1] for p in range(PARTITIONS)]
    consumer.close()
    return high


def with_repeats(count: int, seed: int = 7) -> list[int]:
    """Numbers of rows: from 0 on, each at least once, many again a while later, as after a recovery."""
    choose = random.Random(seed)  # noqa: S311 - a test that can be run again
    numbers: list[int] = []
    fresh = 0
    while len(numbers) < count:
        if fresh and choose.random() < 0.3:
            numbers.append(choose.randrange(max(0, fresh - 5_000), fresh))
        else:
            numbers.append(fresh)
            fresh += 1
    return numbers


@contextmanager
def running(kafka: str, *argv: str) -> Iterator[subprocess.Popen[str]]:
    """A huntbeam command in a process of its own, which does not outlive the test."""
    process = subprocess.Popen(
        [sys.executable, "-m", "huntbeam.runners.cli", *argv, "--bootstrap_servers", kafka],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    with process:  # which closes the pipe and waits
        try:
            yield process
        finally:
            process.kill()


def finished(kafka: str, *argv: str) -> str:
    """Runs a huntbeam command to its end and gives what it said."""
    with running(kafka, *argv) as process:
        _, said = process.communicate(timeout=PATIENCE * 2)
        assert process.returncode == 0, said
    return said


def killed(kafka: str, argv: Sequence[str], when: Callable[[], bool]) -> None:
    """Runs a command until the moment and kills it with -9, while it is at it."""
    with running(kafka, *argv) as process:
        eventually(lambda: process.poll() is not None or when())
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
        assert process.returncode == -signal.SIGKILL, "it had ended before"


def eventually(is_so: Callable[[], bool]) -> None:
    """Waits until it is so."""
    until = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < until, "it never was"
        time.sleep(0.02)
