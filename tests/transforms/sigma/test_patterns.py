"""Regular expressions and wildcards: linear, or bounded and said so."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.transforms.sigma.patterns import BACKTRACKING, ENOUGH, glob, regex
from huntbeam.transforms.sigma.plan import ONE, RUN
from tests.transforms.sigma.naive import ANY, SpecialChars, like

LETTERS = "ab.*\\\nΣ😀"
parts = st.lists(st.one_of(st.text(LETTERS, min_size=1, max_size=3), st.sampled_from([RUN, ONE])), max_size=6)


@given(parts, st.text(LETTERS, max_size=10))
def test_wildcards_as_the_textbook_has_them(found: list[str | int], text: str) -> None:
    wanted: list[object] = []
    for part in found:
        if isinstance(part, str):
            wanted += part
        else:
            wanted.append(ANY if part == RUN else SpecialChars.WILDCARD_SINGLE)
    assert glob(found).search(text) == like(wanted, text)


@pytest.mark.parametrize(
    ("pattern", "flags", "text", "expected"),
    [
        ("b+", "", "abc", True),
        ("B", "", "abc", False),
        ("B", "i", "abc", True),
        ("^b", "", "a\nb", False),
        ("^b", "m", "a\nb", True),
        ("a.b", "", "a\nb", False),
        ("a.b", "s", "a\nb", True),
        ("A.^b", "ims", "a\nb", True),
        ("(?i)É", "", "é", True),
        ("^.$", "", "😀", True),
        (".{3,}", "", "ab\ncde", True),
        (".{3,}", "", "ab\ncd", False),
        (".{3,}", "s", "a\nb", True),
        (".{1000}", "", "x" * 1_000, True),
        (".{1000}", "", "x" * 999, False),
    ],
)
def test_flags_and_places(pattern: str, flags: str, text: str, expected: bool) -> None:
    assert regex(pattern, flags).search(text) is expected


@given(st.integers(0, 40), st.text("ab\n", max_size=60), st.sampled_from(["", "s", "i"]))
def test_the_short_way_to_a_length_is_the_same(length: int, text: str, flags: str) -> None:
    python = re.DOTALL if "s" in flags else 0
    assert regex(f".{{{length},}}", flags).search(text) == bool(re.search(f".{{{length},}}", text, python))


def test_lone_surrogates_do_not_stop_it() -> None:
    assert regex("a", "").search("\ud800a")
    assert glob(["a", RUN]).search("a\udfff")


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){12}$", r"(\w+\s?)*;$", "a?" * 40 + "a" * 40])
def test_what_kills_a_backtracking_engine_runs_in_linear_time(pattern: str) -> None:
    """No clock: in Python's engine any of these would not end before the test suite is stopped."""
    assert regex(pattern, "").search("a" * 20_000 + "!") is (pattern.startswith("a?"))


def test_look_arounds_run_on_the_beginning_of_a_value() -> None:
    found = regex("^(?!.*allowed).*evil", "")
    assert found.sees == BACKTRACKING < ENOUGH
    assert found.search("evil")
    assert not found.search("evil but allowed")
    assert not found.search(" " * BACKTRACKING + "evil")
    assert regex("(?<=a)B", "i").search("Ab")


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(?=(a+)+$)", "too long"),
        (r"(a+)\1+$", "too long"),
        ("(?=.*a).*b.*c", "too long"),
        ("(", "not valid"),
        ("a**", "not valid"),
        ("[z-a]", "not valid"),
    ],
)
def test_what_cannot_run_is_refused(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        regex(pattern, "")


def test_a_large_program_sees_less_of_a_value_and_says_so() -> None:
    found = regex(r"\\(?:[^\\]{1,256}x){3}$", "")
    assert 1_000 < found.sees < ENOUGH
    assert found.search("\\" + "ax" * 3)
    assert not found.search(" " * found.sees + "\\" + "ax" * 3)
    assert regex("a.*b", "").sees > ENOUGH
