"""Files to blocks: whatever the format, the cut and the damage, every byte comes out once or is named in a Torn."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import re
import subprocess
import sys
import tracemalloc
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntbeam.schemas.dead_letter import RAW_LIMIT
from huntbeam.transforms import read as reader
from huntbeam.transforms.read import (
    Block,
    FileInfo,
    InputError,
    Records,
    Span,
    Torn,
    expand,
    read,
    read_stream,
    spans,
)

from .evtx_file import Event, evtx, record_offsets

LINES = [b'{"a":1}', b'{"b":"two"}', b"", b'{"c":[1,2,{"d":null}]}', '{"e":"é€😀"}'.encode()]
PLAIN = b"".join(line + b"\n" for line in LINES)


class Trickle(io.RawIOBase):
    """A stream that cannot be sought in and gives a few bytes at a time, as a pipe does."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data = io.BytesIO(data)
        self._step = step

    def readable(self) -> bool:
        return True

    def readinto(self, view: Any) -> int:
        got = self._data.read(min(len(view), self._step))
        view[: len(got)] = got
        return len(got)


class Got:
    """What came out of a reader, copied while it was valid, and checked on the way."""

    def __init__(self, items: Any) -> None:
        self.lines: list[bytes] = []
        self.positions: list[int] = []
        self.originals: list[bytes] = []
        self.elements: list[tuple[int, bytes]] = []
        self.torn: list[Torn] = []
        self.text = b""
        self.consumed = 0
        for item in items:
            assert item.consumed >= 0
            self.consumed += item.consumed
            if isinstance(item, Torn):
                assert item.error.step == "read"
                self.torn.append(item)
            elif isinstance(item, Records):
                assert item.items
                self.elements += item.items
            else:
                self._block(item)

    def _block(self, block: Block) -> None:
        data = bytes(block.data)
        assert data
        assert not self.text or self.text.endswith(b"\n")
        self.text += data
        start = 0
        for line in data.removesuffix(b"\n").split(b"\n"):
            self.lines.append(line)
            self.positions.append(block.position(start))
            self.originals.append(block.original(start, start + len(line)))
            start += len(line) + 1

    @property
    def classes(self) -> list[str]:
        return [t.error.error_class for t in self.torn]


def stream(data: bytes, step: int = 7, **sizes: int) -> Got:
    return Got(read_stream(Trickle(data, step), "standard input", **sizes))  # type: ignore[arg-type]


def file(path: Path, data: bytes, piece: int = 64 << 20, **sizes: int) -> Got:
    path.write_bytes(data)
    return Got(item for span in spans([FileInfo(str(path), len(data))], piece) for item in read(span, **sizes))


# Lines ------------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"x").replace(b"\r", b"y")), max_size=30),
    st.booleans(),
    st.integers(1, 40),
    st.integers(13, 40),
)
def test_spans_partition_the_lines(
    tmp_path_factory: Any, lines: list[bytes], ended: bool, piece: int, block: int
) -> None:
    data = b"{}\n" + b"\n".join(lines) + (b"\n" if ended and lines else b"")
    path = tmp_path_factory.getbasetemp() / "lines"
    got = file(path, data, piece, block=block)
    assert got.text == data
    assert [data[p : p + len(line)] for p, line in zip(got.positions, got.lines, strict=True)] == got.lines
    assert got.originals == got.lines
    assert not got.torn


@given(st.integers(1, len(PLAIN)), st.integers(1, 30), st.integers(1, len(PLAIN) + 1))
def test_a_line_belongs_to_the_span_in_which_it_begins(
    tmp_path_factory: Any, start: int, length: int, block: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "owned"
    path.write_bytes(PLAIN)
    got = Got(read(Span(str(path), 0, start, start + length, length), block=block))
    begins = [0] + [at + 1 for at, byte in enumerate(PLAIN[:-1]) if byte == 10]
    assert got.positions == [b for b in begins if start <= b < start + length]
    assert got.consumed <= length


def test_spans_cover_the_file_once(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(b"0123456\n" * 100)
    assert spans([FileInfo("first", 0), FileInfo(str(path), 800)], 300) == [
        Span("first", 0, 0, None, 0),
        Span(str(path), 1, 0, 300, 300),
        Span(str(path), 1, 300, 600, 300),
        Span(str(path), 1, 600, None, 200),
    ]


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(PLAIN * 9),
        codecs.BOM_UTF16_LE + (PLAIN * 9).decode().encode("utf-16-le"),
        b"\n [" + PLAIN * 9,
        codecs.BOM_UTF8 + b"[" + PLAIN * 9,
        b"ElfFile\0" + PLAIN * 9,
        b"PAR1" + PLAIN * 9,
        PLAIN.replace(b"\n", b"\r") * 9,
    ],
)
def test_only_plain_files_with_newlines_are_split(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "whole"
    path.write_bytes(data)
    assert spans([FileInfo(str(path), len(data))], 10) == [Span(str(path), 0, 0, None, len(data))]


def test_empty_file_yields_nothing(tmp_path: Path) -> None:
    for data in (b"", gzip.compress(b""), codecs.BOM_UTF8, codecs.BOM_UTF16_BE):
        got = file(tmp_path / "empty", data)
        assert (got.lines, got.elements, got.torn) == ([], [], [])


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_line_ends(tmp_path: Path, end: bytes) -> None:
    data = PLAIN.replace(b"\n", end)
    for block in (30, 1 << 20):
        got = file(tmp_path / "ends", data, block=block)
        assert [line.rstrip(b"\r") for line in got.lines] == LINES
        assert [data[p : p + len(line)] for p, line in zip(got.positions, LINES, strict=True)] == LINES


def test_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    got = file(tmp_path / "bom", codecs.BOM_UTF8 + PLAIN, 8)
    assert got.lines == LINES
    assert got.positions[:2] == [3, 11]


def test_consumed_adds_up(tmp_path: Path) -> None:
    for data in (PLAIN, gzip.compress(PLAIN), b"[" + b'{"a":1},' * 50 + b"{}]"):
        assert file(tmp_path / "sum", data, block=32).consumed == len(data)


@given(
    st.lists(st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=()), max_size=9), max_size=9),
    st.sampled_from(["utf-16-le", "utf-16-be"]),
    st.integers(1, 9),
    st.integers(40, 60),
)
def test_utf_16_is_given_back_as_it_was(texts: list[str], codec: str, step: int, block: int) -> None:
    bom = codecs.BOM_UTF16_LE if codec == "utf-16-le" else codecs.BOM_UTF16_BE
    wide = [t.encode(codec, "surrogatepass") for t in ["{}", *texts]]
    data = bom + b"".join(w + "\n".encode(codec) for w in wide)
    got = stream(data, step, block=block)
    assert got.originals == wide
    assert [data[p : p + len(w)] for p, w in zip(got.positions, wide, strict=True)] == wide
    assert not got.torn
    assert got.consumed == len(data)


def test_utf_16_cut_inside_a_character() -> None:
    data = "{}\n{ }".encode("utf-16")
    got = stream(data[:-1])
    assert got.lines == [b"{}"]
    assert got.classes == ["TruncatedUtf16"]
    assert got.torn[0].original.head == data[8:-1]
    assert got.torn[0].position == 8


def test_utf_16_ends_in_a_lone_high_surrogate() -> None:
    got = stream("{}\n\ud83d".encode("utf-16", "surrogatepass"))
    assert got.originals[1] == "\ud83d".encode("utf-16-le", "surrogatepass")
    assert not got.torn


@pytest.mark.parametrize("block", [16, 100, 1 << 20])
def test_a_line_too_long_is_digested(tmp_path: Path, block: int) -> None:
    long = bytes(range(14, 256)) * 3
    data = PLAIN + b"x" * 100 + b"\n" + long + b"\n" + PLAIN + long[:101]
    got = file(tmp_path / "long", data, max_record=100, block=block)
    assert got.lines == [*LINES, b"x" * 100, *LINES]
    assert got.classes == ["RecordTooLong"] * 2
    assert got.torn[0].original == type(got.torn[0].original).of(long)
    assert got.torn[0].position == len(PLAIN) + 101
    assert got.torn[1].original.length == 101
    assert [data[p : p + len(line)] for p, line in zip(got.positions, got.lines, strict=True)] == got.lines


def test_a_utf_16_line_too_long_is_digested_in_its_own_bytes() -> None:
    long = "€😀" * 100
    data = f"{{}}\n{long}\n[1]".encode("utf-16")
    got = stream(data, block=16, max_record=50)
    assert got.torn[0].original.sha256 == sha256(long.encode("utf-16-le")).hexdigest()
    assert got.torn[0].position == 8
    assert got.lines == [b"{}", b"[1]"]
    assert data[got.positions[1] :] == "[1]".encode("utf-16-le")


@given(st.integers(1, 60), st.integers(2, 50))
def test_a_line_too_long_in_spans(tmp_path_factory: Any, piece: int, block: int) -> None:
    path = tmp_path_factory.getbasetemp() / "long"
    got = file(path, b"ab\n" + b"y" * 70 + b"\nc\n" + b"z" * 33 + b"\nd", piece, max_record=32, block=block)
    assert got.lines == [b"ab", b"c", b"d"]
    assert [t.original.length for t in got.torn] == [70, 33]
    assert [t.position for t in got.torn] == [3, 76]


# Gzip -------------------------------------------------------------------------------------------------------------


def test_gzip_members_and_padding_are_one_text() -> None:
    data = gzip.compress(PLAIN[:20]) + gzip.compress(b"") + gzip.compress(PLAIN[20:]) + b"\0" * 300
    for step in (1, 1000):
        got = stream(data, step)
        assert got.text == PLAIN
        assert not got.torn


def test_gzip_with_other_bytes_behind() -> None:
    got = stream(gzip.compress(PLAIN[:-1]) + b"garbage")
    assert got.lines == LINES
    assert got.classes == ["TrailingGarbage"]
    assert got.torn[0].original.head == b"garbage"
    assert got.torn[0].position == len(PLAIN) - 1


@pytest.mark.parametrize("level", [0, 9])
def test_gzip_truncated_anywhere(level: int) -> None:
    first, second = gzip.compress(PLAIN, level), gzip.compress(PLAIN * 2, level)
    data = first + second
    for cut in range(len(data) + 1):
        got = stream(data[:cut], 64, block=32)
        whole = cut in (0, len(first), len(data))
        assert got.classes == ([] if whole else ["TruncatedGzip"])
        rest = b"" if whole else got.torn[0].original.head
        assert (PLAIN * 3).startswith(got.text + rest)
        assert b"\n" not in rest
        assert cut < len(first) or got.text.startswith(PLAIN)
        assert whole or got.torn[0].position == len(got.text)


@pytest.mark.parametrize("level", [0, 9])
def test_gzip_corrupt_anywhere(level: int) -> None:
    data = bytearray(gzip.compress(PLAIN, level))
    for at in range(len(data)):
        data[at] ^= 0x55
        got = stream(bytes(data), 50)
        assert len(got.torn) <= 1
        if at >= len(data) - 8:  # checksum and length: every complete line comes out all the same
            assert got.classes == ["CorruptGzip"]
            assert got.text == PLAIN
        data[at] ^= 0x55


def test_gzip_in_gzip_is_refused() -> None:
    assert stream(gzip.compress(gzip.compress(PLAIN))).classes == ["UnsupportedFormat"]


def test_every_format_in_gzip() -> None:
    wide = PLAIN.decode().encode("utf-16")
    assert stream(gzip.compress(wide)).lines == LINES
    assert stream(gzip.compress(codecs.BOM_UTF8 + PLAIN)).lines == LINES
    assert stream(gzip.compress(b"[1,2]")).elements == [(0, b"1"), (1, b"2")]
    assert stream(gzip.compress("[1,2]".encode("utf-16"))).elements == [(0, b"1"), (1, b"2")]


def test_a_gzip_bomb_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    with gzip.open(path, "wb", 1) as out:
        for _ in range(200):
            out.write(b"a" * (1 << 20))
        out.write(b"\n{}\n")
    for prefix in (b"", b"["):
        if prefix:
            path.write_bytes(gzip.compress(b"[") + path.read_bytes() + gzip.compress(b"]"))
        tracemalloc.start()
        got = file(path, path.read_bytes(), block=1 << 20)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert got.classes == ["RecordTooLong"]
        assert got.torn[0].original.length >= 200 << 20
        assert len(got.torn[0].original.head) == RAW_LIMIT
        assert got.lines == ([] if prefix else [b"{}"])
        assert peak < 60 << 20


# Arrays -----------------------------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('"\\[]{},a', max_size=5), inner, max_size=4),
    max_leaves=25,
)


@given(
    st.lists(values, max_size=8),
    st.sampled_from([None, 1, "\t"]),
    st.booleans(),
    st.integers(1, 50),
    st.integers(2, 50),
)
def test_array_elements_are_those_of_json(array: list[Any], indent: Any, escaped: bool, step: int, block: int) -> None:
    text = json.dumps(array, indent=indent, ensure_ascii=escaped)
    for data in (text.encode("utf-8", "surrogatepass"), f" {text}\r\n ".encode("utf-16", "surrogatepass")):
        got = stream(data, step, block=block)
        assert [number for number, _ in got.elements] == list(range(len(array)))
        assert [json.loads(raw.decode("utf-8", "surrogatepass")) for _, raw in got.elements] == array
        assert not got.torn
        assert got.consumed == len(data) or not array


@given(st.lists(values, min_size=1, max_size=5), st.data())
def test_array_cut_anywhere(array: list[Any], data: Any) -> None:
    text = json.dumps(array).encode()
    cut = data.draw(st.integers(1, len(text) - 1))
    got = stream(text[:cut], block=data.draw(st.integers(2, 40)))
    assert got.classes == ["TruncatedArray"]
    assert [json.loads(raw) for _, raw in got.elements] == array[: len(got.elements)]
    rest = got.torn[0].original.head
    assert text[:cut].rstrip().endswith(rest)
    assert len(got.elements) >= text[:cut].count(b", ") - json.dumps(array).count(", ") + len(array) - 1


def test_array_without_its_bracket_keeps_the_last_element() -> None:
    got = stream(b'[{"a":1},{"b":2}\n')
    assert got.elements == [(0, b'{"a":1}'), (1, b'{"b":2}')]
    assert got.classes == ["TruncatedArray"]
    assert got.torn[0].original.length == 0
    got = stream(b"[1, 23")
    assert got.elements == [(0, b"1")]
    assert (got.torn[0].original.head, got.torn[0].position) == (b"23", 1)


def test_array_with_bytes_behind() -> None:
    got = stream(b'[{"a":1}]\n {"b":2}\n' + b"x" * 50, block=8)
    assert got.elements == [(0, b'{"a":1}')]
    assert got.classes == ["TrailingGarbage"]
    assert got.torn[0].original.head == b'{"b":2}\n' + b"x" * 50


def test_array_elements_need_not_be_json() -> None:
    assert stream(b'[{"a":1]},{"b":2}]').elements == [(0, b'{"a":1]}'), (1, b'{"b":2}')]
    assert stream(b"[}, {} {}, nul,, ]").elements == [(0, b"}"), (1, b"{} {}"), (2, b"nul")]


@pytest.mark.parametrize("block", [16, 1000])
def test_an_element_too_long_is_digested(block: int) -> None:
    long = json.dumps({"key": ['\\"],[{' * 30, {"a": 1}]}).encode()
    data = b"[1, " + long + b' ,{"b":2}, "' + b"s" * 200 + b'"]'
    got = stream(data, block=block, max_record=64)
    assert got.elements == [(0, b"1"), (2, b'{"b":2}')]
    assert got.classes == ["RecordTooLong"] * 2
    assert [t.position for t in got.torn] == [1, 3]
    assert got.torn[0].original.head == long + b" "
    assert got.torn[1].original.length == 202


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", [b'["', b'["' + b'\\"', b"[[", b"[{}", b'[{"', b'[{"a":"b},', b'[{"a":[{'])
def test_scanning_an_array_is_linear(text: bytes) -> None:
    got = stream(text[:1] + text[1:] * (2_000_000 // len(text)), 1 << 16, block=1 << 20)
    assert got.classes == ["TruncatedArray"]


def test_an_array_in_truncated_gzip() -> None:
    data = gzip.compress(b'[{"a":1},{"b":2},{"c":3}]', 0)
    got = stream(data[:-11])
    assert got.elements == [(0, b'{"a":1}'), (1, b'{"b":2}')]
    assert got.classes == ["TruncatedGzip"]
    assert got.torn[0].original.head == b'{"c":'
    assert stream(data[:-3]).classes == ["TruncatedGzip"]


# EVTX -------------------------------------------------------------------------------------------------------------

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


# Damage -----------------------------------------------------------------------------------------------------------

openings = st.sampled_from(
    [
        b"",
        b"[",
        b'["',
        b"\x1f\x8b\x08\0",
        codecs.BOM_UTF8,
        codecs.BOM_UTF16_LE,
        codecs.BOM_UTF16_BE + b"\0[",
        b"ElfFile\0",
    ]
)
bodies = st.binary(max_size=200) | st.lists(st.sampled_from(list(b'[]{},"\\ \n\ra\0')), max_size=80).map(bytes)


@settings(max_examples=300)
@given(openings, bodies, st.integers(2, 64), st.integers(2, 64))
def test_random_bytes_never_raise(opening: bytes, body: bytes, block: int, max_record: int) -> None:
    for data in (opening + body, gzip.compress(opening + body)):
        stream(data, 9, block=block, max_record=max_record)


@pytest.mark.parametrize(
    "head",
    [
        b"PK\x03\x04",
        b"7z\xbc\xaf\x27\x1c",
        b"\xfd7zXZ\0",
        b"BZh9",
        b"\x28\xb5\x2f\xfd",
        b"PAR1",
        b"Obj\x01",
        b"\xd4\xc3\xb2\xa1",
        b"\0" * 257 + b"ustar",
    ],
)
def test_other_formats_are_one_dead_letter(head: bytes) -> None:
    data = head + b"\nlines\n" * 100
    for one in (data, gzip.compress(data)):
        got = stream(one)
        assert got.classes == ["UnsupportedFormat"]
        assert got.torn[0].original.length == len(data)
        assert not got.lines


def test_a_failing_disk_is_torn() -> None:
    class Failing(Trickle):
        def readinto(self, view: Any) -> int:
            if not (got := super().readinto(view)):
                raise OSError(5, "Input/output error")
            return got

    got = Got(read_stream(Failing(PLAIN + b"half", 9), "x", block=16))  # type: ignore[arg-type]
    assert got.lines == LINES
    assert got.classes == ["ReadError"]
    assert got.torn[0].original.head == b"half"
    assert Got(read_stream(Failing(gzip.compress(PLAIN)[:-4], 9), "x")).classes == ["ReadError"]  # type: ignore[arg-type]


def test_a_file_gone_since_is_torn(tmp_path: Path) -> None:
    got = Got(read(Span(str(tmp_path / "gone"), 0, 0, None, 5)))
    assert got.classes == ["ReadError"]


# Files ------------------------------------------------------------------------------------------------------------


def test_expand(tmp_path: Path) -> None:
    for name in (
        "b.json",
        "a.json",
        "sub/c.json",
        ".hidden/d.json",
        "_tmp/e.json",
        "sub/.f",
        "sub/_SUCCESS",
        "x[1].json",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")

    def names(*patterns: str) -> list[str]:
        return [str(Path(f.path).relative_to(tmp_path)) for f in expand([str(tmp_path / p) for p in patterns])]

    everything = ["a.json", "b.json", "sub/c.json", "x[1].json"]
    assert names("") == everything
    assert names("**") == everything
    assert names("*") == everything
    assert names("**/*.json") == everything
    assert names("?.json", "a.json", "sub/../b.json") == ["a.json", "b.json"]
    assert names("x[1].json") == ["x[1].json"]
    assert names("_tmp/*") == ["_tmp/e.json"]
    assert names(".hidden") == [".hidden/d.json"]
    assert expand([str(tmp_path / "a.json")]) == [FileInfo(str(tmp_path / "a.json"), 5)]
    assert expand(["-"]) == [FileInfo("-", 0)]


def test_expand_refuses_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "dead").symlink_to(tmp_path / "nowhere")
    for pattern in ("*.json", "missing", "empty", "dead"):
        with pytest.raises(InputError, match=str(tmp_path / pattern).replace("*", r"\*")):
            expand([str(tmp_path / pattern)])


def test_expand_refuses_what_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "secret").write_bytes(b"")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match="secret cannot be read"):
        expand([str(tmp_path)])
    assert Got(read(Span(str(tmp_path / "secret"), 0, 0, None, 0))).classes == ["ReadError"]


class Bucket:
    """Beam's FileSystems over a dictionary, without readinto as some of its files are."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def match(self, patterns: list[str]) -> list[Any]:
        if "denied" in patterns[0]:
            raise RuntimeError("no")
        sign = re.compile(re.escape(patterns[0]).replace(r"\*\*", ".*").replace(r"\*", "[^/]*"))
        found = [SimpleNamespace(path=p, size_in_bytes=len(d)) for p, d in self._files.items() if sign.fullmatch(p)]
        return [SimpleNamespace(metadata_list=found)]

    def open(self, path: str, compression_type: str) -> Any:
        if path not in self._files:
            raise RuntimeError("not found")
        data = io.BytesIO(self._files[path])
        return SimpleNamespace(read=data.read, seek=data.seek, close=data.close)


def test_remote_files(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("a/x.json", "a/b/y.json", "a/_tmp/z", "a/.h", "a/", "other")
    bucket = Bucket({f"gs://b/{n}": PLAIN for n in names})
    monkeypatch.setattr(reader, "_filesystems", lambda _: (bucket, ""))

    def found(pattern: str) -> list[str]:
        return [f.path.removeprefix("gs://b/") for f in expand([pattern])]

    assert found("gs://b/a") == found("gs://b/a/") == found("gs://b/a/**") == ["a/b/y.json", "a/x.json"]
    assert found("gs://b") == ["a/b/y.json", "a/x.json", "other"]
    assert found("gs://b/a/*.json") == found("gs://b/a/x.json") == ["a/x.json"]
    assert found("gs://b/a/_tmp/*") == ["a/_tmp/z"]
    for pattern in ("gs://b/none", "gs://b/*.none", "gs://denied/x"):
        with pytest.raises(InputError, match="gs://"):
            expand([pattern])
    pieces = spans(expand(["gs://b/other"]), 16)
    assert len(pieces) > 1
    got = Got(item for span in pieces for item in read(span))
    assert got.lines == LINES
    assert Got(read(Span("gs://b/gone", 0, 0, None, 1))).classes == ["ReadError"]


def test_importing_it_loads_neither_beam_nor_evtx() -> None:
    code = "import sys, huntbeam.transforms.read; print({'apache_beam', 'pyarrow', 'evtx'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
