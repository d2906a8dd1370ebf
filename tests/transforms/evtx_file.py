"""Writes small EVTX files for tests: real layout and checksums, binary XML without templates."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple
from zlib import crc32

CHUNK = 1 << 16
FILE_HEADER = 4096
CHUNK_HEADER = 512
NO_TIME = 116_444_736_000_000_000  # 1970 as FILETIME

Element = tuple[str, dict[str, "str | int"], "str | int | list[Element] | None"]


class Event(NamedTuple):
    """What the tests say of one event."""

    record_id: int
    event_id: int = 1
    data: Mapping[str, str | int] = MappingProxyType({})
    provider: str = "Microsoft-Windows-Sysmon"
    channel: str = "Microsoft-Windows-Sysmon/Operational"
    computer: str = "PC01.example.test"
    time: str = "2020-05-02T10:00:00.123456Z"

    def element(self) -> Element:
        system: list[Element] = [
            ("Provider", {"Name": self.provider}, None),
            ("EventID", {}, self.event_id),
            ("TimeCreated", {"SystemTime": self.time}, None),
            ("EventRecordID", {}, self.record_id),
            ("Channel", {}, self.channel),
            ("Computer", {}, self.computer),
        ]
        data: list[Element] = [("Data", {"Name": name}, value) for name, value in self.data.items()]
        namespace: dict[str, str | int] = {"xmlns": "http://schemas.microsoft.com/win/2004/08/events/event"}
        return ("Event", namespace, [("System", {}, system), ("EventData", {}, data)])


def evtx(events: Sequence[Event], per_chunk: int = 20) -> bytes:
    """A whole file."""
    chunks = [_chunk(events[at : at + per_chunk], at + 1) for at in range(0, len(events), per_chunk)]
    following = events[-1].record_id + 1 if events else 1
    head = struct.pack(
        "<8sQQQIHHHH76x", b"ElfFile\0", 0, max(len(chunks) - 1, 0), following, 128, 1, 3, FILE_HEADER, len(chunks)
    )
    head += struct.pack("<II", 0, crc32(head))
    return head.ljust(FILE_HEADER, b"\0") + b"".join(chunks)


def record_offsets(file: bytes) -> list[int]:
    """Where the records of a file begin."""
    found = []
    for chunk in range(FILE_HEADER, len(file), CHUNK):
        at, free = chunk + CHUNK_HEADER, chunk + struct.unpack_from("<I", file, chunk + 48)[0]
        while at < free:
            found.append(at)
            at += struct.unpack_from("<I", file, at + 4)[0]
    return found


def _chunk(events: Sequence[Event], number: int) -> bytes:
    records = b""
    last = CHUNK_HEADER
    for event in events:
        last = CHUNK_HEADER + len(records)
        body = b"\x0f\x01\x01\0" + _element(event.element(), last + 24 + 4) + b"\0"
        size = 24 + len(body) + 4
        records += struct.pack("<4sIQQ", b"**\0\0", size, event.record_id, NO_TIME) + body + struct.pack("<I", size)
    free = CHUNK_HEADER + len(records)
    assert free <= CHUNK, "too many events for one chunk"
    ids = events[0].record_id, events[-1].record_id
    head = struct.pack(
        "<8sQQQQIIII", b"ElfChnk\0", number, number + len(events) - 1, *ids, 128, last, free, crc32(records)
    )
    head += bytes(64)  # reserved; the flags follow
    tables = bytes(4 * 64 + 4 * 32)  # no strings, no templates
    return (head + struct.pack("<II", 0, crc32(head + tables)) + tables + records).ljust(CHUNK, b"\0")


def _element(element: Element, at: int) -> bytes:
    """An element that begins at this offset of the chunk: names are written where they are used."""
    tag, attributes, content = element
    opening = 1 + 4 + 4
    named = _name(tag)
    body = named
    if attributes:
        opening_end = at + opening + len(named) + 4
        parts = b""
        left = len(attributes)
        for name, value in attributes.items():
            left -= 1
            parts += bytes([0x46 if left else 0x06])
            parts += struct.pack("<I", opening_end + len(parts) + 4)
            parts += _name(name) + _value(value)
        body += struct.pack("<I", len(parts)) + parts
    if content is None:
        body += b"\x03"
    else:
        body += b"\x02"
        if isinstance(content, list):
            for child in content:
                body += _element(child, at + opening + len(body))
        else:
            body += _value(content)
        body += b"\x04"
    return struct.pack("<BII", 0x41 if attributes else 0x01, len(body) + 4, at + opening) + body


def _name(name: str) -> bytes:
    value = 0
    for char in name:
        value = (value * 65599 + ord(char)) & 0xFFFFFFFF
    return struct.pack("<IHH", 0, value & 0xFFFF, len(name)) + name.encode("utf-16-le") + b"\0\0"


def _value(value: str | int) -> bytes:
    if isinstance(value, int):
        return struct.pack("<BBQ", 0x05, 0x0A, value)
    wide = value.encode("utf-16-le")
    return struct.pack("<BBH", 0x05, 0x01, len(wide) // 2) + wide
