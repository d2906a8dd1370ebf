"""Forgiving values: the same field in different shapes becomes one type, and what says nothing becomes null."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.schemas.values import canonical, guid, integer, text

GUID = "0a1b2c3d-1111-4222-8333-0123456789ab"
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(codec="utf-8")),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("443", 443),
        (443, 443),
        (443.0, 443),
        (" 443\r\n", 443),
        ("+7", 7),
        ("-7", -7),
        ("0x1a4", 420),
        ("0X1A4", 420),
        ("0xffffffffffffffff", None),  # a handle, perhaps: 64 bits without a sign fit nowhere
        ("0x7fffffffffffffff", 2**63 - 1),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        ("-9223372036854775808", -(2**63)),
        (2**63, None),
        ("9223372036854775808", None),
        (10**400, None),
        ("9" * 5000, None),
        (1e300, None),
        (7.5, None),
        ("7.0", None),
        ("-", None),
        ("", None),
        ("1,000", None),
        ("1_000", None),
        ("0x", None),
        ("1a4", None),
        ("٤٢", None),
        (True, None),
        (False, None),
        (None, None),
        ([443], None),
        ({"port": 443}, None),
    ],
)
def test_integer(value: Any, expected: int | None) -> None:
    assert integer(value) == expected
    assert not isinstance(integer(value), bool)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x", "x"),
        (" x ", " x "),
        ("-", "-"),
        ("", None),
        (None, None),
        (0, "0"),
        (443, "443"),
        (2**64 + 1, "18446744073709551617"),
        (True, "true"),
        (False, "false"),
        (7.5, "7.5"),
        ([1, "ä", None], '[1,"ä",null]'),
        ({"b": 1, "a": 2}, '{"a":2,"b":1}'),  # names sorted: equal content, equal text
    ],
)
def test_text(value: Any, expected: str | None) -> None:
    assert text(value) == expected


@pytest.mark.parametrize(
    "written",
    [GUID, GUID.upper(), f"{{{GUID}}}", f"{{{GUID.upper()}}}", f" {{{GUID}}}\r\n", f"{{{GUID}", f"{GUID}}}"],
)
def test_a_guid_has_one_spelling(written: str) -> None:
    assert guid(written) == GUID


@pytest.mark.parametrize(
    "written",
    ["", "-", None, 7, GUID[:-1], GUID + "0", GUID.replace("-", ""), GUID.replace("a", "g"), [GUID], f"({GUID})"],
)
def test_what_is_no_guid(written: Any) -> None:
    assert guid(written) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"{{{GUID.upper()}}}", GUID),
        (GUID, GUID),
        ("C:\\a-folder-with-a-name-of-36-chars\\x", "C:\\a-folder-with-a-name-of-36-chars\\x"),
        (f"see {GUID}", f"see {GUID}"),  # a text with a GUID in it is a text
        (443, "443"),
        ("", None),
        (None, None),
    ],
)
def test_canonical(value: Any, expected: str | None) -> None:
    assert canonical(value) == expected


@given(JSON)
def test_any_value_has_a_text_that_utf8_can_carry_or_none(value: Any) -> None:
    written = text(value)
    assert (written is None) == (value is None or value == "")
    if written is not None:
        assert written.encode() == msgspec.json.decode(msgspec.json.encode(written), type=str).encode()


@given(JSON)
def test_no_value_raises(value: Any) -> None:
    number = integer(value)
    assert number is None or -(2**63) <= number < 2**63
    one = guid(value)
    assert one is None or (len(one), one) == (36, one.lower())
    assert canonical(value) in (text(value), one)


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_number_is_read_from_each_of_its_spellings(number: int) -> None:
    spellings: list[Any] = [number, str(number), f" {number} "]
    if number >= 0:
        spellings.append(hex(number))
    assert {integer(spelling) for spelling in spellings} == {number}
