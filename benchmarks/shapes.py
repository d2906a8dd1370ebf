"""The shapes of archives: one event as Winlogbeat 6, 7 or 8, NXLog, a TimeCreated export or Azure's array has it."""

from __future__ import annotations

import random
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any

import msgspec
from world import CHANNELS, HOUR, PROVIDER_GUIDS, SECURITY, SYSMON, TASKS, Event, rfc, spaced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SHAPES = ("wlb6", "wlb7", "wlb8", "nxlog", "timecreated", "array")
encode = msgspec.json.Encoder().encode
_COLLECTORS = {"wlb6": "WEF-01", "wlb7": "WEF-02", "nxlog": "relay-3.corp.example"}
_AGENT_ID = "0f6d1c52-9f0b-4c7e-8c55-2f7a6b1d9e10"


def clock_slots(shape: str, ms: int) -> dict[str, str]:
    """The times of a record's envelope. Flat and array exports write local time, some with a Z."""
    if shape == "nxlog":
        return {"T": rfc(ms + 5_300), "E": spaced(ms - 5 * HOUR)[:19], "V": spaced(ms - 5 * HOUR + 3_000)[:19]}
    if shape == "timecreated":
        return {"T": rfc(ms - 4 * HOUR), "E": spaced(ms + 8 * HOUR)}
    if shape == "array":
        return {"T": rfc(ms - 16 * HOUR), "E": rfc(ms - 12 * HOUR)}
    return {"T": rfc(ms)}


def message_of(event: Event, break_: str, empty: str) -> str:
    """The message: given, or Sysmon's, which lists the fields."""
    if event.message is not None:
        return event.message if break_ == "\n" else event.message.replace("\n", break_)
    title = TASKS[event.provider, event.id].partition(" (rule")[0]
    return break_.join([f"{title}:", *(f"{name}: {value or empty}" for name, value in event.fields.items())])


def _wlb6(e: Event, slots: Mapping[str, str], record: int | str) -> dict[str, Any]:
    collector = _COLLECTORS["wlb6"]
    document: dict[str, Any] = {
        "@timestamp": slots["T"],
        "@metadata": {"beat": "winlogbeat", "type": "doc", "version": "6.8.2", "topic": "winlogbeat"},
        "computer_name": e.host,
        "event_id": e.id,
        "message": message_of(e, "\n", ""),
        "source_name": e.provider,
        "provider_guid": PROVIDER_GUIDS[e.provider],
        "log_name": CHANNELS[e.provider],
        "event_data": {k: v for k, v in e.fields.items() if v},
        "record_number": str(record),
        "beat": {"name": collector, "hostname": collector, "version": "6.8.2"},
        "host": {"name": collector},
        "type": "wineventlog",
        "level": "Information",
        "opcode": "Info",
        "task": TASKS[e.provider, e.id],
        "process_id": 2248,
        "thread_id": 3120,
        "version": 5,
    }
    if e.provider == SYSMON:
        document["user"] = {"name": "SYSTEM", "domain": "NT AUTHORITY", "type": "User", "identifier": "S-1-5-18"}
    elif e.provider == SECURITY:
        document["keywords"] = ["Audit Success"]
    return document


def _winlog(e: Event, record: int | str, event_id: int | str) -> dict[str, Any]:
    document: dict[str, Any] = {
        "provider_name": e.provider,
        "provider_guid": PROVIDER_GUIDS[e.provider],
        "api": "wineventlog",
        "event_id": event_id,
        "computer_name": e.host,
        "opcode": "Info",
        "process": {"pid": 3336, "thread": {"id": 4296}},
        "record_id": record,
        "task": TASKS[e.provider, e.id],
        "event_data": _dashed(e),
        "channel": CHANNELS[e.provider],
        "version": 5,
    }
    if e.provider == SYSMON:
        document["user"] = {"identifier": "S-1-5-18", "name": "SYSTEM", "domain": "NT AUTHORITY", "type": "User"}
    else:
        document["keywords"] = ["Audit Success"]
    return document


def _dashed(e: Event) -> dict[str, str]:
    """The fields as newer Sysmon writes them: `-` for what is empty, but for a missing time."""
    if e.provider != SYSMON:
        return e.fields
    return {k: v or "-" for k, v in e.fields.items() if v or k != "UtcTime"}


def _wlb7(e: Event, slots: Mapping[str, str], record: int | str) -> dict[str, Any]:
    collector = _COLLECTORS["wlb7"]
    return {
        "@timestamp": slots["T"],
        "@metadata": {"beat": "winlogbeat", "type": "_doc", "version": "7.4.2"},
        "agent": {
            "type": "winlogbeat",
            "version": "7.4.2",
            "hostname": collector,
            "id": _AGENT_ID,
            "ephemeral_id": "6f2d8f0e-3f33-4c1c-a5a7-0d3a7b6a9c21",
        },
        "event": {"kind": "event", "code": e.id, "action": TASKS[e.provider, e.id], "created": slots["T"]},
        "log": {"level": "information"},
        "message": message_of(e, "\n", "-"),
        "winlog": _winlog(e, record, e.id),
        "ecs": {"version": "1.1.0"},
        "host": {"name": collector},
    }


def _wlb8(e: Event, slots: Mapping[str, str], record: int | str) -> dict[str, Any]:
    return {
        "@timestamp": slots["T"],
        "@metadata": {"beat": "winlogbeat", "type": "_doc", "version": "8.11.4"},
        "agent": {
            "type": "winlogbeat",
            "version": "8.11.4",
            "name": e.host,
            "id": _AGENT_ID,
            "ephemeral_id": "1b9e7a35-70c2-49ab-9a0a-64a3d9c6fd02",
        },
        "event": {
            "kind": "event",
            "code": str(e.id),
            "provider": e.provider,
            "action": TASKS[e.provider, e.id],
            "created": slots["T"],
        },
        "log": {"level": "information"},
        "message": message_of(e, "\n", "-"),
        "winlog": _winlog(e, record, str(e.id)),
        "ecs": {"version": "8.0.0"},
        "host": {"name": e.host, "hostname": e.host},
    }


def _nxlog(e: Event, slots: Mapping[str, str], record: int | str) -> dict[str, Any]:
    fields = {k: v for k, v in e.fields.items() if v}
    if (e.provider, e.id) == (SYSMON, 1) and isinstance(record, int) and record % 5 == 0:
        fields.pop("ProcessId", None)  # seen in the wild: only the message has it
    return {
        "EventID": e.id,
        "SourceName": e.provider,
        "ProviderGuid": PROVIDER_GUIDS[e.provider],
        "Channel": CHANNELS[e.provider],
        "Hostname": e.host,
        "EventTime": slots["E"],
        "RecordNumber": record,
        "ProcessID": 3140,  # of the Sysmon service, not of the process
        "ThreadID": 4712,
        "Keywords": -9223372036854775808,
        "EventType": "INFO",
        "SeverityValue": 2,
        "Severity": "INFO",
        "Version": 5,
        "Task": e.id if e.provider == SYSMON else 12544,
        "OpcodeValue": 0,
        "Domain": "NT AUTHORITY",
        "AccountName": "SYSTEM",
        "UserID": "S-1-5-18",
        "AccountType": "User",
        "Message": message_of(e, "\r\n", ""),
        **fields,
        "EventReceivedTime": slots["V"],
        "SourceModuleName": "eventlog",
        "SourceModuleType": "im_msvistalog",
        "@timestamp": slots["T"],
        "@version": "1",
        "host": _COLLECTORS["nxlog"],
        "port": 49730,
        "tags": ["nxlog"],
    }


def _timecreated(e: Event, slots: Mapping[str, str], record: int | str) -> dict[str, Any]:
    document: dict[str, Any] = {
        "Keywords": "0x8000000000000000",
        "SourceName": e.provider,
        "Hostname": e.host,
        "Channel": CHANNELS[e.provider],
        "ProviderGuid": PROVIDER_GUIDS[e.provider].lower(),
        "Task": str(e.id),
        "Level": "4",
        **_dashed(e),
        "EventID": e.id,
        "TimeCreated": slots["T"],
        "@timestamp": slots["T"],
        "Message": message_of(e, "\r\n", "-"),
    }
    if isinstance(record, int):
        if record % 7 == 0:  # older exports: no @timestamp, another spelling
            document["TimeCreated"] = slots["E"]
            del document["@timestamp"], document["Keywords"], document["ProviderGuid"]
        elif record % 101 == 0:
            document["EventID"] = str(e.id)
    return document


def _array(e: Event, slots: Mapping[str, str], record: int | str) -> dict[str, Any]:
    fields = _dashed(e)
    data = "".join(f'<Data Name="{k}">{escape(v, quote=False)}</Data>' for k, v in fields.items())
    return {
        "EventSourceName": e.provider,
        "Provider": e.provider,
        "ProviderGuid": PROVIDER_GUIDS[e.provider].lower(),
        "Level": "4",
        "Keywords": "0x8000000000000000",
        "Channel": CHANNELS[e.provider],
        "Computer": e.host,
        "TimeCreated": slots["T"],
        "TimeGenerated": slots["E"],
        "EventRecordID": str(record),
        "EventID": e.id,
        "Message": message_of(e, "\r\n", "-"),
        "EventData": f'<EventData xmlns="http://schemas.microsoft.com/win/2004/08/events/event">{data}</EventData>',
        "Task": str(e.id),
        **fields,
    }


ENVELOPES: dict[str, Callable[[Event, Mapping[str, str], int | str], dict[str, Any]]] = {
    "wlb6": _wlb6,
    "wlb7": _wlb7,
    "wlb8": _wlb8,
    "nxlog": _nxlog,
    "timecreated": _timecreated,
    "array": _array,
}
SHUFFLED = {"wlb6": 2, "nxlog": 0, "timecreated": 0}  # keys in any order, after so many


def render(shape: str, e: Event) -> bytes:
    """The JSON text of an event in a shape, without a line end."""
    document = ENVELOPES[shape](e, clock_slots(shape, e.time), e.record)
    if shape in SHUFFLED:
        document = reordered(document, SHUFFLED[shape], e.record % 16)
    return escaped(shape, encode(document))


def reordered(document: dict[str, Any], keep: int, order: int) -> dict[str, Any]:
    return {name: document[name] for name in _order(tuple(document), keep, order)}


@lru_cache(maxsize=4096)
def _order(names: tuple[str, ...], keep: int, order: int) -> tuple[str, ...]:
    rest = list(names[keep:])
    random.Random(order).shuffle(rest)  # noqa: S311 - made-up data, not secrets
    return names[:keep] + tuple(rest)


def escaped(shape: str, text: bytes) -> bytes:
    """Azure's arrays come from PowerShell, which escapes what HTML would."""
    if shape != "array":
        return text
    return text.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026").replace(b"'", b"\\u0027")
