"""Reading: whatever the format, the cut and the damage, every byte comes out once or is named in a Torn."""

from __future__ import annotations

import codecs
import gzip
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntbeam.transforms import read as reader
from huntbeam.transforms.read import FileInfo, Span, expand, read, spans
from tests.conftest import examples

from .reading import LINES, PLAIN, Got, Trickle, file, stream


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
    assert got.consumed == length


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
        gzip.compress(PLAIN * 9, mtime=0),
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


@given(st.integers(1, 60), st.integers(2, 50))
def test_a_line_too_long_in_spans(tmp_path_factory: Any, piece: int, block: int) -> None:
    path = tmp_path_factory.getbasetemp() / "long"
    got = file(path, b"ab\n" + b"y" * 70 + b"\nc\n" + b"z" * 33 + b"\nd", piece, max_record=32, block=block)
    assert got.lines == [b"ab", b"c", b"d"]
    assert [t.original.length for t in got.torn] == [70, 33]
    assert [t.position for t in got.torn] == [3, 76]


def test_empty_file_yields_nothing(tmp_path: Path) -> None:
    for data in (b"", gzip.compress(b"", mtime=0), codecs.BOM_UTF8, codecs.BOM_UTF16_BE):
        got = file(tmp_path / "empty", data)
        assert (got.lines, got.elements, got.torn) == ([], [], [])


@given(
    st.lists(st.binary(max_size=9) | st.integers(20, 90).map(lambda n: b"x" * n), max_size=9),
    st.integers(1, 40),
    st.integers(13, 40),
    st.integers(13, 40),
)
def test_every_byte_of_every_span_is_reported_once(
    tmp_path_factory: Any, lines: list[bytes], piece: int, block: int, max_record: int
) -> None:
    data = b"{}\n" + b"\n".join(lines)
    path = tmp_path_factory.getbasetemp() / "metered"
    for content in (data, b"[" + data, gzip.compress(data, mtime=0), gzip.compress(data)[:-5], b"PAR1" + data, b""):
        path.write_bytes(content)
        for span in spans([FileInfo(str(path), len(content))], piece):
            assert Got(read(span, block=block, max_record=max_record)).consumed == span.size
        assert file(path, content, piece, block=block, max_record=max_record).consumed == len(content)
        assert stream(content, block=block, max_record=max_record).consumed == len(content)


def test_a_span_inside_one_long_line_reads_no_further(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(b"{}\n" + b"x" * 1000)
    opened = Trickle(path.read_bytes(), 50)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "open_file", lambda _, at: opened.skip(at))
        got = Got(read(Span(str(path), 0, 100, 200, 100), block=50))
    assert (got.lines, got.torn, got.consumed) == ([], [], 100)
    assert opened.tell() < 300


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PLAIN)))
    [span] = spans(expand(["-"]))
    got = Got(read(span))
    assert got.lines == LINES
    assert got.consumed == len(PLAIN)


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


@settings(max_examples=examples(300))
@given(openings, bodies, st.integers(2, 64), st.integers(2, 64))
def test_random_bytes_never_raise(opening: bytes, body: bytes, block: int, max_record: int) -> None:
    for data in (opening + body, gzip.compress(opening + body, mtime=0)):
        stream(data, 9, block=block, max_record=max_record)


def test_a_file_gone_since_is_torn(tmp_path: Path) -> None:
    got = Got(read(Span(str(tmp_path / "gone"), 0, 0, None, 5)))
    assert got.classes == ["ReadError"]


def test_importing_it_loads_neither_beam_nor_evtx() -> None:
    code = "import sys, huntbeam.transforms.read; print({'apache_beam', 'pyarrow', 'evtx'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
