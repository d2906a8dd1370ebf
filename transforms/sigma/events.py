"""The event as rules see it, whatever shape it came in."""

from __future__ import annotations

from typing import Any

import msgspec

from huntbeam.schemas.dead_letter import RecordError
from huntbeam.schemas.values import Json, integer, text
from huntbeam.schemas.winlog import DEPTH, WinlogEvent, mend

SYSMON = "Microsoft-Windows-Sysmon/Operational"
SECURITY = "Security"
POWERSHELL = "Microsoft-Windows-PowerShell/Operational"

# Where every event has named data that say all; elsewhere rules also ask for what the envelope has.
_NAMED = frozenset(name.lower() for name in (SYSMON, SECURITY, POWERSHELL))

# Shapes that lose the channel keep the provider.
_CHANNELS = {
    "microsoft-windows-sysmon": SYSMON,
    "microsoft-windows-security-auditing": SECURITY,
    "microsoft-windows-powershell": POWERSHELL,
}

_LEVELS = {"critical": 1, "error": 2, "warning": 3, "information": 4, "info": 4, "verbose": 5}
_LEVEL_PATHS = (("Event", "System", "Level"), ("Level",), ("level",), ("log", "level"), ("Severity",))
_MESSAGE_PATHS = (("message",), ("Message",), ("Event", "RenderingInfo", "Message"))
_USER_DATA_PATHS = (("winlog", "user_data"), ("user_data",), ("Event", "UserData"))


class SigmaEvent(msgspec.Struct, frozen=True):
    """One event: its data as they stand, and the names that rules have for the rest.

    `fields` has Computer, Channel, Provider_Name and EventID. On channels whose events have no or unnamed data it has
    Level (1 to 5), Message, the fields of UserData, and the unnamed values as Data.
    """

    provider: str | None
    channel: str | None
    event_id: int
    fields: dict[str, Json]


def sigma_event(event: WinlogEvent) -> SigmaEvent:
    """The event for the matcher. Never fails: an event without data has the envelope's fields alone."""
    try:
        fields = event.data()
    except RecordError:
        fields = {}
    channel = channel_of(event.provider, event.channel)
    if not fields or channel is None or channel.lower() not in _NAMED:
        fields = _with_the_rest(event, fields)
    if "EventTypeOrignal" in fields:  # NXLog renames (and misspells) what its own EventType hides
        fields["EventType"] = fields.pop("EventTypeOrignal")
    fields["Computer"] = event.host
    fields["Channel"] = channel
    fields["Provider_Name"] = event.provider
    fields["EventID"] = event.event_id
    return SigmaEvent(event.provider, channel, event.event_id, fields)


def channel_of(provider: str | None, channel: str | None) -> str | None:
    """The channel, also of shapes that lose it."""
    return channel or _CHANNELS.get((provider or "").lower())


def _with_the_rest(event: WinlogEvent, data: dict[str, Json]) -> dict[str, Json]:
    try:
        envelope = _record(_envelope(event))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return data
    message = text(_first(envelope, _MESSAGE_PATHS))
    fields = {**_user_data(_first(envelope, _USER_DATA_PATHS)), **data}
    unnamed = _unnamed(envelope, fields) or (message if not fields else None)
    if unnamed:
        fields.setdefault("Data", unnamed)
    if message:
        fields.setdefault("Message", message)
    level = _first(envelope, _LEVEL_PATHS)
    known = _LEVELS.get(level.lower()) if isinstance(level, str) else None
    if (known or integer(level)) is not None:
        fields.setdefault("Level", known or integer(level))
    return fields


class _Winlog(msgspec.Struct):
    user_data: Any = None


class _Envelope(msgspec.Struct):
    """What is asked of an envelope; event data, most of a record, are skipped unread."""

    source: Any = msgspec.field(default=None, name="_source")
    message: Any = None
    Message: Any = None
    winlog: _Winlog | None = None
    user_data: Any = None
    Event: Any = None
    Level: Any = None
    level: Any = None
    log: Any = None
    Severity: Any = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode


def _envelope(event: WinlogEvent) -> Json:
    try:
        found = _decode_envelope(mend(event.raw))
    except msgspec.ValidationError:  # of a form that no shape has
        return event.envelope()
    fields = {name: getattr(found, name) for name in _Envelope.__struct_fields__}
    return {**fields, "_source": found.source, "winlog": found.winlog and {"user_data": found.winlog.user_data}}


def _record(envelope: Json) -> Json:
    """The record in the envelopes of exports and forwarders, as schemas/winlog.py finds it."""
    for _ in range(DEPTH):
        inner = _dig(envelope, ("_source",))
        if inner is None and isinstance(message := _dig(envelope, ("message",)), str) and message.lstrip()[:1] == "{":
            try:
                inner = msgspec.json.decode(message)
            except msgspec.DecodeError:
                return envelope
        if not isinstance(inner, dict):
            return envelope
        envelope = inner
    return envelope


def _unnamed(envelope: Any, fields: dict[str, Json]) -> Json:
    """The values of event data without names: Winlogbeat calls them param1, param2; converters keep them in a list."""
    numbered: list[Json] = []
    while (name := f"param{len(numbered) + 1}") in fields:
        numbered.append(fields[name])
    if numbered:
        return numbered
    bare = _dig(envelope, ("Event", "EventData", "Data"))
    return bare.get("#text") if isinstance(bare, dict) else bare


def _user_data(found: Json) -> dict[str, Json]:
    """The fields of UserData, which stand below one element of their own where a converter keeps it."""
    if not isinstance(found, dict):
        return {}
    inner = [value for name, value in found.items() if isinstance(value, dict) and not name.startswith("#")]
    fields = inner[0] if len(inner) == 1 else found
    return {name: value for name, value in fields.items() if name != "xml_name" and not name.startswith("#")}


def _first(envelope: Any, paths: tuple[tuple[str, ...], ...]) -> Json:
    return next((found for path in paths if (found := _dig(envelope, path)) is not None), None)


def _dig(envelope: Any, path: tuple[str, ...]) -> Json:
    for name in path:
        envelope = envelope.get(name) if isinstance(envelope, dict) else None
    return envelope
