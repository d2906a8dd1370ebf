"""Writes small EVTX files for tests: real layout and checksums, binary XML with templates as Windows does or without.

With templates the first record of a chunk that needs a template holds its definition and later records refer to it;
names stand where they are first used, all in the chunk's tables; what differs between records is typed values.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID, uuid5
from zlib import crc32

CHUNK = 1 << 16
FILE_HEADER = 4096
CHUNK_HEADER = 512
NO_TIME = 116_444_736_000_000_000  # 1970 as FILETIME
FRAGMENT = b"\x0f\x01\x01\0"
STRING, UINT64, BINXML = 0x01, 0x0A, 0x21
NO_DEPENDENCY = 0xFFFF
STRINGS, TEMPLATES = 128, 384  # the tables of a chunk's header


class Typed(NamedTuple):
    """A value of one of Windows' types, which a template has put in its place."""

    kind: int
    raw: bytes


class Sub(NamedTuple):
    """The place of a value in a template. Where it is optional and null, its attribute or element is left out."""

    index: int
    kind: int
    optional: bool = True


Value = str | int | Typed
Content = Value | Sub | None
Element = tuple[str, dict[str, Content], "Content | list[Element | Sub]"]

NULL = Typed(0x00, b"")


def uint8(value: int) -> Typed:
    return Typed(0x04, struct.pack("<B", value))


def uint16(value: int) -> Typed:
    return Typed(0x06, struct.pack("<H", value))


def int32(value: int) -> Typed:
    return Typed(0x07, struct.pack("<i", value))


def uint32(value: int) -> Typed:
    return Typed(0x08, struct.pack("<I", value))


def uint64(value: int) -> Typed:
    return Typed(UINT64, struct.pack("<Q", value))


def boolean(value: bool) -> Typed:
    return Typed(0x0D, struct.pack("<I", value))


def binary(value: bytes) -> Typed:
    return Typed(0x0E, value)


def guid(value: str) -> Typed:
    return Typed(0x0F, UUID(value).bytes_le)


def filetime(value: str) -> Typed:
    delta = datetime.fromisoformat(value) - datetime.fromisoformat("1601-01-01T00:00:00+00:00")
    return Typed(0x11, struct.pack("<Q", (delta.days * 86400 + delta.seconds) * 10_000_000 + delta.microseconds * 10))


def systemtime(value: str) -> Typed:
    t = datetime.fromisoformat(value)
    parts = (t.year, t.month, t.isoweekday() % 7, t.day, t.hour, t.minute, t.second, t.microsecond // 1000)
    return Typed(0x12, struct.pack("<8H", *parts))


def sid(value: str) -> Typed:
    _, revision, authority, *rest = value.split("-")
    head = bytes([int(revision), len(rest)]) + int(authority).to_bytes(6, "big")
    return Typed(0x13, head + struct.pack(f"<{len(rest)}I", *map(int, rest)))


def hex32(value: int) -> Typed:
    return Typed(0x14, struct.pack("<I", value))


def hex64(value: int) -> Typed:
    return Typed(0x15, struct.pack("<Q", value))


def typed(value: Value) -> Typed:
    if isinstance(value, Typed):
        return value
    return uint64(value) if isinstance(value, int) else Typed(STRING, value.encode("utf-16-le"))


class Event(NamedTuple):
    """What the tests say of one event."""

    record_id: int
    event_id: int = 1
    data: Mapping[str, Value] | Sequence[Value] | None = MappingProxyType({})  # unnamed as a sequence
    provider: str = "Microsoft-Windows-Sysmon"
    channel: str = "Microsoft-Windows-Sysmon/Operational"
    computer: str = "PC01.example.test"
    time: str = "2020-05-02T10:00:00.123456Z"
    qualifiers: int | None = None
    user_data: bool = False  # below UserData instead of EventData

    def element(self) -> Element:
        """The event as text and numbers, without templates."""
        system: list[Element | Sub] = [
            ("Provider", {"Name": self.provider}, None),
            ("EventID", {}, self.event_id),
            ("TimeCreated", {"SystemTime": self.time}, None),
            ("EventRecordID", {}, self.record_id),
            ("Channel", {}, self.channel),
            ("Computer", {}, self.computer),
        ]
        data: list[Element | Sub] = [("Data", {"Name": n} if n else {}, value) for n, value in self._named()]
        if self.user_data:
            return _event(system, ("UserData", {}, [("EventXML", {}, [(n or "P", {}, v) for n, v in self._named()])]))
        return _event(system, None if self.data is None else ("EventData", {}, data))

    def _named(self) -> list[tuple[str | None, Value]]:
        if isinstance(self.data, Mapping):
            return list(self.data.items())
        return [(None, value) for value in self.data or ()]

    def system_template(self) -> tuple[Element, list[Typed]]:
        """Windows' template around every event, and its values; the last one is what the provider adds."""
        slots: list[Typed] = []

        def slot(value: Typed, kind: int | None = None) -> Sub:
            slots.append(value)
            return Sub(len(slots) - 1, value.kind if kind is None else kind)

        qualifiers = NULL if self.qualifiers is None else uint16(self.qualifiers)
        provider: dict[str, Content] = {"Name": self.provider, "Guid": "{5770385F-C22A-43E0-BF4C-06F5698FFBD9}"}
        system: list[Element | Sub] = [
            ("Provider", provider, None),
            ("EventID", {"Qualifiers": slot(qualifiers, 0x06)}, slot(uint16(self.event_id))),
            ("Version", {}, slot(uint8(5))),
            ("Level", {}, slot(uint8(4))),
            ("Task", {}, slot(uint16(self.event_id))),
            ("Opcode", {}, slot(uint8(0))),
            ("Keywords", {}, slot(hex64(1 << 63))),
            ("TimeCreated", {"SystemTime": slot(filetime(self.time))}, None),
            ("EventRecordID", {}, slot(uint64(self.record_id))),
            ("Correlation", {"ActivityID": slot(NULL, 0x0F), "RelatedActivityID": slot(NULL, 0x0F)}, None),
            ("Execution", {"ProcessID": slot(uint32(2060)), "ThreadID": slot(uint32(3208))}, None),
            ("Channel", {}, self.channel),
            ("Computer", {}, self.computer),
            ("Security", {"UserID": slot(sid("S-1-5-18"))}, None),
        ]
        return _event(system, Sub(len(slots), BINXML)), slots

    def data_template(self) -> tuple[Element, list[Typed]] | None:
        """The provider's own template, and its values."""
        if self.data is None:
            return None
        fields = [(name, typed(value)) for name, value in self._named()]
        subs = [(name, Sub(at, value.kind, optional=False)) for at, (name, value) in enumerate(fields)]
        values = [value for _, value in fields]
        if self.user_data:
            return ("UserData", {}, [("EventXML", {"xmlns": "Event_NS"}, [(n or "P", {}, s) for n, s in subs])]), values
        return ("EventData", {}, [("Data", {"Name": name} if name else {}, sub) for name, sub in subs]), values


def _event(system: list[Element | Sub], data: Element | Sub | None) -> Element:
    namespace: dict[str, Content] = {"xmlns": "http://schemas.microsoft.com/win/2004/08/events/event"}
    return ("Event", namespace, [("System", {}, system), *([data] if data else [])])


def evtx(events: Sequence[Event], per_chunk: int = 20, *, templates: bool = False) -> bytes:
    """A whole file."""
    starts = range(0, len(events), per_chunk)
    chunks = [_Chunk(templates).file(events[at : at + per_chunk], at + 1) for at in starts]
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


class _Chunk:
    """A chunk as it grows. All offsets are from its beginning."""

    def __init__(self, templates: bool) -> None:
        self._templates = templates
        self._out = bytearray(CHUNK_HEADER)
        self._names: dict[str, int] = {}
        self._definitions: dict[str, int] = {}

    def file(self, events: Sequence[Event], number: int) -> bytes:
        out = self._out
        for event in events:
            last = len(out)
            self._record(event)
        assert len(out) <= CHUNK, "too many events for one chunk"
        ids = events[0].record_id, events[-1].record_id
        numbers = number, number + len(events) - 1
        checksum = crc32(out[CHUNK_HEADER:])
        struct.pack_into("<8sQQQQIIII", out, 0, b"ElfChnk\0", *numbers, *ids, 128, last, len(out), checksum)
        struct.pack_into("<I", out, 124, crc32(out[:120] + out[128:CHUNK_HEADER]))
        return bytes(out).ljust(CHUNK, b"\0")

    def _record(self, event: Event) -> None:
        out, at = self._out, len(self._out)
        out += bytes(24)
        if self._templates:
            system, values = event.system_template()
            self._instance(system, values, event.data_template())
        else:
            out += FRAGMENT
            self._element(event.element(), in_template=False)
            self._names.clear()  # each record stands for itself
        out += b"\0"
        size = len(out) - at + 4
        struct.pack_into("<4sIQQ", out, at, b"**\0\0", size, event.record_id, NO_TIME)
        out += struct.pack("<I", size)

    def _instance(
        self, template: Element, values: list[Typed], inner: tuple[Element, list[Typed]] | None = None
    ) -> None:
        """A template with its values, of which `inner` is one more; the definition, where it is the first time."""
        out = self._out
        out += FRAGMENT
        key = repr(template)
        name = uuid5(UUID(int=0), key).bytes_le
        here = len(out) + 10
        at = self._definitions.get(key, here)
        out += struct.pack("<BB4sI", 0x0C, 1, name[:4], at)
        if at == here:
            self._definitions[key] = at
            following = self._enter(TEMPLATES, int.from_bytes(name[:4], "little") % 32, at)
            out += struct.pack("<I16sI", following, name, 0)
            begin = len(out)
            out += FRAGMENT
            self._element(template, in_template=True)
            out += b"\0"
            struct.pack_into("<I", out, begin - 4, len(out) - begin)
        outer = template[0] == "Event"
        out += struct.pack("<I", len(values) + outer)
        sizes = len(out)
        out += b"".join(struct.pack("<HBB", len(v.raw), v.kind, 0) for v in values) + bytes(4 * outer)
        out += b"".join(v.raw for v in values)
        if outer and inner is not None:
            begin = len(out)
            self._instance(*inner)
            out += b"\0"
            struct.pack_into("<HBB", out, sizes + 4 * len(values), len(out) - begin, BINXML, 0)

    def _enter(self, table: int, bucket: int, at: int) -> int:
        """Puts an offset into a table of the chunk's header: the one that was there follows it."""
        following: int = struct.unpack_from("<I", self._out, table + 4 * bucket)[0]
        struct.pack_into("<I", self._out, table + 4 * bucket, at)
        return following

    def _element(self, element: Element, *, in_template: bool) -> None:
        out, (tag, attributes, content) = self._out, element
        out.append(0x41 if attributes else 0x01)
        if in_template:
            subs = [v for v in (content, *attributes.values()) if isinstance(v, Sub)]
            out += struct.pack("<H", subs[0].index if subs and subs[0].optional else NO_DEPENDENCY)
        out += bytes(4)
        begin = len(out)
        self._name(tag)
        if attributes:
            out += bytes(4)
            first = len(out)
            left = len(attributes)
            for name, value in attributes.items():
                left -= 1
                out.append(0x46 if left else 0x06)
                self._name(name)
                self._content(value)
            struct.pack_into("<I", out, first - 4, len(out) - first)
        if content is None:
            out += b"\x03"
        else:
            out += b"\x02"
            for child in content if isinstance(content, list) else [content]:
                if isinstance(child, tuple) and not isinstance(child, Sub | Typed):
                    self._element(child, in_template=in_template)
                else:
                    self._content(child)
            out += b"\x04"
        struct.pack_into("<I", out, begin - 4, len(out) - begin)

    def _content(self, value: Content) -> None:
        if isinstance(value, Sub):
            self._out += struct.pack("<BHB", 0x0E if value.optional else 0x0D, value.index, value.kind)
        elif isinstance(value, int):
            self._out += struct.pack("<BBQ", 0x05, UINT64, value)
        else:
            assert isinstance(value, str)
            wide = value.encode("utf-16-le")
            self._out += struct.pack("<BBH", 0x05, STRING, len(wide) // 2) + wide

    def _name(self, name: str) -> None:
        """A name's offset, and the name itself where it is the first time."""
        here = len(self._out) + 4
        at = self._names.setdefault(name, here)
        self._out += struct.pack("<I", at)
        if at != here:
            return
        value = 0
        for char in name:
            value = (value * 65599 + ord(char)) & 0xFFFFFFFF
        following = self._enter(STRINGS, (value & 0xFFFF) % 64, here) if self._templates else 0
        self._out += struct.pack("<IHH", following, value & 0xFFFF, len(name)) + name.encode("utf-16-le") + b"\0\0"
