"""Lines: every byte comes out once, in its place, or is named in a Torn."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from .reading import LINES, PLAIN, file, stream


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_line_ends(tmp_path: Path, end: bytes) -> None:
    data = PLAIN.replace(b"\n", end)
    for block in (30, 1 << 20):
        got = file(tmp_path / "ends", data, block=block)
        assert [line.rstrip(b"\r") for line in got.lines] == LINES
        assert [data[p : p + len(line)] for p, line in zip(got.positions, LINES, strict=True)] == LINES


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
