"""Reading topics without a group's rebalancing: one process reads all partitions, from positions that it chooses."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from confluent_kafka import (
    OFFSET_INVALID,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from huntbeam.runners.kafka.attended import Progress, Stop
from huntbeam.runners.kafka.clients import ANSWER, KafkaUnusable, check_broker
from huntbeam.runners.kafka.seen import ReadClock

POLL = 0.1  # seconds between looks at signals and clocks
BATCH = 1_000
ANY_PARTITION = -1  # the key decides

READER = {
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "isolation.level": "read_committed",
    "auto.offset.reset": "earliest",
    "fetch.wait.max.ms": 100,  # how long the end of a partition takes to show
}

_HOPELESS = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._AUTHENTICATION,
)

STARTING = (
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
)

Place = tuple[str, int]  # topic, partition


class Extent(NamedTuple):
    """The offsets that a partition holds: the oldest, and the one behind the last of a completed transaction."""

    low: int
    high: int


def await_broker(config: Mapping[str, Any], progress: Progress, stop: Stop) -> None:
    """Waits until a broker answers, or the command is asked to stop."""
    progress.say("the broker is away; waiting for it")
    while not stop.asked:
        try:
            check_broker(config)
        except KafkaUnusable:
            continue
        progress.say("the broker is back")
        return


def places(admin: AdminClient, topics: Iterable[str]) -> list[Place]:
    """The partitions of topics. Raises KafkaUnusable for a topic that is missing; never makes one."""
    known = admin.list_topics(timeout=ANSWER).topics
    found = []
    for topic in topics:
        if topic not in known:
            raise KafkaUnusable(f"there is no topic {topic}: check its name, or make it with `huntbeam topics create`")
        found += [(topic, partition) for partition in sorted(known[topic].partitions)]
    return found


def extents(admin: AdminClient, where: Iterable[Place]) -> dict[Place, Extent]:
    """What partitions hold now, for a reader of completed transactions."""
    partitions = [TopicPartition(*place) for place in where]
    low = _offsets(admin, partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]  # the library has no types for it
    high = _offsets(admin, partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]  # nor for this
    return {place: Extent(low[place], high[place]) for place in low}


def _offsets(admin: AdminClient, partitions: list[TopicPartition], spec: OffsetSpec) -> dict[Place, int]:
    asked = admin.list_offsets(
        dict.fromkeys(partitions, spec), isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=ANSWER
    )
    return {(p.topic, p.partition): future.result().offset for p, future in asked.items()}


def committed(consumer: Consumer, where: Iterable[Place]) -> dict[Place, int]:
    """Where the consumer's group goes on, for the partitions in which it has read before."""
    partitions = [TopicPartition(*place) for place in where]
    until = time.monotonic() + ANSWER
    while True:
        try:
            offsets = consumer.committed(partitions, timeout=ANSWER)
            break
        except KafkaException as error:  # a broker that has just started has no coordinator yet
            if error.args[0].code() not in STARTING or time.monotonic() > until:
                raise
            time.sleep(POLL)
    return {(o.topic, o.partition): o.offset for o in offsets if o.offset >= 0}


def start(held: Mapping[Place, Extent], committed_at: Mapping[Place, int]) -> tuple[dict[Place, int], int]:
    """Where to go on, and how many records were deleted before they were read."""
    positions, gone = {}, 0
    for place, extent in held.items():
        at = committed_at.get(place, extent.low)
        gone += max(extent.low - at, 0)
        positions[place] = at if extent.low <= at <= extent.high else extent.low
    return positions, gone


def since(consumer: Consumer, where: Iterable[Place], millis: int) -> dict[Place, int]:
    """The first offset with a record from this time on, for the partitions that have one."""
    asked = [TopicPartition(topic, partition, max(millis, 0)) for topic, partition in where]
    offsets = consumer.offsets_for_times(asked, timeout=ANSWER)
    return {(o.topic, o.partition): o.offset for o in offsets if o.offset >= 0}


def first_records(consumer: Consumer, positions: Mapping[Place, int]) -> dict[Place, Message]:
    """The record that comes next in each partition; none for a partition that is at its end."""
    records = Records(consumer, positions)
    first: dict[Place, Message] = {}
    until = time.monotonic() + ANSWER
    while records.unread - first.keys():
        if time.monotonic() > until:
            raise KafkaUnusable("the broker does not give out records: check that all of its partitions are online")
        for message in records.take(BATCH, POLL):
            first.setdefault(place_of(message), message)
    return first


def first_times(consumer: Consumer, positions: Mapping[Place, int]) -> dict[Place, int]:
    """The time (ms) of the record that comes next in each partition; none for a partition that is at its end."""
    return {place: time_of(message) for place, message in first_records(consumer, positions).items()}


def place_of(message: Message) -> Place:
    """Where a record stands."""
    return message.topic() or "", message.partition() or 0


def offset_of(message: Message) -> int:
    """The offset of a record."""
    offset = message.offset()
    return OFFSET_INVALID if offset is None else offset


def time_of(message: Message) -> int:
    """The time of a record in ms; topics older than Kafka 0.10 have none, that is 0."""
    return max(message.timestamp()[1], 0)


class Records:
    """The records from positions on. With `ends` (offsets behind the last) `unread` shrinks to nothing there."""

    def __init__(
        self,
        consumer: Consumer,
        positions: Mapping[Place, int],
        ends: Mapping[Place, int] | None = None,
        progress: Progress | None = None,
        clock: ReadClock[Place] | None = None,
    ) -> None:
        self._consumer = consumer
        self._ends = ends or {}
        self._progress = progress
        self._clock = clock
        self.positions = dict(positions)
        self.unread = {p for p, at in positions.items() if at < self._ends.get(p, at + 1)}
        consumer.assign([TopicPartition(*place, at) for place, at in positions.items()])

    def take(self, most: int, seconds: float) -> list[Message]:
        """The next records, at most so many; maybe none. Raises KafkaUnusable for what waiting does not mend."""
        return [message for message in self._consumer.consume(most, seconds) if self._is_record(message)]

    def behind(self) -> int:
        """Records that were there when the broker last answered and are not read yet."""
        behind = 0
        for place, at in self.positions.items():
            _, high = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            behind += max(high - at, 0)
        return behind

    def _is_record(self, message: Message) -> bool:
        error = message.error()
        place = place_of(message)
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            if error.code() in _HOPELESS:
                raise KafkaUnusable(
                    f"{place[0]} cannot be read any more ({error.str()}): check the topic and its rights"
                )
            return False
        if self._progress:
            self._progress.records()
        if error is not None:
            self._end(place)
            return False
        self.positions[place] = offset_of(message) + 1
        if self._clock:
            self._clock.read(place, time_of(message))
        if self.positions[place] >= self._ends.get(place, self.positions[place] + 1):
            self.unread.discard(place)
        return True

    def _end(self, place: Place) -> None:
        self.unread.discard(place)
        if self._clock:
            self._clock.ended(place)
