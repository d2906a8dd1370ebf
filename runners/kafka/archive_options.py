"""What `huntbeam archive` is asked to do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from huntbeam.runners.kafka.landing import Chunk
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.streams import STREAMS
from huntbeam.transforms.row_writers import Format
from huntbeam.transforms.topic_rows import topic_name


@dataclass(frozen=True)
class Roll:
    """When a file is complete: whichever comes first."""

    rows: int
    bytes: int
    seconds: float

    def full(self, chunk: Chunk) -> bool:
        """Whether it holds enough."""
        return chunk.rows >= self.rows or chunk.bytes >= self.bytes

    def old(self, chunk: Chunk) -> bool:
        """Whether it has been open for long enough."""
        return time.monotonic() - chunk.opened >= self.seconds


@dataclass(frozen=True)
class ArchiveOptions:
    """What `huntbeam archive` was asked to do."""

    output: str
    topics: tuple[str, ...]  # NAME or NAME=STREAM; none: whichever streams have a topic
    topic_prefix: str
    format: Format
    group_id: str | None
    roll: Roll
    dedupe_window_ms: int
    follow: bool
    quiet: bool

    @property
    def group(self) -> str:
        """One for each output folder: two archives do not take each other's records."""
        if self.group_id:
            return self.group_id
        return f"huntbeam-archive-{sha256(str(Path(self.output).resolve()).encode()).hexdigest()[:12]}"


def streams_of(topics: Sequence[str], prefix: str) -> dict[str, str]:
    """Topic -> stream, as named by --topic. Raises UnusableError."""
    named: dict[str, str] = {}
    for written in topics:
        topic, equals, stream = written.partition("=")
        stream = stream if equals else _stream_of(topic, prefix)
        if stream not in STREAMS:
            raise UnusableError(
                f"--topic {written}: which stream it holds is not known from its name; write {topic}=STREAM, "
                f"where STREAM is one of {', '.join(STREAMS)}"
            )
        if stream in named.values() and named.get(topic) != stream:
            raise UnusableError(
                f"--topic {written}: there is another topic for {stream}; land it into another --output"
            )
        named[topic] = stream
    return named


def _stream_of(topic: str, prefix: str) -> str:
    """The stream that a topic is named after, in any case; other names are no stream's."""
    named = {topic_name(stream).lower(): stream for stream in STREAMS}
    plain = topic.removeprefix(prefix).lower()
    return named.get(plain, plain)
