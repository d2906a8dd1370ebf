"""The event as rules see it, whatever shape it came in."""

from __future__ import annotations

import msgspec

from huntbeam.schemas.dead_letter import RecordError
from huntbeam.schemas.values import Json, integer, text
from huntbeam.schemas.winlog import WinlogEvent
from huntbeam.schemas.winlog_more import more

SYSMON = "Microsoft-Windows-Sysmon/Operational"
SECURITY = "Security"
POWERSHELL = "Microsoft-Windows-PowerShell/Operational"

ENVELOPE = 4  # fields, which data may have themselves

# Where every event has named data that say all; elsewhere rules also ask for what the envelope has.
_NAMED = frozenset(name for known in (SYSMON, SECURITY, POWERSHELL) for name in (known, known.lower()))

# Shapes that lose the channel keep the provider.
_CHANNELS = {
    "microsoft-windows-sysmon": SYSMON,
    "microsoft-windows-security-auditing": SECURITY,
    "microsoft-windows-powershell": POWERSHELL,
}

_LEVELS = {"critical": 1, "error": 2, "warning": 3, "information": 4, "info": 4, "verbose": 5}


class SigmaEvent(msgspec.Struct, frozen=True):
    """One event: its data as they stand, and the names that rules have for the rest.

    `fields` has Computer, Channel, Provider_Name and EventID. On channels whose events have no or unnamed data it has
    Level (1 to 5), Message, the fields of UserData, and the unnamed values as Data.
    """

    provider: str | None
    channel: str | None
    event_id: int
    fields: dict[str, Json]
    envelope: int = 0  # of the fields so many at the end are the envelope's, the same in many events


def sigma_event(event: WinlogEvent) -> SigmaEvent:
    """The event for the matcher. Never fails: an event without data has the envelope's fields alone."""
    try:
        fields = event.data()
    except RecordError:
        fields = {}
    channel = channel_of(event.provider, event.channel)
    if not fields or (channel not in _NAMED and (channel or "").lower() not in _NAMED):
        fields = _with_the_rest(event, fields)
    if "EventTypeOrignal" in fields:  # NXLog renames (and misspells) what its own EventType hides
        fields["EventType"] = fields.pop("EventTypeOrignal")
    own = len(fields)
    fields["Computer"] = event.host
    fields["Channel"] = channel
    fields["Provider_Name"] = event.provider
    fields["EventID"] = event.event_id
    envelope = len(fields) - own
    return SigmaEvent(event.provider, channel, event.event_id, fields, envelope if envelope == ENVELOPE else 0)


def channel_of(provider: str | None, channel: str | None) -> str | None:
    """The channel, also of shapes that lose it."""
    return channel or _CHANNELS.get((provider or "").lower())


def _with_the_rest(event: WinlogEvent, data: dict[str, Json]) -> dict[str, Json]:
    rest = more(event)
    message = text(rest.message)
    fields = {**_user_data(rest.user_data), **data}
    unnamed = _numbered(fields) or rest.unnamed or (message if not fields else None)
    if unnamed:
        fields.setdefault("Data", unnamed)
    if message:
        fields.setdefault("Message", message)
    level = rest.level
    known = _LEVELS.get(level.lower()) if isinstance(level, str) else None
    if (known or integer(level)) is not None:
        fields.setdefault("Level", known or integer(level))
    return fields


def _numbered(fields: dict[str, Json]) -> list[Json]:
    """The values of event data without names, which Winlogbeat calls param1, param2."""
    numbered: list[Json] = []
    while (name := f"param{len(numbered) + 1}") in fields:
        numbered.append(fields[name])
    return numbered


def _user_data(found: Json) -> dict[str, Json]:
    """The fields of UserData, which stand below one element of their own where a converter keeps it."""
    if not isinstance(found, dict):
        return {}
    inner = [value for name, value in found.items() if isinstance(value, dict) and not name.startswith("#")]
    fields = inner[0] if len(inner) == 1 else found
    return {name: value for name, value in fields.items() if name != "xml_name" and not name.startswith("#")}
