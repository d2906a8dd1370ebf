"""EVTX: its records come out as JSON text, and damage costs what it touches."""

from __future__ import annotations

import gzip
import json
import sys
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntbeam.schemas.dead_letter import RecordError
from huntbeam.schemas.winlog import identifying, parse_record
from huntbeam.transforms.digest import Digest, Plan
from huntbeam.transforms.read import InputError, Torn, expand, read_stream
from tests.conftest import examples

from .evtx_file import (
    NULL,
    Event,
    Value,
    binary,
    boolean,
    evtx,
    filetime,
    guid,
    hex32,
    hex64,
    int32,
    record_offsets,
    sid,
    systemtime,
    uint8,
    uint16,
    uint32,
    uint64,
)
from .reading import Trickle, stream

EVENTS = [Event(n, 1 + n % 3, {"Image": f"C:\\é€😀{n}.exe", "ProcessId": n}) for n in range(100, 145)]
EVTX = evtx(EVENTS)


def test_evtx_records_come_out_as_json() -> None:
    pytest.importorskip("evtx")
    for data in (EVTX, gzip.compress(EVTX)):
        got = stream(data, 4000)
        assert not got.torn
        assert [number for number, _ in got.elements] == [e.record_id for e in EVENTS]
        assert got.consumed == len(data)
    event = json.loads(got.elements[7][1])["Event"]
    assert event["EventData"] == EVENTS[7].data
    assert event["System"]["Provider"]["#attributes"]["Name"] == "Microsoft-Windows-Sysmon"
    assert event["System"]["EventID"] == EVENTS[7].event_id
    assert event["System"]["TimeCreated"]["#attributes"]["SystemTime"] == EVENTS[7].time
    assert event["System"]["Computer"] == "PC01.example.test"


def test_evtx_file_is_what_the_package_reads(tmp_path: Path) -> None:
    package = pytest.importorskip("evtx")
    (tmp_path / "a.evtx").write_bytes(EVTX)
    records = list(package.PyEvtxParser(str(tmp_path / "a.evtx"), validate_checksums=True).records_json())
    assert [r["data"].encode() for r in records] == [raw for _, raw in stream(EVTX, 4000).elements]


@pytest.mark.parametrize(("byte", "position"), [(0, None), (4, None), (24, 105), (28, 105)])
def test_evtx_corrupt_record_costs_only_itself(byte: int, position: int | None) -> None:
    pytest.importorskip("evtx")
    data = bytearray(EVTX)
    at, following = record_offsets(EVTX)[5:7]
    data[at + byte] ^= 0xFF
    got = stream(bytes(data), 4000)
    assert [number for number, _ in got.elements] == [e.record_id for e in EVENTS if e.record_id != 105]
    assert got.classes == ["CorruptEvtx"]
    assert got.torn[0].position == position
    assert got.torn[0].original.head == data[at:following]


def test_evtx_corrupt_chunk_costs_only_itself() -> None:
    pytest.importorskip("evtx")
    data = bytearray(EVTX)
    data[4096] ^= 1
    got = stream(bytes(data), 4000)
    assert len(got.elements) == 25
    assert got.torn[0].original.length == 1 << 16


def test_evtx_unused_chunks_are_nothing() -> None:
    pytest.importorskip("evtx")
    assert not stream(EVTX + bytes(1 << 17), 4000).torn


def test_evtx_cut_anywhere() -> None:
    pytest.importorskip("evtx")
    offsets = record_offsets(EVTX)
    for cut in (
        8,
        100,
        4096,
        4100,
        5000,
        offsets[3],
        offsets[3] + 1,
        offsets[19] + 100,
        offsets[20],
        70000,
        len(EVTX) - 1,
    ):
        got = stream(EVTX[:cut], 4000)
        whole = [at for at, following in zip(offsets, [*offsets[1:], len(EVTX)], strict=True) if following <= cut]
        assert len(got.elements) >= len(whole)
        assert got.classes == ([] if cut == 4096 else ["TruncatedEvtx"])
    assert stream(gzip.compress(EVTX, 0)[:9000], 4000).classes == ["TruncatedGzip"]


# Templates --------------------------------------------------------------------------------------------------------

PROCESS = "905cc552-2045-5cc5-0000-00105b2a0100"
VALUES: dict[str, tuple[Value, Any]] = {  # as Windows types them, as they come out
    "UtcTime": ("2020-05-02 10:00:00.123", "2020-05-02 10:00:00.123"),
    "ProcessGuid": (guid(PROCESS), PROCESS.upper()),
    "ProcessId": (uint32(4294967295), 4294967295),
    "Image": ("C:\\é€😀.exe", "C:\\é€😀.exe"),
    "Empty": ("", ""),
    "Ended": ("by a NUL\0", "by a NUL"),
    "Eight": (uint8(255), 255),
    "Sixteen": (uint16(65535), 65535),
    "Signed": (int32(-5), -5),
    "SixtyFour": (uint64(2**64 - 1), 2**64 - 1),
    "Initiated": (boolean(True), True),
    "Bytes": (binary(b"\0\xff\x10"), "00FF10"),
    "Null": (NULL, ""),
    "FileTime": (filetime("2020-05-02T10:00:00.123456Z"), "2020-05-02T10:00:00.123456Z"),
    "SystemTime": (systemtime("2020-05-02T10:00:00.123Z"), "2020-05-02T10:00:00.123000Z"),
    "Sid": (sid("S-1-5-21-1-2-3-500"), "S-1-5-21-1-2-3-500"),
    "Status": (hex32(0xC000006D), "0xc000006d"),
    "LogonId": (hex64(0xABCDEF0123), "0xabcdef0123"),
}
TYPED = [
    Event(n, 1 + n % 3, {name: value for name, (value, _) in VALUES.items()}, computer=f"PC{n % 2}.example.test")
    for n in range(200, 245)
]
TEMPLATES = evtx(TYPED, templates=True)


def test_evtx_templates_are_what_the_package_reads(tmp_path: Path) -> None:
    package = pytest.importorskip("evtx")
    (tmp_path / "a.evtx").write_bytes(TEMPLATES)
    records = list(package.PyEvtxParser(str(tmp_path / "a.evtx"), validate_checksums=True).records_json())
    got = stream(TEMPLATES, 4000)
    assert [r["data"].encode() for r in records] == [raw for _, raw in got.elements]
    assert len(got.elements) == len(TYPED)
    assert not got.torn
    sizes = [b - a for a, b in pairwise(record_offsets(TEMPLATES)[:20])]
    assert min(sizes) * 2 < sizes[0]  # the definitions stand in the first


def test_evtx_with_templates_becomes_events() -> None:
    pytest.importorskip("evtx")
    for number, raw in stream(TEMPLATES, 4000).elements:
        event, wanted = parse_record(raw), TYPED[number - 200]
        assert (event.record_id, event.event_id, event.host) == (number, wanted.event_id, wanted.computer)
        assert (event.provider, event.channel, event.time) == (wanted.provider, wanted.channel, wanted.time)
        assert event.data() == {name: out for name, (_, out) in VALUES.items()}
    fields = identifying(event.data())
    assert (fields["ProcessGuid"], fields["Initiated"], fields["ProcessId"]) == (PROCESS, "true", "4294967295")
    assert not {"Null", "Empty"} & set(fields)


def test_evtx_with_templates_becomes_rows() -> None:
    pytest.importorskip("evtx")
    digest = Digest(Plan())
    for item in read_stream(Trickle(TEMPLATES, 4000)):  # type: ignore[arg-type]
        digest.feed(item, "a.evtx", 0)
    rows = digest.take()
    assert not rows.dead_letters
    assert [row.host for row in rows.creates] == [e.computer for e in TYPED if e.event_id == 1]
    assert [row.host for row in rows.connects] == [e.computer for e in TYPED if e.event_id == 3]
    row = rows.creates[0]
    assert (row.process_guid, row.process_id, row.process_path) == (PROCESS, 4294967295, "C:\\é€😀.exe")
    assert (row.event_date_creation or "").startswith("2020-05-02T10:00:00.123")


def test_evtx_qualifiers_stand_beside_the_event_id() -> None:
    pytest.importorskip("evtx")
    [(_, raw)] = stream(evtx([Event(1, 4624, {"A": "b"}, qualifiers=16384)], templates=True), 4000).elements
    assert json.loads(raw)["Event"]["System"]["EventID"] == {"#attributes": {"Qualifiers": 16384}, "#text": 4624}
    assert parse_record(raw).event_id == 4624


@pytest.mark.parametrize(
    "event",
    [Event(1, data=None), Event(1, data={}), Event(1, data=["a", "b"]), Event(1, data={"P": "v"}, user_data=True)],
    ids=["none", "empty", "unnamed", "user data"],
)
@pytest.mark.parametrize("templates", [False, True])
def test_evtx_without_named_fields_has_no_event_data(event: Event, templates: bool) -> None:
    pytest.importorskip("evtx")
    [(_, raw)] = stream(evtx([event], templates=templates), 4000).elements
    parsed = parse_record(raw)
    assert (parsed.event_id, parsed.record_id) == (1, 1)
    with pytest.raises(RecordError, match="no event data"):
        parsed.data()


def test_evtx_definitions_outlive_the_frame_of_their_record() -> None:
    pytest.importorskip("evtx")
    data = bytearray(TEMPLATES)
    data[record_offsets(TEMPLATES)[0]] ^= 0xFF
    got = stream(bytes(data), 4000)
    assert [number for number, _ in got.elements] == [e.record_id for e in TYPED[1:]]
    assert got.classes == ["CorruptEvtx"]


@settings(max_examples=examples(200), deadline=None)
@given(
    st.sampled_from([EVTX, TEMPLATES]),
    st.lists(st.tuples(st.integers(0, len(EVTX) - 1), st.integers(0, 255)), max_size=20),
    st.booleans(),
)
def test_evtx_damaged_anywhere_never_raises(file: bytes, changes: list[tuple[int, int]], near: bool) -> None:
    pytest.importorskip("evtx")
    data = bytearray(file)
    offsets = record_offsets(file)
    for at, value in changes:
        data[offsets[at % 45] + at % 99 if near else at] = value
    stream(bytes(data), 4000)


def test_evtx_without_its_package_is_said_before_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "dc01.evtx").write_bytes(EVTX)
    monkeypatch.setitem(sys.modules, "evtx", None)
    with pytest.raises(InputError, match=r"dc01.evtx is an EVTX file: .*huntbeam\[evtx\]"):
        expand([str(tmp_path)])


def test_evtx_without_its_package_where_it_cannot_be_seen_before_is_one_dead_letter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "evtx", None)
    (torn,) = read_stream(BytesIO(gzip.compress(EVTX)))
    assert isinstance(torn, Torn)
    assert (torn.error.error_class, torn.original.length) == ("UnsupportedFormat", len(EVTX))
