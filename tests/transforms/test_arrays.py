"""Arrays: their elements are those of a JSON parser, and damage costs what it touches."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .reading import stream

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
        assert got.consumed == len(data)


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
