"""Records on their way to Kafka: a window of bounded size, acknowledged record by record.

What fails is tried again, for ever; librdkafka does so itself while no broker answers. Only what Kafka refuses for
good is given up. Not acknowledged records can be taken back, in order.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from huntbeam.runners.collect.batches import Batch, Kind
from huntbeam.runners.collect.spool import Place
from huntbeam.runners.kafka import clients
from huntbeam.transforms.syslog import Header, take_off

WINDOW_BYTES = 32 * 1024 * 1024
WINDOW_RECORDS = 100_000  # each costs librdkafka some hundred bytes beside its own
RECORD_BYTES = 900_000  # librdkafka's message.max.bytes is 1,000,000, with what it puts around
_LESS_THAN = 0x3C  # what a header begins with
_PAUSE = 1.0  # seconds before what failed is tried again
_PURGE = 30.0  # seconds for taking back, which needs no broker

_DEFAULTS = {
    "linger.ms": 10,
    "compression.type": "lz4",
    "reconnect.backoff.max.ms": 2_000,  # Kafka is back: catch up soon
    "client.id": "huntbeam-collect",
}
_OURS = {
    "acks": "all",
    "enable.idempotence": True,
    "message.timeout.ms": 0,  # never: records wait
    "delivery.report.only.error": False,
    "statistics.interval.ms": 1_000,  # they say whether a broker is there
    "queue.buffering.max.messages": 0,  # the window is the limit
    "queue.buffering.max.kbytes": 2 * 1024 * 1024,
}
_FOR_GOOD = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD, KafkaError.INVALID_MSG)
_TELLING = (KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.TOPIC_AUTHORIZATION_FAILED)
_CHECK = 5.0  # seconds for a broker to answer at the start


def check_topic(config: Mapping[str, Any], topic: str) -> bool:
    """Whether a broker answers. Raises KafkaUnusable when it refuses the login, or has no such topic."""
    try:
        known = clients.check_broker(config, _CHECK)
    except clients.KafkaAway:
        return False
    if topic not in known.topics:
        raise clients.KafkaUnusable(f"there is no topic {topic}: make it with `huntbeam topics create {topic}`")
    return True


Refuse = Callable[[bytes, str], None]


class _Broker(msgspec.Struct):
    state: str = ""


class _Statistics(msgspec.Struct):
    brokers: dict[str, _Broker] = {}


class _Entry:
    """A batch on its way."""

    __slots__ = ("_failed_here", "failed", "outstanding", "place", "records", "refused", "size")

    def __init__(
        self, batch: Batch, place: Place | None, failed_here: Callable[[_Entry, KafkaError, bytes], None]
    ) -> None:
        self.records = batch.records
        self.size = len(batch.body)
        self.place = place  # in the spool
        self.outstanding = 0  # with librdkafka
        self.failed: list[bytes] = []  # to be tried again
        self.refused = 0
        self._failed_here = failed_here

    def report(self, error: KafkaError | None, message: Message) -> None:
        """What librdkafka says of each record."""
        self.outstanding -= 1
        if error is not None:
            self._failed_here(self, error, message.value() or b"")

    @property
    def done(self) -> bool:
        return not self.outstanding and not self.failed


class Delivery:
    """The window. Not shared between threads; reports come while `poll` runs."""

    def __init__(self, config: Mapping[str, Any], topic: str, *, keep_headers: bool, refuse: Refuse) -> None:
        self.delivered = 0
        self.refused = 0
        self.errors = 0
        self.headers = dict.fromkeys(Header, 0)
        self.up = True
        self.trouble: KafkaError | None = None  # the last error that does not go by itself
        self.direct = 0  # records in the window that are not in the spool
        self._config = {**_DEFAULTS, **config, **_OURS, "error_cb": self._hear, "stats_cb": self._watch}
        self._topic = topic
        self._keep_headers = keep_headers
        self._refuse = refuse
        self._entries: deque[_Entry] = deque()
        self._bytes = self._records = 0
        self._again: float | None = None  # when to try again what failed
        self._fatal = False
        self._producer = self._connect()

    @property
    def has_room(self) -> bool:
        """Whether another batch may be added."""
        return self._bytes < WINDOW_BYTES and self._records < WINDOW_RECORDS

    @property
    def is_empty(self) -> bool:
        """Whether everything is acknowledged."""
        return not self._entries

    def add(self, batch: Batch, place: Place | None = None) -> None:
        """Sends a batch; `place` says where it is in the spool."""
        entry = _Entry(batch, place, self._failed)
        self._entries.append(entry)
        self._bytes += entry.size
        self._records += entry.records
        self.direct += 0 if place else entry.records
        plain = self._keep_headers or batch.kind is Kind.READY
        self._send(entry, batch.each() if plain else self._without_headers(batch))

    def poll(self, seconds: float) -> Iterator[Place]:
        """Lets librdkafka report; gives what is done, from the front on, of what is in the spool."""
        self._producer.poll(seconds)
        if self._fatal:
            self._begin_again()
        if self._again is not None and time.monotonic() >= self._again:
            self._again = None
            for entry in self._entries:
                if entry.failed:
                    failed, entry.failed = entry.failed, []
                    self._send(entry, failed)
        while self._entries and self._entries[0].done:
            entry = self._entries.popleft()
            self._bytes -= entry.size
            self._records -= entry.records
            self.delivered += entry.records - entry.refused
            self.refused += entry.refused
            if entry.place:
                yield entry.place
            else:
                self.direct -= entry.records

    def take_back(self) -> list[bytes]:
        """The records that are not acknowledged, in order; nothing is on its way after that.

        A broker may have written some of them all the same: it was away when it should have said so.
        """
        self._stop_sending()
        values = [value for entry in self._entries for value in entry.failed]
        for entry in self._entries:
            self.delivered += entry.records - entry.refused - len(entry.failed)
            self.refused += entry.refused
        self._entries.clear()
        self._bytes = self._records = self.direct = 0
        return values

    def _connect(self) -> Producer:
        return clients.producer(self._config)

    def _without_headers(self, batch: Batch) -> Iterator[bytes]:
        for value in batch.each():
            if value[0] == _LESS_THAN:  # most have no header: nothing more is done for them
                value, header = take_off(value)
                if header:
                    self.headers[header] += 1
            yield value

    def _send(self, entry: _Entry, values: Iterator[bytes] | Sequence[bytes]) -> None:
        produce, topic, report = self._producer.produce, self._topic, entry.report
        for value in values:
            try:
                produce(topic, value, on_delivery=report)
                entry.outstanding += 1
            except BufferError:
                self._keep(entry, value)
            except KafkaException as error:
                self._failed(entry, error.args[0], value)

    def _failed(self, entry: _Entry, error: KafkaError, value: bytes) -> None:
        if error.code() in _FOR_GOOD:
            entry.refused += 1
            self._refuse(value, error.name())
            return
        if error.fatal():
            self._fatal = True
        if error.code() not in (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT):
            self.errors += 1
            self.trouble = error
        self._keep(entry, value)

    def _keep(self, entry: _Entry, value: bytes) -> None:
        entry.failed.append(value)
        if self._again is None:
            self._again = time.monotonic() + _PAUSE

    def _hear(self, error: KafkaError) -> None:
        """What librdkafka says beside the records."""
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._fatal = True
        elif error.code() in _TELLING:
            self.trouble = error

    def _watch(self, statistics: str) -> None:
        """What librdkafka tells once a second."""
        brokers = msgspec.json.decode(statistics, type=_Statistics).brokers.values()
        self.up = any(broker.state == "UP" for broker in brokers)

    def _stop_sending(self) -> None:
        until = time.monotonic() + _PURGE
        self._producer.purge()
        while any(entry.outstanding for entry in self._entries) and time.monotonic() < until:
            self._producer.poll(0.1)

    def _begin_again(self) -> None:
        """An idempotent producer that lost its place is of no more use: a new one sends what is not acknowledged."""
        self._stop_sending()
        self._fatal = False
        self._producer = self._connect()
        self._again = time.monotonic() + _PAUSE
