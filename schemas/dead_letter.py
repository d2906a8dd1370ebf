"""The dead letter: what could not be used, with its original bytes and why (docs/semantics.md, rule 14)."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Annotated

import msgspec

from huntbeam.schemas import uid
from huntbeam.schemas.record import Kind, column
from huntbeam.schemas.sysmon import EventUid, Position, Source

RAW_LIMIT = 256 * 1024  # bytes kept of the original


class DeadLetter(msgspec.Struct, frozen=True):
    """One unusable line, array element, record or torn end of a file."""

    event_uid: EventUid
    time: Annotated[str | None, column(Kind.INSTANT, "event time", "Event time of the record, where it could be read")]
    source: Source
    position: Position
    partition: Annotated[int | None, column(Kind.INTEGER, "Kafka", "Kafka partition; position is the offset then")]
    step: Annotated[str, column(Kind.TEXT, "computed", "Step that refused it: read, parse or rekey")]
    error_class: Annotated[str, column(Kind.TEXT, "computed", "What is wrong, one word")]
    message: Annotated[str, column(Kind.TEXT, "computed", "What is wrong, one sentence without content")]
    raw_b64: Annotated[str, column(Kind.TEXT, "record", "First 256 KiB of the original bytes, base64")]
    raw_length: Annotated[int, column(Kind.INTEGER, "record", "Length of the original in bytes")]
    raw_sha256: Annotated[str, column(Kind.TEXT, "record", "SHA-256 of the whole original")]
    raw_truncated: Annotated[bool, column(Kind.BOOLEAN, "record", "True when raw_b64 is not the whole")]


class RecordError(Exception):
    """A record cannot be used. `error_class` is one word for machines, the message one sentence without content."""

    def __init__(self, step: str, error_class: str, message: str, time: str | None = None) -> None:
        super().__init__(message)
        self.step = step
        self.error_class = error_class
        self.message = message
        self.time = time


class Original(msgspec.Struct, frozen=True):
    """The bytes a dead letter is about; `head` holds the first RAW_LIMIT of them."""

    head: bytes
    length: int
    sha256: str

    @classmethod
    def of(cls, raw: bytes | bytearray | memoryview) -> Original:
        """What is kept of the original bytes."""
        return cls(bytes(raw[:RAW_LIMIT]), len(raw), sha256(raw).hexdigest())


def dead_letter(
    error: RecordError, original: Original, source: str, position: int | None, partition: int | None = None
) -> DeadLetter:
    """The row of a refused record."""
    return DeadLetter(
        event_uid=uid.dead_letter(original.sha256, error.step, error.error_class),
        time=error.time,
        source=source,
        position=position,
        partition=partition,
        step=error.step,
        error_class=error.error_class,
        message=error.message,
        raw_b64=b64encode(original.head).decode("ascii"),
        raw_length=original.length,
        raw_sha256=original.sha256,
        raw_truncated=original.length > len(original.head),
    )
