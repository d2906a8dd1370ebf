"""The envelope of a record: the fields by which its shape is told, of all shapes, decoded as far as it can be.

Event data are decoded with it where that is possible: it takes no longer than to skip them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from huntbeam.schemas.dead_letter import RecordError
from huntbeam.schemas.values import text

STEP = "parse"
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError)
NULL = msgspec.Raw(b"null")

Decoded = TypeVar("Decoded")


class Winlog(msgspec.Struct):
    """What Winlogbeat 7 and 8 keep below `winlog`."""

    provider_name: str | None = None
    event_id: Any = None
    channel: str | None = None
    computer_name: str | None = None
    record_id: Any = None
    event_data: Any = None
    user_data: msgspec.Raw = NULL


class Envelope(msgspec.Struct):
    """Every field by which a shape is told, of all shapes; msgspec skips the rest of the record unread."""

    timestamp: Any = msgspec.field(default=None, name="@timestamp")
    winlog: Winlog | None = None  # Winlogbeat 7 and 8
    event_id: Any = None  # Winlogbeat 6, from here
    source_name: str | None = None
    log_name: str | None = None
    computer_name: str | None = None
    record_number: Any = None
    event_data: Any = None
    EventID: Any = None  # flat shapes, from here
    SourceName: str | None = None
    Provider: str | None = None
    Channel: str | None = None
    Hostname: str | None = None
    Computer: str | None = None
    RecordNumber: Any = None
    EventRecordID: Any = None
    TimeCreated: Any = None
    EventTime: Any = None
    Event: msgspec.Raw = NULL  # EVTX converters
    source: msgspec.Raw = msgspec.field(default=NULL, name="_source")  # Elasticsearch exports
    message: msgspec.Raw = NULL  # forwarders that nest the record as text
    Message: msgspec.Raw = NULL  # by these no shape is told
    user_data: msgspec.Raw = NULL
    log: msgspec.Raw = NULL
    level: Any = None
    Level: Any = None
    Severity: Any = None


class _LenientWinlog(Winlog):
    """Its part of a lenient envelope."""

    provider_name: Any = None
    channel: Any = None
    computer_name: Any = None
    event_data: msgspec.Raw = NULL

    def __post_init__(self) -> None:
        _name(self, "provider_name", "channel", "computer_name")


class _LenientEnvelope(Envelope):
    """One with event data that cannot be decoded as they stand, or names that are no text."""

    winlog: _LenientWinlog | None = None
    source_name: Any = None
    log_name: Any = None
    computer_name: Any = None
    event_data: msgspec.Raw = NULL
    SourceName: Any = None
    Provider: Any = None
    Channel: Any = None
    Hostname: Any = None
    Computer: Any = None

    def __post_init__(self) -> None:
        _name(self, "source_name", "log_name", "computer_name")
        _name(self, "SourceName", "Provider", "Channel", "Hostname", "Computer")


class _OddEnvelope(_LenientEnvelope):
    """One whose `winlog` is no object, which says nothing of a shape."""

    winlog: Any = None


def _name(part: Winlog | Envelope, *names: str) -> None:
    """Makes names text, whatever they were written as."""
    for name in names:
        setattr(part, name, text(getattr(part, name)))


# Fields of the flat shapes' envelope: NXLog, Logstash, PowerShell's TimeCreated export and the Azure array.
_FLAT_ENVELOPE = """
    @timestamp @version @metadata AccountName AccountType ActivityID Category Channel Computer Domain
    ERROR_EVT_UNRESOLVED EventCategory EventData EventID EventReceivedTime EventRecordID EventSourceName EventTime
    ExecutionProcessID Hostname Keywords Level Message Opcode OpcodeValue Provider ProviderGuid
    RecordNumber RelatedActivityID Severity SeverityValue SourceModuleName SourceModuleType SourceName Task
    ThreadID TimeCreated TimeGenerated UserID Version agent beat ecs event fields file host input kafka log message
    offset path port tags topic type
"""
FLAT_ENVELOPE = frozenset(_FLAT_ENVELOPE.split())
# NXLog's own type and service pid, under names that registry events and Security 5156 have elsewhere.
NXLOG_ENVELOPE = FLAT_ENVELOPE | {"EventType", "ProcessID"}

decode = msgspec.json.Decoder(Envelope).decode
_decode_lenient = msgspec.json.Decoder(_LenientEnvelope).decode
_decode_odd = msgspec.json.Decoder(_OddEnvelope).decode


def decode_leniently(record: bytes) -> Envelope:
    """The envelope of a record whose event data or names cannot be decoded as they should. Raises RecordError."""
    try:
        return decode(record)
    except (RecursionError, *UNREADABLE):
        pass
    try:
        try:
            return _decode_lenient(record)
        except msgspec.ValidationError:
            return _decode_odd(record)
    except msgspec.MsgspecError as error:
        if isinstance(error, msgspec.ValidationError) and not record.lstrip().startswith(b"{"):
            raise RecordError(STEP, "NotAnObject", "the record is JSON, but no object") from error
        # msgspec's messages name the fault and the byte, never content
        raise RecordError(STEP, "InvalidJson", f"not valid JSON: {error}") from error


def decode_part(decoder: Callable[[bytes | msgspec.Raw], Decoded], part: msgspec.Raw) -> Decoded:
    """A part of a record that was left undecoded, mended where it has to be. Raises as msgspec does."""
    try:
        return decoder(part)
    except UNREADABLE:
        return decoder(mend(bytes(part)))


_SURROGATE = re.compile(rb"\\u[dD]")
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


def mend(record: bytes) -> bytes:
    """The record in valid UTF-8: foreign bytes and lone surrogates, which JSON can carry, become U+FFFD."""
    if not record.isascii():
        try:
            record.decode("utf-8")
        except UnicodeDecodeError:
            record = record.decode("utf-8", "replace").encode("utf-8")
    if _SURROGATE.search(record) is not None:  # thrice as fast as `in`: Windows' paths are full of backslashes
        return _ESCAPE.sub(lambda escape: b"\\ufffd" if escape[1] else escape[0], record)
    return record
