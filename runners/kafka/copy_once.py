"""Copying a topic, each row once.

Rows and the offsets up to which IN was read are written in one transaction, so a kill leaves both or neither. What was
seen is read back from OUT at the start: it is what the committed transactions wrote (docs/archive.md says why).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConfigResource, ConfigSource, ResourceType

from huntbeam.runners.kafka import clients
from huntbeam.runners.kafka.attended import INTERRUPTED, Progress, Stop
from huntbeam.runners.kafka.clients import ANSWER
from huntbeam.runners.kafka.dedupe import DedupeOptions
from huntbeam.runners.kafka.reading import (
    ANY_PARTITION,
    BATCH,
    POLL,
    READER,
    STARTING,
    Place,
    Records,
    await_broker,
    committed,
    extents,
    first_times,
    place_of,
    places,
    since,
    start,
    time_of,
)
from huntbeam.runners.kafka.seen import Identity, ReadClock, SeenSet, identity
from huntbeam.runners.kafka.topics import TopicSpec, ensure_topics
from huntbeam.schemas.dead_letter import RecordError
from huntbeam.schemas.ecs import as_columns
from huntbeam.transforms.topic_rows import decode_value

TRANSACTION_SECONDS = 1.0

_WRITER = {
    "partitioner": "murmur2_random",  # as Java's: where the partitions differ, keys lie as another producer lays them
    "message.max.bytes": 16 * 1024 * 1024,  # what was taken into IN is not refused on its way to OUT
    "linger.ms": 20,
    "compression.type": "zstd",
}

_SILENT = logging.Logger("librdkafka", logging.CRITICAL + 1)  # it prints fatal errors whatever its log_level is

_FENCED = (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError._FATAL)
_REFUSED = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.INVALID_RECORD)


class FencedError(Exception):
    """Another instance writes to OUT now."""


class _AgainError(Exception):
    """The transaction cannot be completed: begin again, as after a kill."""


def copy_once(options: DedupeOptions, config: Mapping[str, Any]) -> int:
    """Copies until IN's end, or until it is asked to stop; returns the exit code.

    Raises KafkaUnusable for what the user can mend, FencedError when another instance took over.
    """
    progress = Progress("written", options.quiet)
    tally = Tally()
    clients.check_broker(config)
    with Stop() as stop:
        ended = None
        while ended is None:
            ended = _attempt(options, config, progress, tally, stop)
    progress.say(f"{tally}, {progress.seconds:.1f} s")
    return 0 if ended or options.follow else INTERRUPTED


def _attempt(
    options: DedupeOptions, config: Mapping[str, Any], progress: Progress, tally: Tally, stop: Stop
) -> bool | None:
    """Whether it came to IN's end; None when it has to begin again."""
    with closing(SeenSet(options.window_ms)) as seen:
        try:
            with closing(_Copy(options, config, seen, progress, tally)) as copy:
                return copy.run(stop)
        except _AgainError:
            await_broker(config, progress, stop)
            return None
        except KafkaException as error:
            if error.args[0].code() in _FENCED:
                command = f"huntbeam topics dedupe {options.source} {options.target}"
                raise FencedError(f"another `{command}` took over: only one runs at a time") from None
            if tally.read and error.args[0].code() in STARTING:
                await_broker(config, progress, stop)
                return None
            raise clients.explain(error.args[0], config) from error


def identity_of(value: bytes | None) -> Identity | None:
    """The identity of a record's row; None for a record that is no row of ours."""
    if value is None:
        return None
    try:
        return identity(as_columns(decode_value(value)))
    except RecordError:
        return None


def make_like(admin: AdminClient, source: str, target: str) -> None:
    """Makes `target` with the partitions, copies and settings of `source`, unless it is there."""
    partitions = admin.list_topics(timeout=ANSWER).topics[source].partitions
    ensure_topics(admin, [TopicSpec(target, len(partitions), len(partitions[0].replicas), _settings(admin, source))])


def _settings(admin: AdminClient, topic: str) -> dict[str, str]:
    """The settings that were given to the topic itself."""
    resource = ConfigResource(ResourceType.TOPIC, topic)
    entries = admin.describe_configs([resource])[resource].result(ANSWER)
    return {
        name: entry.value
        for name, entry in entries.items()
        if entry.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value and entry.value is not None
    }


@dataclass
class Tally:
    """What became of records."""

    read: int = 0
    written: int = 0
    repeats: int = 0
    foreign: int = 0

    def add(self, other: Tally) -> None:
        """Adds up."""
        self.read += other.read
        self.written += other.written
        self.repeats += other.repeats
        self.foreign += other.foreign

    def __str__(self) -> str:
        foreign = f", {self.foreign:,} without event_uid passed on" if self.foreign else ""
        return f"{self.read:,} rows read, {self.written:,} written, {self.repeats:,} repeats left out{foreign}"


class _Copy:
    """One run, transaction by transaction."""

    def __init__(
        self, options: DedupeOptions, config: Mapping[str, Any], seen: SeenSet, progress: Progress, tally: Tally
    ) -> None:
        self._options = options
        self._seen = seen
        self._progress = progress
        self._tally = tally  # of what was committed
        self._admin = clients.admin(config)
        self._consumer = clients.consumer(
            {**config, **READER, "group.id": options.group_id, "error_cb": progress.broker}
        )
        quiet = {"logger": _SILENT} if config.get("log_level") == "0" else {}
        self._producer = clients.producer({**config, **_WRITER, **quiet, "transactional.id": options.transactional_id})
        self._open: Tally | None = None  # of the transaction
        self._began = 0.0
        self._refused: KafkaError | None = None

    def run(self, stop: Stop) -> bool:
        """Copies; returns whether it came to IN's end."""
        source = places(self._admin, [self._options.source])
        make_like(self._admin, self._options.source, self._options.target)
        target = places(self._admin, [self._options.target])
        self._same_partitions = len(source) == len(target)
        self._producer.init_transactions(ANSWER)  # now no other instance writes, and what one left open is undone
        held = extents(self._admin, source)
        self._committed, gone = start(held, committed(self._consumer, source))
        if gone:
            self._progress.say(f"{gone:,} records of {self._options.source} were deleted before they were read")
        first = first_times(self._consumer, self._committed)
        self._recall(target, min(first.values(), default=time.time_ns() // 1_000_000), stop)
        ends = {} if self._options.follow else {place: extent.high for place, extent in held.items()}
        self._clock = ReadClock(source, first)
        self._records = Records(self._consumer, self._committed, ends, self._progress, self._clock)
        while not stop.asked and (self._options.follow or self._records.unread):
            self._step()
        self._commit()
        return not self._records.unread

    def close(self) -> None:
        """Leaves an open transaction to the broker, which aborts it."""
        self._consumer.close()

    def _recall(self, target: Sequence[Place], first: int, stop: Stop) -> None:
        """What OUT holds of the window before the first record that is read; only committed rows count."""
        window = since(self._consumer, target, first - self._options.window_ms)
        records = Records(self._consumer, window, progress=self._progress)
        while records.unread and not stop.asked:
            for message in records.take(BATCH, POLL):
                row = identity_of(message.value())
                if row:
                    self._seen.admit(row, time_of(message))

    def _step(self) -> None:
        room = self._options.max_rows - (self._open.read if self._open else 0)
        for message in self._records.take(min(BATCH, room), POLL):
            self._copy(message)
        if self._open and (
            self._open.read >= self._options.max_rows or time.monotonic() - self._began >= TRANSACTION_SECONDS
        ):
            self._commit()
        if self._progress.due():
            self._progress.update(self._tally.read, self._tally.written, self._records.behind())

    def _copy(self, message: Message) -> None:
        if self._open is None:
            self._producer.begin_transaction()
            self._open, self._began = Tally(), time.monotonic()
        self._open.read += 1
        row = identity_of(message.value())
        if row and not self._seen.admit(row, time_of(message)):
            self._open.repeats += 1
            return
        self._open.foreign += row is None
        self._open.written += 1
        self._produce(message)

    def _produce(self, message: Message) -> None:
        kind, millis = message.timestamp()
        while True:
            try:
                self._producer.produce(
                    self._options.target,
                    value=message.value(),
                    key=message.key(),
                    partition=place_of(message)[1] if self._same_partitions else ANY_PARTITION,
                    timestamp=millis if kind != TIMESTAMP_NOT_AVAILABLE else 0,
                    headers=message.headers() or [],
                    on_delivery=self._delivered,
                )
            except BufferError:  # the queue is full
                self._producer.poll(POLL)
            except KafkaException as error:
                if error.args[0].code() != KafkaError._STATE:  # the transaction has failed already
                    raise
                raise _AgainError from error
            else:
                return

    def _commit(self) -> None:
        if self._open is None:
            return
        offsets = [TopicPartition(*p, at) for p, at in self._records.positions.items() if at != self._committed[p]]
        group = self._consumer.consumer_group_metadata()
        try:
            _in_time(lambda: self._producer.send_offsets_to_transaction(offsets, group, ANSWER))
            _in_time(lambda: self._producer.commit_transaction(ANSWER))
        except KafkaException as error:
            if self._refused:
                raise KafkaException(self._refused) from error
            if error.args[0].retriable() or error.args[0].txn_requires_abort():
                raise _AgainError from error
            raise
        low = self._clock.low()
        if low is not None:
            self._seen.forget(low)
        self._committed = dict(self._records.positions)
        self._tally.add(self._open)
        self._open = None

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None and error.code() in _REFUSED:
            self._refused = error


def _in_time(step: Callable[[], None]) -> None:
    """Runs a step of a transaction. A broker that goes away can keep the library in it for ever, whatever the timeout
    (librdkafka #5456): it is left behind then, and fenced by the next producer.
    """
    done: SimpleQueue[KafkaException | None] = SimpleQueue()

    def run() -> None:
        try:
            step()
        except KafkaException as error:
            done.put(error)
        else:
            done.put(None)

    threading.Thread(target=run, daemon=True).start()
    try:
        error = done.get(timeout=ANSWER + POLL)
    except Empty:
        raise _AgainError from None
    if error:
        raise error
