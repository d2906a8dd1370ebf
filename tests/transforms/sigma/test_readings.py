"""What rules read in values: texts, case, numbers, times, addresses."""

from __future__ import annotations

import sys
from datetime import date
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.transforms.sigma.readings import address, fold, number, texts, time_part
from tests.transforms.sigma import naive

LETTERS = st.sampled_from("aAäÄσςΣßẞİıIiKKſsSµΜμǅǆᲀвꭰᎠ日☃😀\n")


def test_every_letter_folds_to_one_letter_as_unicode_says_whatever_stands_beside_it() -> None:
    wrong = []
    for point in range(sys.maxunicode + 1):
        letter = chr(point)
        folded = fold(letter)
        beside = fold(f"Ä{letter}b") == f"ä{folded}b"
        if folded != naive.folded(letter) or fold(folded) != folded or not beside:
            wrong.append(hex(point))
    assert wrong == []


@given(st.text(LETTERS), st.text(LETTERS))
def test_folding_goes_letter_by_letter(a: str, b: str) -> None:
    assert fold(a + b) == fold(a) + fold(b)
    assert len(fold(a)) == len(a)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ("",)),
        (None, ()),
        (False, ("false",)),
        (10**30, (str(10**30),)),
        (1.5, ("1.5",)),
        (443.0, ("443",)),
        ([], ()),
        ([None, "", "a", 7, True, ["b"]], ("", "a", "7", "true", '["b"]')),
        ({"b": 1, "a": None}, ('{"a":null,"b":1}',)),
    ],
)
def test_texts(value: object, expected: tuple[str, ...]) -> None:
    assert texts(value) == expected


@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers_are_read_back(value: int) -> None:
    assert number(str(value)) == value
    assert number(f" {value}\n") == value
    if value >= 0:
        assert number(hex(value)) == value


@pytest.mark.parametrize(
    "text", ["", "-", "1e5", "0x", "0xg", "1.", ".5", "1_0", "١", "9" * 60, "0x" + "f" * 17, "nan"]
)
def test_what_is_no_number(text: str) -> None:
    assert number(text) is None


@given(st.dates(min_value=date(1000, 1, 1)), st.integers(0, 23), st.integers(0, 59), st.sampled_from(" T"))
def test_parts_of_a_time(day: date, hour: int, minute: int, between: str) -> None:
    text = f"{day.isoformat()}{between}{hour:02}:{minute:02}:59.999+05:00"
    expected = (day.year, day.month, day.day, hour, minute, day.isocalendar().week)
    assert tuple(time_part(text, part) for part in ("year", "month", "day", "hour", "minute", "week")) == expected


@pytest.mark.parametrize("text", ["", "-", "2026-13-01 00:00", "2026-02-30 00:00", "03/04/2026 05:06", "2026-03-04"])
def test_what_is_no_time(text: str) -> None:
    assert time_part(text, "day") is None


@given(st.ip_addresses())
def test_addresses(found: IPv4Address | IPv6Address) -> None:
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    assert address(str(found)) == (mapped or found)
    assert address(f" {found} ") == (mapped or found)


def test_addresses_as_windows_writes_them() -> None:
    assert address("fe80:0:0:0:e086:822b:9735:45c8") == ip_address("fe80::e086:822b:9735:45c8")
    assert address("::ffff:10.0.0.5") == IPv4Address("10.0.0.5")
    assert address("LOCAL") is None
    assert address("1" * 1000) is None
