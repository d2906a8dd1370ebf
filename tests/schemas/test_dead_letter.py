"""Dead letters: the original, bounded, and an id that hangs on it and on what is wrong."""

from __future__ import annotations

from base64 import b64decode
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.schemas import uid
from huntbeam.schemas.dead_letter import RAW_LIMIT, Original, RecordError, dead_letter

ERROR = RecordError("parse", "InvalidJson", "not valid JSON", "2026-03-04T05:06:07.000Z")


@given(st.binary(max_size=100))
def test_the_original_comes_back(raw: bytes) -> None:
    letter = dead_letter(ERROR, Original.of(raw), "a.json", 7)
    assert b64decode(letter.raw_b64, validate=True) == raw
    assert (letter.raw_length, letter.raw_truncated) == (len(raw), False)
    assert letter.raw_sha256 == sha256(raw).hexdigest()


@pytest.mark.parametrize(("extra", "truncated"), [(-1, False), (0, False), (1, True), (5_000_000, True)])
def test_no_more_than_256_kib_are_kept_of_it(extra: int, truncated: bool) -> None:
    raw = b"x" * (RAW_LIMIT + extra - 1) + b"y"
    letter = dead_letter(ERROR, Original.of(raw), "a.json", 7)
    assert RAW_LIMIT == 262_144
    assert b64decode(letter.raw_b64) == raw[:RAW_LIMIT]
    assert (letter.raw_length, letter.raw_truncated) == (len(raw), truncated)
    assert letter.raw_sha256 == sha256(raw).hexdigest()


def test_any_buffer_is_an_original() -> None:
    for raw in (b"abc", bytearray(b"abc"), memoryview(b"abc")):
        assert Original.of(raw) == Original(b"abc", 3, sha256(b"abc").hexdigest())


def test_the_row() -> None:
    letter = dead_letter(ERROR, Original.of(b"abc"), "a.json", 7, partition=2)
    assert (letter.source, letter.position, letter.partition) == ("a.json", 7, 2)
    assert (letter.step, letter.error_class, letter.message) == ("parse", "InvalidJson", "not valid JSON")
    assert letter.time == "2026-03-04T05:06:07.000Z"
    assert dead_letter(ERROR, Original.of(b"abc"), "a.json", None).partition is None


def test_the_id_hangs_on_the_bytes_the_step_and_the_error_class_alone() -> None:
    one = dead_letter(ERROR, Original.of(b"abc"), "a.json", 7)
    again = dead_letter(RecordError("parse", "InvalidJson", "said otherwise"), Original.of(b"abc"), "b.json", 8, 9)
    assert one.event_uid == again.event_uid == uid.dead_letter(one.raw_sha256, "parse", "InvalidJson")
    others = [
        dead_letter(ERROR, Original.of(b"abd"), "a.json", 7),
        dead_letter(RecordError("read", "InvalidJson", ""), Original.of(b"abc"), "a.json", 7),
        dead_letter(RecordError("parse", "NotAnObject", ""), Original.of(b"abc"), "a.json", 7),
    ]
    assert len({one.event_uid, *(other.event_uid for other in others)}) == 4


def test_an_error_says_its_message() -> None:
    assert str(ERROR) == ERROR.message == "not valid JSON"
    assert RecordError("read", "X", "y").time is None
