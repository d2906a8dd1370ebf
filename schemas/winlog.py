"""The parsed event, and one function for each shape in which Windows events arrive.

A shape function takes the decoded envelope and says where host, channel, provider, ids, time and event data stand.
What cannot be used raises RecordError.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from huntbeam.schemas import envelope as envelopes
from huntbeam.schemas.dead_letter import RecordError
from huntbeam.schemas.envelope import (
    FLAT_ENVELOPE,
    NULL,
    NXLOG_ENVELOPE,
    STEP,
    UNREADABLE,
    Envelope,
    Winlog,
    decode_part,
    mend,
)
from huntbeam.schemas.values import GUID_LENGTHS, Json, canonical, first, integer, text

DEPTH = 3  # envelopes inside envelopes: an export of a forwarder's record is two


class WinlogEvent(msgspec.Struct, frozen=True):
    """One Windows event, whatever its shape."""

    host: str | None  # source computer, never the collector
    channel: str | None
    provider: str | None
    event_id: int
    written_id: Json  # the record's number, as it stands
    written_time: Json  # the record's own
    event_data: Any  # as decoded, or undecoded; the whole record where the fields stand at its top level
    flat: bool
    raw: bytes
    envelope: Envelope | None = None  # of the record itself, for the steps that ask for more (schemas/winlog_more.py)

    @property
    def record_id(self) -> int | str | None:
        """The number of the record in its log; null without one."""
        number = integer(self.written_id)
        return number if number is not None else text(self.written_id)

    @property
    def time(self) -> str | int | None:
        """The record's own time, as written."""
        written = self.written_time
        return written if isinstance(written, int) and not isinstance(written, bool) else text(written)

    def data(self) -> dict[str, Json]:
        """The event data as it stands, without the envelope's fields. Raises RecordError where there is none."""
        found = self.event_data
        try:
            if isinstance(found, msgspec.Raw):
                found = decode_part(_decode_data, found)
            elif found is not None and not isinstance(found, dict):
                found = msgspec.convert(found, _Data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RecordError(STEP, "InvalidEventData", "the event data is no JSON object") from error
        if not found:
            raise RecordError(STEP, "NoEventData", "the record has no event data")
        if not self.flat:
            return dict(found)  # who asks may write into it
        envelope = NXLOG_ENVELOPE if "SourceModuleType" in found else FLAT_ENVELOPE
        return {k: v for k, v in found.items() if k not in envelope}

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
_Data = dict[str, Any] | None
_decode_data = msgspec.json.Decoder(_Data).decode


def parse_record(raw: bytes) -> WinlogEvent:
    """One record, of any shape. Raises RecordError for what is no event."""
    try:
        try:
            return _shaped(envelopes.decode(raw), raw, raw, DEPTH)
        except (RecordError, RecursionError, *UNREADABLE):
            return _parse(raw, raw, DEPTH)  # few need as much
    except RecursionError as error:
        raise RecordError(STEP, "InvalidJson", "not valid JSON: nested too deeply") from error


def _parse(raw: bytes, record: bytes, depth: int) -> WinlogEvent:
    """Few records need mending, and to look for it takes as long as to decode: those that fail are mended."""
    try:
        return _shaped(envelopes.decode_leniently(record), record, raw, depth)
    except (RecordError, *UNREADABLE):
        mended = mend(record)
        if mended == record:
            raise
        return _shaped(envelopes.decode_leniently(mended), mended, raw, depth)


def _shaped(envelope: Envelope, record: bytes, raw: bytes, depth: int) -> WinlogEvent:
    event = (
        winlogbeat7(envelope, raw) or winlogbeat6(envelope, raw) or flat(envelope, record, raw) or evtx(envelope, raw)
    )
    if event is not None:
        return event
    inner = nested(envelope, record) if depth else None
    if inner is None:
        raise RecordError(STEP, "UnknownShape", "the record has no event id in any known place")
    return _parse(raw, inner, depth - 1)


def winlogbeat7(envelope: Envelope, raw: bytes) -> WinlogEvent | None:
    """Winlogbeat 7 and 8: everything below `winlog`; the ids are numbers or text."""
    winlog = envelope.winlog
    if not isinstance(winlog, Winlog) or winlog.event_id is None:
        return None
    return WinlogEvent(
        host=winlog.computer_name or None,
        channel=winlog.channel or None,
        provider=winlog.provider_name or None,
        event_id=_event_id(winlog.event_id),
        written_id=winlog.record_id,
        written_time=envelope.timestamp,
        event_data=winlog.event_data,
        flat=False,
        raw=raw,
        envelope=envelope,
    )


def winlogbeat6(envelope: Envelope, raw: bytes) -> WinlogEvent | None:
    """Winlogbeat 6: at the top level; `host.name` and `beat.hostname` would be the collector."""
    if envelope.event_id is None:
        return None
    return WinlogEvent(
        host=envelope.computer_name or None,
        channel=envelope.log_name or None,
        provider=envelope.source_name or None,
        event_id=_event_id(envelope.event_id),
        written_id=envelope.record_number,
        written_time=envelope.timestamp,
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
        host=envelope.Hostname or envelope.Computer or None,
        channel=envelope.Channel or None,
        provider=envelope.SourceName or envelope.Provider or None,
        event_id=_event_id(envelope.EventID),
        written_id=first(envelope.RecordNumber, envelope.EventRecordID),
        written_time=first(envelope.timestamp, envelope.TimeCreated, envelope.EventTime),
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
    EventData: msgspec.Raw = NULL


_decode_event = msgspec.json.Decoder(_Event | None).decode
_decode_elements = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def evtx(envelope: Envelope, raw: bytes) -> WinlogEvent | None:
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
        written_id=system.EventRecordID,
        written_time=system.TimeCreated.attributes.system_time,
        event_data=_named(event.EventData),
        flat=False,
        raw=raw,
        envelope=envelope,
    )


def _named(event_data: msgspec.Raw) -> msgspec.Raw:
    """The fields of EventData. What has no name is none: its attributes, its own text, the values of a bare `Data`."""
    raw = bytes(event_data)
    if raw.startswith(b'"'):
        return NULL
    if not raw.startswith(b"{") or (b'"#' not in raw and b'"Data"' not in raw):
        return event_data
    elements = _decode_elements(raw)
    bare = bytes(elements.get("Data", NULL)).startswith((b"{", b"["))
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
    number: int | None = value if value.__class__ is int and 0 <= value <= 0xFFFF else integer(value)
    if number is None:
        raise RecordError(STEP, "InvalidEventId", "the event id is no number")
    return number
