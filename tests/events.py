"""Synthetic events, and each shape in which the same event can arrive as one JSON record."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import strategies as st

SYSMON = "Microsoft-Windows-Sysmon"
SECURITY = "Microsoft-Windows-Security-Auditing"
CHANNEL = "Microsoft-Windows-Sysmon/Operational"
COLLECTOR = "collector.lab.example"
GUID = "0a1b2c3d-1111-4222-8333-0123456789ab"
OTHER_GUID = "0a1b2c3d-1111-4222-8333-0123456789ac"

CREATE_DATA = {
    "UtcTime": "2026-03-04 05:06:07.089",
    "ProcessGuid": f"{{{GUID}}}",
    "ProcessId": "4242",
    "Image": "C:\\Tools\\näh.exe",
    "CommandLine": 'näh.exe --to "ünï" ☃ 😀',
    "CurrentDirectory": "C:\\",
    "User": "LAB\\ada",
    "LogonGuid": "{0A1B2C3D-2222-4222-8333-0123456789AB}",
    "LogonId": "0x3e7",
    "TerminalSessionId": "1",
    "IntegrityLevel": "High",
    "Hashes": "SHA256=00FF",
    "ParentProcessGuid": "{0a1b2c3d-3333-4222-8333-0123456789ab}",
    "ParentProcessId": "612",
    "ParentImage": "C:\\Windows\\explorer.exe",
    "ParentCommandLine": "explorer.exe",
}
CONNECT_DATA = {
    "UtcTime": "2026-03-04 05:06:08.100",
    "ProcessGuid": f"{{{GUID}}}",
    "ProcessId": "4242",
    "Image": "C:\\Tools\\näh.exe",
    "User": "LAB\\ada",
    "Protocol": "tcp",
    "Initiated": "true",
    "SourceIsIpv6": "false",
    "SourceIp": "192.0.2.10",
    "SourceHostname": "ws-7.lab.example",
    "SourcePort": "50123",
    "SourcePortName": "-",
    "DestinationIsIpv6": "false",
    "DestinationIp": "198.51.100.4",
    "DestinationPort": "443",
    "DestinationPortName": "https",
}


class Fact(NamedTuple):
    """What happened, before any shape."""

    event_id: int
    data: dict[str, Any]
    host: str = "WS-7.lab.example"
    provider: str = SYSMON
    channel: str = CHANNEL
    record_id: int | None = 77
    time: str = "2026-03-04T05:06:07.100Z"


CREATE = Fact(1, CREATE_DATA)
CONNECT = Fact(3, CONNECT_DATA)


def wlb6(fact: Fact) -> dict[str, Any]:
    return {
        "@timestamp": fact.time,
        "beat": {"name": COLLECTOR, "hostname": COLLECTOR, "version": "6.8.0"},
        "host": {"name": COLLECTOR},
        "source_name": fact.provider,
        "log_name": fact.channel,
        "computer_name": fact.host,
        "event_id": fact.event_id,
        "record_number": None if fact.record_id is None else str(fact.record_id),
        "event_data": fact.data,
        "process_id": 2440,
        "message": "Something happened:\nImage: {not json",
    }


def wlb7(fact: Fact) -> dict[str, Any]:
    return {
        "@timestamp": fact.time,
        "agent": {"hostname": COLLECTOR, "version": "7.4.0"},
        "host": {"name": COLLECTOR},
        "event": {"code": fact.event_id, "created": "2026-03-04T05:06:59.000Z"},
        "message": "Something happened",
        "winlog": {
            "provider_name": fact.provider,
            "channel": fact.channel,
            "computer_name": fact.host,
            "event_id": fact.event_id,
            "record_id": fact.record_id,
            "event_data": fact.data,
            "process": {"pid": 2440},
        },
    }


def wlb8(fact: Fact) -> dict[str, Any]:
    document = wlb7(fact)
    document["winlog"]["event_id"] = str(fact.event_id)
    document["event"]["code"] = str(fact.event_id)
    return document


def nxlog(fact: Fact) -> dict[str, Any]:
    return {
        **fact.data,
        "@timestamp": fact.time,
        "EventTime": "2026-03-04 00:06:07",
        "EventReceivedTime": "2026-03-04 00:06:09",
        "SourceName": fact.provider,
        "Channel": fact.channel,
        "Hostname": fact.host,
        "EventID": fact.event_id,
        "RecordNumber": fact.record_id,
        "ProcessID": 2440,
        "ThreadID": 7,
        "EventType": "INFO",
        "Severity": "INFO",
        "SeverityValue": 2,
        "SourceModuleName": "in",
        "SourceModuleType": "im_msvistalog",
        "host": "relay.lab.example",
        "port": 55555,
        "Message": "Something happened",
    }


def timecreated(fact: Fact) -> dict[str, Any]:
    """No record number; the record's own time may stand in TimeCreated alone."""
    return {
        **fact.data,
        "TimeCreated": fact.time,
        "SourceName": fact.provider,
        "Channel": fact.channel,
        "Hostname": fact.host,
        "EventID": fact.event_id,
        "Task": str(fact.event_id),
        "Message": "Something happened",
    }


def azure(fact: Fact) -> dict[str, Any]:
    return {
        **fact.data,
        "TimeCreated": fact.time,
        "TimeGenerated": "2026-03-04T01:06:07.100Z",
        "Provider": fact.provider,
        "EventSourceName": fact.provider,
        "Channel": fact.channel,
        "Computer": fact.host,
        "EventID": fact.event_id,
        "EventRecordID": None if fact.record_id is None else str(fact.record_id),
        "EventData": "<EventData xmlns='x'><Data Name='Image'>other</Data></EventData>",
        "Level": "4",
    }


def evtx(fact: Fact) -> dict[str, Any]:
    """As EVTX converters write it: GUIDs without braces is their way, too."""
    return {
        "Event": {
            "#attributes": {"xmlns": "x"},
            "System": {
                "Provider": {"#attributes": {"Name": fact.provider, "Guid": "5770385f"}},
                "EventID": {"#attributes": {"Qualifiers": 0}, "#text": fact.event_id},
                "Channel": fact.channel,
                "Computer": fact.host,
                "EventRecordID": fact.record_id,
                "TimeCreated": {"#attributes": {"SystemTime": fact.time}},
            },
            "EventData": fact.data,
        }
    }


def es_source(fact: Fact) -> dict[str, Any]:
    return {"_index": "winlogbeat-7", "_id": "x1", "_source": wlb7(fact)}


def in_message(fact: Fact) -> dict[str, Any]:
    return {"@timestamp": "2026-03-04T09:09:09.000Z", "host": COLLECTOR, "message": json.dumps(wlb6(fact))}


def dotted(fact: Fact) -> dict[str, Any]:
    winlog = wlb7(fact)["winlog"]
    names = {f"winlog.{k}": v for k, v in winlog.items() if k != "event_data"}
    fields = {f"winlog.event_data.{k}": v for k, v in fact.data.items()}
    return {"@timestamp": fact.time, "host.name": COLLECTOR, "event.code": str(fact.event_id), **names, **fields}


def nested_twice(fact: Fact) -> dict[str, Any]:
    return {"_source": {"message": json.dumps(wlb8(fact))}}


Shape = Callable[[Fact], dict[str, Any]]
SHAPES: dict[str, Shape] = {
    shape.__name__: shape
    for shape in (wlb6, wlb7, wlb8, nxlog, timecreated, azure, evtx, es_source, in_message, dotted, nested_twice)
}


def line(fact: Fact, shape: Shape = wlb6, *, ascii_only: bool = False) -> bytes:
    """The event as one JSON record."""
    return json.dumps(shape(fact), ensure_ascii=ascii_only).encode()


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
_PORTS = st.one_of(st.integers(0, 65535), st.integers(0, 65535).map(str), st.sampled_from(["-", "", None]))
_GUIDS = st.sampled_from([GUID, f"{{{GUID}}}", f"{{{GUID.upper()}}}", OTHER_GUID])
_TIMES = st.sampled_from(["2026-03-04 05:06:07.089", "2026-03-04 05:11:00.000", "never", "", None])


@st.composite
def facts(draw: st.DrawFn) -> Fact:
    """Any event: mostly Sysmon's, with the values that parsers trip over."""
    provider = draw(st.sampled_from([SYSMON, SYSMON, SYSMON, SYSMON.lower(), SECURITY, "", "Ünknown"]))
    data: dict[str, Any] = {
        "UtcTime": draw(_TIMES),
        "ProcessGuid": draw(_GUIDS),
        "ProcessId": draw(st.sampled_from(["4242", "0x1a4", 4242, "-", True, 7.0])),
        "SourcePort": draw(_PORTS),
        "DestinationPort": draw(_PORTS),
        "Initiated": draw(st.sampled_from([True, "true", "false", None])),
        "CommandLine": draw(_TEXT),
        "Nested": draw(st.sampled_from(["x", ["a", 1], {"b": None}])),
    }
    for name in draw(st.sets(st.sampled_from(sorted(data)), max_size=3)):
        del data[name]
    return Fact(
        event_id=draw(st.sampled_from([1, 3, 3, 5, 7, 8, 10, 4688])),
        data=data,
        host=draw(st.sampled_from(["WS-7.lab.example", "ws-7.LAB.example", "srv", ""])),
        provider=provider,
        record_id=draw(st.sampled_from([None, 0, 77, 2**40])),
        time=draw(st.sampled_from(["2026-03-04T05:06:07.100Z", "2026-03-04 07:00:00", "?", ""])),
    )
