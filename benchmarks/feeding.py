"""Records into topics, at full speed or at a pace, and rows out of them."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Self

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from huntbeam.runners.kafka.topics import TopicSpec, ensure_topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PARTITIONS = 2
PATIENCE = 60.0  # seconds for an answer of the broker
_LOOK = 5.0  # seconds for the newest records
_BURST = 0.005  # seconds that a paced feeder is ahead before it sleeps
_GUID = re.compile(rb'"ProcessGuid":"\{?([0-9A-Fa-f-]{36})\}?"')


def plain(record: bytes) -> bytes:
    """A record with its ProcessGuid in one spelling: a join of texts, as the rival's is, finds no other.

    >>> plain(b'{"ProcessGuid":"0A6B1C52-9F0B-4C7E-8C55-2F7A6B1D9E10"}')
    b'{"ProcessGuid":"{0a6b1c52-9f0b-4c7e-8c55-2f7a6b1d9e10}"}'
    """
    return _GUID.sub(lambda found: b'"ProcessGuid":"{' + found[1].lower() + b'}"', record)


def make_topics(kafka: str, specs: Iterable[TopicSpec]) -> None:
    """Makes topics, all with the partitions of the bench."""
    ensure_topics(
        AdminClient({"bootstrap.servers": kafka, "log_level": 0}), [s._replace(partitions=PARTITIONS) for s in specs]
    )


def delete_topics(kafka: str, mark: str) -> None:
    """Deletes all topics whose name has the mark in it."""
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 0})
    found = [name for name in admin.list_topics(timeout=PATIENCE).topics if mark in name]
    for future in admin.delete_topics(found).values() if found else ():
        future.result(PATIENCE)


def producer(kafka: str, linger_ms: int) -> Producer:
    return Producer(
        {"bootstrap.servers": kafka, "linger.ms": linger_ms, "message.max.bytes": 4_000_000, "log_level": 0}
    )


def send(kafka: str, topic: str, records: Iterable[bytes]) -> int:
    """Appends records to the partitions in turn; gives how many."""
    to, sent = producer(kafka, 50), 0
    for record in records:
        _produce(to, topic, record, sent)
        sent += 1
    _flush(to)
    return sent


def pace(kafka: str, topic: str, records: Iterable[bytes], rate: float, sent: Callable[[bytes], object]) -> None:
    """Appends so many records a second, catching up where it fell behind; `sent` is told of each just before."""
    to, began = producer(kafka, 1), time.monotonic()
    for number, record in enumerate(records):
        ahead = began + number / rate - time.monotonic()
        if ahead > _BURST:
            to.poll(0)
            time.sleep(ahead)
        sent(record)
        _produce(to, topic, record, number)
    _flush(to)


def _produce(to: Producer, topic: str, record: bytes, number: int) -> None:
    while True:
        try:
            to.produce(topic, record, partition=number % PARTITIONS)
        except BufferError:
            to.poll(0.1)
        else:
            break
    if number % 200 == 0:
        to.poll(0)


def _flush(to: Producer) -> None:
    left = to.flush(PATIENCE)
    if left:
        raise RuntimeError(f"the broker did not take {left} records within {PATIENCE:.0f} s")


class Offsets:
    """Ends of topics and offsets of a group, without reading a record."""

    def __init__(self, kafka: str, group: str = "bench") -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": kafka, "group.id": group, "enable.auto.commit": False, "log_level": 0}
        )

    def end(self, topic: str) -> int:
        """How many records were ever appended to a topic."""
        return sum(self._ends(topic))

    def lag(self, topic: str) -> int:
        """How many records of a topic the group has not committed."""
        committed = self._consumer.committed(_partitions(topic), timeout=PATIENCE)
        done = [max(partition.offset, 0) for partition in committed]
        return sum(end - offset for end, offset in zip(self._ends(topic), done, strict=True))

    def newest(self, topic: str) -> float | None:
        """When the newest record of a topic was appended, in seconds since 1970; None for an empty topic."""
        lasts = [TopicPartition(topic, p, end - 1) for p, end in enumerate(self._ends(topic)) if end]
        self._consumer.assign(lasts)
        times: dict[int | None, float] = {}
        until = time.monotonic() + _LOOK
        while len(times) < len(lasts) and time.monotonic() < until:
            message = self._consumer.poll(0.5)
            if message is not None and message.error() is None:
                times[message.partition()] = message.timestamp()[1] / 1000
        self._consumer.unassign()
        return max(times.values(), default=None)

    def _ends(self, topic: str) -> list[int]:
        return [self._consumer.get_watermark_offsets(p, timeout=PATIENCE)[1] for p in _partitions(topic)]

    def close(self) -> None:
        self._consumer.close()


def rows(kafka: str, topic: str) -> Iterator[tuple[float, bytes]]:
    """What a topic holds now: when each row was appended, in seconds since 1970, and its value."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": "bench-rows",
            "enable.auto.commit": False,
            "log_level": 0,
            "enable.partition.eof": True,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, p.partition, 0) for p in _partitions(topic)])
        left = PARTITIONS
        while left:
            for message in consumer.consume(5_000, 1.0):
                error = message.error()
                if error is None:
                    yield message.timestamp()[1] / 1000, message.value() or b""
                elif error.code() == KafkaError._PARTITION_EOF:
                    left -= 1
    finally:
        consumer.close()


class Arrivals:
    """Reads a topic in a thread of its own and notes when each row came."""

    def __init__(self, kafka: str, topic: str) -> None:
        self.rows: list[tuple[float, bytes]] = []
        self._consumer = Consumer(
            {"bootstrap.servers": kafka, "group.id": "bench-arrivals", "enable.auto.commit": False, "log_level": 0}
        )
        self._consumer.assign([TopicPartition(topic, p.partition, 0) for p in _partitions(topic)])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def _read(self) -> None:
        while not self._stop.is_set():
            message = self._consumer.poll(0.2)  # one by one: consume(n) waits for n
            if message is not None and message.error() is None:
                self.rows.append((time.time(), message.value() or b""))


def _partitions(topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
