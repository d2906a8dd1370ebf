"""Sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.schemas.size import parse_size


@given(st.integers(0, 10**9), st.sampled_from(["", " "]), st.sampled_from("kKMGT"), st.sampled_from(["", "B"]))
def test_units_of_a_thousand_and_of_1024(number: int, space: str, unit: str, byte: str) -> None:
    power = " kMGT".index(unit.replace("K", "k"))
    assert parse_size(f"{number}{space}{unit}{byte}") == number * 1000**power
    assert parse_size(f"{number}{space}{unit}i{byte}") == number * 1024**power


@pytest.mark.parametrize("text", ["", "GiB", "1.5GB", "-1", "1iB", "1 G i B", "1GiBs", "٣", "9" * 16])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="such as 1GiB"):
        parse_size(text)
