"""Sources: what is packed or encoded comes out as it was, and what ends early says so."""

from __future__ import annotations

import codecs
import gzip
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.schemas.dead_letter import RAW_LIMIT
from huntbeam.transforms.read import read_stream

from .reading import LINES, PLAIN, Got, Trickle, file, stream


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


def test_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    got = file(tmp_path / "bom", codecs.BOM_UTF8 + PLAIN, 8)
    assert got.lines == LINES
    assert got.positions[:2] == [3, 11]


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


def test_a_failing_disk_is_torn() -> None:
    class Failing(Trickle):
        def readinto(self, view: Any) -> int:
            if not (got := super().readinto(view)):
                raise OSError(5, "Input/output error")
            return got

    got = Got(read_stream(Failing(PLAIN + b"half", 9), block=16))  # type: ignore[arg-type]
    assert got.lines == LINES
    assert got.classes == ["ReadError"]
    assert got.torn[0].original.head == b"half"
    assert Got(read_stream(Failing(gzip.compress(PLAIN)[:-4], 9))).classes == ["ReadError"]  # type: ignore[arg-type]
