"""Landing topics as files, each row once.

Offsets are committed when the files up to them have their names. The committed offsets are for others to watch and for
ranges without a row; where files say more, the files count (huntbeam.runners.kafka.landing).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from huntbeam.runners.kafka import clients
from huntbeam.runners.kafka.archive_options import ArchiveOptions, streams_of
from huntbeam.runners.kafka.archive_rows import identities, identity_of, typed_row
from huntbeam.runners.kafka.attended import INTERRUPTED, Progress, Stop
from huntbeam.runners.kafka.clients import ANSWER
from huntbeam.runners.kafka.landing import Chunk, Folder, Landed, Origin
from huntbeam.runners.kafka.reading import (
    BATCH,
    POLL,
    READER,
    Extent,
    Place,
    Records,
    committed,
    extents,
    first_times,
    offset_of,
    place_of,
    places,
    start,
    time_of,
)
from huntbeam.runners.kafka.seen import ReadClock, SeenSet
from huntbeam.schemas.dead_letter import Original, RecordError, dead_letter
from huntbeam.schemas.ecs import as_columns
from huntbeam.schemas.streams import STREAMS
from huntbeam.transforms.topic_rows import decode_value, topic_name

HELD_BYTES = 256 * 1024 * 1024  # of records in files that are still open, all together
SETTLE = 10.0  # seconds for the last commit
CUT = "truncated_fields"


@dataclass
class Tally:
    """What became of records."""

    read: int = 0
    landed: int = 0
    files: int = 0
    repeats: int = 0
    undecodable: int = 0
    nulls: int = 0
    cut: int = 0

    def __str__(self) -> str:
        rest = (
            (self.undecodable, "undecodable"),
            (self.nulls, "without a value"),
            (self.cut, "with texts that the job had cut"),
        )
        said = [f"{self.read:,} records read, {self.landed:,} rows landed in {self.files:,} files"]
        said += [f"{self.repeats:,} repeats left out", *(f"{count:,} {what}" for count, what in rest if count)]
        return ", ".join(said)


def _topics_there(admin: AdminClient, prefix: str) -> dict[str, str]:
    """Topic -> stream, of the streams that have one. Raises KafkaUnusable when none has."""
    known = admin.list_topics(timeout=ANSWER).topics
    named = {topic_name(stream, prefix): stream for stream in STREAMS}
    found = {topic: stream for topic, stream in named.items() if topic in known}
    if not found:
        raise clients.KafkaUnusable(
            f"none of the streams' topics is there ({next(iter(named))}, ...): check --topic_prefix, "
            "or make them with `huntbeam topics create`"
        )
    return found


def _origins(admin: AdminClient, streams: Mapping[str, str]) -> dict[str, Origin]:
    described = admin.describe_topics(TopicCollection(list(streams)), request_timeout=ANSWER)
    return {streams[topic]: Origin(topic, str(future.result(ANSWER).topic_id)) for topic, future in described.items()}


def run_archive(options: ArchiveOptions, config: Mapping[str, Any]) -> int:
    """Lands until the topics' ends, or until it is asked to stop; returns the exit code. Raises UnusableError."""
    progress = Progress("landed", options.quiet)
    clients.check_broker(config)
    admin = clients.admin(config)
    with clients.explained(config), Stop() as stop, ExitStack() as opened:
        topics = streams_of(options.topics, options.topic_prefix) or _topics_there(admin, options.topic_prefix)
        where = places(admin, topics)
        folder = opened.enter_context(Folder(options.output, _origins(admin, topics)))
        seen = opened.enter_context(closing(SeenSet(options.dedupe_window_ms)))
        archive = opened.enter_context(closing(_Archive(options, config, topics, folder, seen, progress)))
        ended = archive.run(stop, extents(admin, where))
    progress.say(f"{archive.tally}, {progress.seconds:.1f} s")
    return 0 if ended or options.follow else INTERRUPTED


class _Archive:
    """One run."""

    def __init__(
        self,
        options: ArchiveOptions,
        config: Mapping[str, Any],
        streams: Mapping[str, str],
        folder: Folder,
        seen: SeenSet,
        progress: Progress,
    ) -> None:
        self._options = options
        self._streams = streams  # by topic
        self._folder = folder
        self._seen = seen
        self._progress = progress
        own = {"group.id": options.group, "error_cb": progress.broker, "on_commit": self._on_commit}
        self._consumer = clients.consumer({**config, **READER, **own})
        self._chunks: dict[Place, Chunk] = {}
        self._due: dict[Place, int] = {}  # offsets that are to be committed
        self._asked = 0.0  # when they were last sent
        self.tally = Tally()

    def run(self, stop: Stop, held: Mapping[Place, Extent]) -> bool:
        """Lands what the partitions hold; returns whether it came to the ends."""
        landed = {(topic, file.partition): file for topic in self._streams for file in self._last_files(topic)}
        positions = self._positions(held, landed)
        first = first_times(self._consumer, positions)
        self._recall(min(first.values(), default=time.time_ns() // 1_000_000))
        self._clock = ReadClock(held, first)
        ends = {} if self._options.follow else {place: extent.high for place, extent in held.items()}
        self._records = Records(self._consumer, positions, ends, self._progress, self._clock)
        while not stop.asked and (self._options.follow or self._records.unread):
            self._step()
        for place in list(self._chunks):
            self._land(place)
        self._settle()
        return not self._records.unread

    def close(self) -> None:
        """Abandons what did not land."""
        for chunk in self._chunks.values():
            chunk.abandon()
        self._consumer.close()

    def _last_files(self, topic: str) -> list[Landed]:
        """The file of each partition that goes furthest."""
        furthest: dict[int, Landed] = {}
        for file in self._folder.landed(self._streams[topic]):
            if file.last >= furthest.get(file.partition, file).last:
                furthest[file.partition] = file
        return list(furthest.values())

    def _positions(self, held: Mapping[Place, Extent], landed: Mapping[Place, Landed]) -> dict[Place, int]:
        """Where to go on: behind what was committed and behind what has landed, whichever is more."""
        known = committed(self._consumer, held)
        for place, file in landed.items():
            if file.last >= known.get(place, 0):  # killed between landing and committing, or another group
                known[place] = self._due[place] = file.last + 1
        positions, gone = start(held, known)
        if gone:
            self._progress.say(f"{gone:,} records were deleted by their topics' retention before they were read")
        return positions

    def _recall(self, first: int) -> None:
        """The rows that landed within the window before the first record; a file is younger than its records."""
        for stream in self._streams.values():
            for file in self._folder.landed(stream):
                millis = file.path.stat().st_mtime_ns // 1_000_000
                if millis < first - self._options.dedupe_window_ms:
                    continue
                for row in identities(file.path, stream):
                    self._seen.admit(row, millis)

    def _step(self) -> None:
        for message in self._records.take(BATCH, POLL):
            self._take(message)
        low = self._clock.low()
        if low is not None:
            self._seen.forget(low)
        for place in [place for place, chunk in self._chunks.items() if self._options.roll.old(chunk)]:
            self._land(place)
        while sum(chunk.bytes for chunk in self._chunks.values()) > HELD_BYTES:
            self._land(max(self._chunks, key=lambda place: self._chunks[place].bytes))
        self._commit()
        if self._progress.due():
            self._progress.update(self.tally.read, self.tally.landed, self._records.behind())

    def _take(self, message: Message) -> None:
        place, offset = place_of(message), offset_of(message)
        stream = self._streams[place[0]]
        chunk = self._chunks.get(place)
        if chunk is None:
            chunk = Chunk(self._folder, stream, *place, offset, self._options.format)
            self._chunks[place] = chunk
        value = message.value()
        chunk.took(offset, len(value or b""))
        self.tally.read += 1
        if value is None:
            self.tally.nulls += 1
        else:
            self._row(chunk, stream, value, message)
        if self._options.roll.full(chunk):
            self._land(place)

    def _row(self, chunk: Chunk, stream: str, value: bytes, message: Message) -> None:
        try:
            row = as_columns(decode_value(value))
            typed = typed_row(row, stream)
        except RecordError as error:
            topic, partition = place_of(message)
            letter = dead_letter(error, Original.of(value), f"kafka:{topic}", offset_of(message), partition)
            chunk.refuse(letter)
            self.tally.undecodable += 1
            return
        known = identity_of(typed, stream)
        if known and not self._seen.admit(known, time_of(message)):
            self.tally.repeats += 1
            return
        chunk.add(typed)
        self.tally.cut += CUT in row

    def _land(self, place: Place) -> None:
        chunk = self._chunks.pop(place)
        try:
            self.tally.files += chunk.land()
        except BaseException:
            chunk.abandon()
            raise
        self.tally.landed += chunk.rows
        self._due[place] = chunk.last + 1
        self._asked = 0.0

    def _commit(self) -> None:
        """Sends what is due; what the broker does not confirm is sent again."""
        if self._due and time.monotonic() - self._asked >= SETTLE:
            self._asked = time.monotonic()
            self._consumer.commit(offsets=[TopicPartition(*p, at) for p, at in self._due.items()], asynchronous=True)

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        if error is not None:
            self._progress.broker(error)
            return
        for partition in partitions:
            place = partition.topic, partition.partition
            if partition.error is None and self._due.get(place) == partition.offset:
                del self._due[place]

    def _settle(self) -> None:
        """Waits for the last commit. Without it nothing is lost: the files' names tell where to go on."""
        self._consumer.unassign()
        self._asked = 0.0
        until = time.monotonic() + SETTLE
        while self._due and time.monotonic() < until:
            self._commit()
            self._consumer.poll(POLL / 10)
        if self._due:
            self._progress.say("the broker is away: the last offsets are committed by the next run")
