"""The parsed event, and one function for each shape in which Windows events arrive.

A shape function takes the decoded envelope and says where host, channel, provider, ids, time and event data stand.
What cannot be used raises RecordError. The event data stays undecoded until a step asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from huntbeam.schemas.dead_letter import RecordError
from huntbeam.schemas.values import GUID_LENGTHS, Json, canonical, integer, text

STEP = "parse"
DEPTH = 3  # envelopes inside envelopes: an export of a forwarder's record is two

Decoded = TypeVar("Decoded")

_NULL = msgspec.Raw(b"null")
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError)


class WinlogEvent(msgspec.Struct, frozen=True):
    """One Windows event, whatever its shape."""

    host: str | None  # source computer, never the collector
    channel: str | None
    provider: str | None
    event_id: int
    record_id: int | str | None
    time: str | int | None  # the record's own, as written
    event_data: msgspec.Raw  # JSON object; the whole record where the fields stand at its top level
    flat: bool
    raw: bytes
    envelope: Envelope | None = None  # of the record itself, for the steps that ask for more (schemas/winlog_more.py)

    def data(self) -> dict[str, Json]:
        """The event data as it stands, without the envelope's fields. Raises RecordError where there is none."""
        try:
            fields: dict[str, Json] | None = decode_part(_decode_data, self.event_data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RecordError(STEP, "InvalidEventData", "the event data is no JSON object") from error
        if not fields:
            raise RecordError(STEP, "NoEventData", "the record has no event data")
        if not self.flat:
            return fields
        envelope = NXLOG_ENVELOPE if "SourceModuleType" in fields else FLAT_ENVELOPE
        return {k: v for k, v in fields.items() if k not in envelope}

    def process_id_in_message(self) -> str | None:
        """The process id that NXLog drops from the fields, since its own has the same name; the text still has it."""
        if not self.flat:
            return None
        message = text(decode_part(_decode_message, self.event_data).Message)
        match = _PROCESS_ID.search(message) if message else None
        return match[1] if match else None


def identifying(data: dict[str, Json]) -> dict[str, str]:
    """Event data as event_uid sees it: text, without null and empty values, GUIDs canonical.

    Most values are text that no GUID can be: those need no call, of a dozen or two an event.
    """
    return {
        name: value
        for name, raw in data.items()
        if (value := raw if raw.__class__ is str and len(raw) not in GUID_LENGTHS else canonical(raw))
    }


class _Message(msgspec.Struct):
    Message: Any = None


_decode_message = msgspec.json.Decoder(_Message).decode
_PROCESS_ID = re.compile(r"^ProcessId: (\d{1,10})\r?$", re.MULTILINE | re.ASCII)


class Winlog(msgspec.Struct):
    """What Winlogbeat 7 and 8 keep below `winlog`."""

    provider_name: Any = None
    event_id: Any = None
    channel: Any = None
    computer_name: Any = None
    record_id: Any = None
    event_data: msgspec.Raw = _NULL
    user_data: msgspec.Raw = _NULL


class Envelope(msgspec.Struct):
    """Every field by which a shape is told, of all shapes; msgspec skips the rest of the record unread."""

    timestamp: Any = msgspec.field(default=None, name="@timestamp")
    winlog: Winlog | None = None  # Winlogbeat 7 and 8
    event_id: Any = None  # Winlogbeat 6, from here
    source_name: Any = None
    log_name: Any = None
    computer_name: Any = None
    record_number: Any = None
    event_data: msgspec.Raw = _NULL
    EventID: Any = None  # flat shapes, from here
    SourceName: Any = None
    Provider: Any = None
    Channel: Any = None
    Hostname: Any = None
    Computer: Any = None
    RecordNumber: Any = None
    EventRecordID: Any = None
    TimeCreated: Any = None
    EventTime: Any = None
    Event: msgspec.Raw = _NULL  # EVTX converters
    source: msgspec.Raw = msgspec.field(default=_NULL, name="_source")  # Elasticsearch exports
    message: msgspec.Raw = _NULL  # forwarders that nest the record as text
    Message: msgspec.Raw = _NULL  # by these no shape is told
    user_data: msgspec.Raw = _NULL
    log: msgspec.Raw = _NULL
    level: Any = None
    Level: Any = None
    Severity: Any = None


class _OddEnvelope(Envelope):
    """One whose `winlog` is no object, which says nothing of a shape."""

    winlog: Any = None


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

_decode_envelope = msgspec.json.Decoder(Envelope).decode
_decode_odd_envelope = msgspec.json.Decoder(_OddEnvelope).decode
_decode_data = msgspec.json.Decoder(dict[str, Any] | None).decode


def parse_record(raw: bytes) -> WinlogEvent:
    """One record, of any shape. Raises RecordError for what is no event."""
    try:
        return _parse(raw, raw, DEPTH)
    except RecursionError as error:
        raise RecordError(STEP, "InvalidJson", "not valid JSON: nested too deeply") from error


def _parse(raw: bytes, record: bytes, depth: int) -> WinlogEvent:
    """Few records need mending, and to look for it takes as long as to decode: those that fail are mended."""
    try:
        return _shaped(raw, record, depth)
    except (RecordError, *_UNREADABLE):
        mended = mend(record)
        if mended == record:
            raise
        return _shaped(raw, mended, depth)


def _shaped(raw: bytes, record: bytes, depth: int) -> WinlogEvent:
    envelope = _decode(record)
    for shape in (winlogbeat7, winlogbeat6, flat, evtx):
        event = shape(envelope, record, raw)
        if event is not None:
            return event
    inner = nested(envelope, record) if depth else None
    if inner is None:
        raise RecordError(STEP, "UnknownShape", "the record has no event id in any known place")
    return _parse(raw, inner, depth - 1)


def decode_part(decode: Callable[[bytes | msgspec.Raw], Decoded], part: msgspec.Raw) -> Decoded:
    """A part of a record that was left undecoded, mended where it has to be. Raises as msgspec does."""
    try:
        return decode(part)
    except _UNREADABLE:
        return decode(mend(bytes(part)))


def _decode(record: bytes) -> Envelope:
    try:
        try:
            return _decode_envelope(record)
        except msgspec.ValidationError:
            return _decode_odd_envelope(record)
    except msgspec.MsgspecError as error:
        if isinstance(error, msgspec.ValidationError) and not record.lstrip().startswith(b"{"):
            raise RecordError(STEP, "NotAnObject", "the record is JSON, but no object") from error
        # msgspec's messages name the fault and the byte, never content
        raise RecordError(STEP, "InvalidJson", f"not valid JSON: {error}") from error


def winlogbeat7(envelope: Envelope, _record: bytes, raw: bytes) -> WinlogEvent | None:
    """Winlogbeat 7 and 8: everything below `winlog`; the ids are numbers or text."""
    winlog = envelope.winlog
    if not isinstance(winlog, Winlog) or winlog.event_id is None:
        return None
    return WinlogEvent(
        host=text(winlog.computer_name),
        channel=text(winlog.channel),
        provider=text(winlog.provider_name),
        event_id=_event_id(winlog.event_id),
        record_id=_record_id(winlog.record_id),
        time=_own_time(envelope.timestamp),
        event_data=winlog.event_data,
        flat=False,
        raw=raw,
        envelope=envelope,
    )


def winlogbeat6(envelope: Envelope, _record: bytes, raw: bytes) -> WinlogEvent | None:
    """Winlogbeat 6: at the top level; `host.name` and `beat.hostname` would be the collector."""
    if envelope.event_id is None:
        return None
    return WinlogEvent(
        host=text(envelope.computer_name),
        channel=text(envelope.log_name),
        provider=text(envelope.source_name),
        event_id=_event_id(envelope.event_id),
        record_id=_record_id(envelope.record_number),
        time=_own_time(envelope.timestamp),
        event_data=envelope.event_data,
        flat=False,
        raw=raw,
        envelope=envelope,
    )


def flat(envelope: Envelope, record: bytes, raw: bytes) -> WinlogEvent | None:
    """NXLog, TimeCreated exports and the Azure array: event data beside the envelope's fields."""
    if envelope.EventID is None:
        return None
    return WinlogEvent(
        host=text(envelope.Hostname) or text(envelope.Computer),
        channel=text(envelope.Channel),
        provider=text(envelope.SourceName) or text(envelope.Provider),
        event_id=_event_id(envelope.EventID),
        record_id=_record_id(envelope.RecordNumber, envelope.EventRecordID),
        time=_own_time(envelope.timestamp, envelope.TimeCreated, envelope.EventTime),
        event_data=msgspec.Raw(record),
        flat=True,
        raw=raw,
        envelope=envelope,
    )


class _Text(msgspec.Struct):
    text: Any = msgspec.field(default=None, name="#text")


class _Attributes(msgspec.Struct):
    name: Any = msgspec.field(default=None, name="Name")
    system_time: Any = msgspec.field(default=None, name="SystemTime")


class _Attributed(msgspec.Struct):
    attributes: _Attributes = msgspec.field(default_factory=_Attributes, name="#attributes")


class _System(msgspec.Struct):
    Provider: _Attributed = msgspec.field(default_factory=_Attributed)
    EventID: int | str | _Text | None = None
    Channel: Any = None
    Computer: Any = None
    EventRecordID: Any = None
    TimeCreated: _Attributed = msgspec.field(default_factory=_Attributed)


class _Event(msgspec.Struct):
    System: _System | None = None
    EventData: msgspec.Raw = _NULL


_decode_event = msgspec.json.Decoder(_Event | None).decode
_decode_elements = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def evtx(envelope: Envelope, _record: bytes, raw: bytes) -> WinlogEvent | None:
    """What EVTX converters write: `Event.System` and `Event.EventData`, attributes below `#attributes`."""
    try:
        event = _decode_event(envelope.Event)
    except msgspec.MsgspecError:
        return None
    if event is None or event.System is None or event.System.EventID is None:
        return None
    system = event.System
    event_id = system.EventID.text if isinstance(system.EventID, _Text) else system.EventID
    return WinlogEvent(
        host=text(system.Computer),
        channel=text(system.Channel),
        provider=text(system.Provider.attributes.name),
        event_id=_event_id(event_id),
        record_id=_record_id(system.EventRecordID),
        time=_own_time(system.TimeCreated.attributes.system_time),
        event_data=_named(event.EventData),
        flat=False,
        raw=raw,
        envelope=envelope,
    )


def _named(event_data: msgspec.Raw) -> msgspec.Raw:
    """The fields of EventData. What has no name is none: its attributes, its own text, the values of a bare `Data`."""
    raw = bytes(event_data)
    if raw.startswith(b'"'):
        return _NULL
    if not raw.startswith(b"{") or (b'"#' not in raw and b'"Data"' not in raw):
        return event_data
    elements = _decode_elements(raw)
    bare = bytes(elements.get("Data", _NULL)).startswith((b"{", b"["))
    return msgspec.Raw(
        msgspec.json.encode({k: v for k, v in elements.items() if not k.startswith("#") and not (bare and k == "Data")})
    )


def nested(envelope: Envelope, record: bytes) -> bytes | None:
    """The record inside: below `_source`, as text in `message`, or with dotted names in place of objects."""
    if bytes(envelope.source).startswith(b"{"):
        return bytes(envelope.source)
    if bytes(envelope.message).startswith(b'"'):
        inner = msgspec.json.decode(envelope.message, type=str).strip()
        if inner.startswith("{"):
            return inner.encode()
    return _undotted(record)


def _undotted(record: bytes) -> bytes | None:
    """`winlog.event_data.Image` as a name, which exports of search hits write, becomes the object it stands for."""
    winlog: dict[str, Any] = {}
    event_data: dict[str, Any] = {}
    whole: dict[str, Any] = {"winlog": winlog}
    for name, value in msgspec.json.decode(record, type=dict[str, msgspec.Raw]).items():
        if name.startswith("winlog.event_data."):
            event_data[name.removeprefix("winlog.event_data.")] = value
        elif name.startswith("winlog."):
            winlog[name.removeprefix("winlog.")] = value
        elif "." not in name:
            whole[name] = value
    if not winlog:
        return None
    winlog.setdefault("event_data", event_data)
    return msgspec.json.encode(whole)


def _event_id(value: Json) -> int:
    number = integer(value)
    if number is None:
        raise RecordError(STEP, "InvalidEventId", "the event id is no number")
    return number


def _record_id(value: Json, other: Json = None) -> int | str | None:
    value = other if value is None else value
    number = integer(value)
    return number if number is not None else text(value)


def _own_time(value: Json, second: Json = None, third: Json = None) -> str | int | None:
    if value is None:
        value = third if second is None else second
    return value if isinstance(value, int) and not isinstance(value, bool) else text(value)


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
