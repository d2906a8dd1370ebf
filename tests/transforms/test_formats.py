"""Formats: told by content; what is no event records is refused as a whole."""

from __future__ import annotations

import gzip

import pytest

from .reading import stream


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
