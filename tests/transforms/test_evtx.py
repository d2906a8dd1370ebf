"""EVTX: its records come out as JSON text, and damage costs what it touches."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntbeam.transforms.read import InputError

from .evtx_file import Event, evtx, record_offsets
from .reading import stream

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


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(EVTX) - 1), st.integers(0, 255)), max_size=20), st.integers(0, 9))
def test_evtx_damaged_anywhere_never_raises(changes: list[tuple[int, int]], near: int) -> None:
    pytest.importorskip("evtx")
    data = bytearray(EVTX)
    for at, value in changes:
        data[record_offsets(EVTX)[at % 45] + at % 99 if near else at] = value
    stream(bytes(data), 4000)


def test_evtx_without_its_package_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "evtx", None)
    with pytest.raises(InputError, match=r"huntbeam\[evtx\]"):
        stream(EVTX)
