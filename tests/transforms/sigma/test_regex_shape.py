"""What is known of a regular expression before it runs."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from huntbeam.transforms.sigma.readings import fold
from huntbeam.transforms.sigma.regex_shape import needle, parse, steps

LETTERS = "abAB-9.ßΣ"
_ATOM = st.one_of(
    st.sampled_from(LETTERS).map(re.escape),
    st.sampled_from([".", r"\d", r"\w", r"\s", "[ab]", "[^a]", r"[]\]x]", "^", "$", r"\b", "(?:)"]),
)


def _quantified(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{1,}", "+?"])).map(
        lambda pair: f"(?:{pair[0]}){pair[1]}"
    )


patterns = st.recursive(
    _ATOM,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda of: f"({'|'.join(of)})"),
        st.lists(inner, min_size=2, max_size=3).map("|".join),
        _quantified(inner),
    ),
    max_leaves=8,
)


@given(patterns, st.text(LETTERS, max_size=12), st.booleans())
def test_the_needle_stands_in_whatever_matches(pattern: str, text: str, ignore_case: bool) -> None:
    found = re.search(pattern, text, re.IGNORECASE if ignore_case else 0)
    stands = needle(pattern)
    if found is not None and stands is not None:
        assert fold(stands) in fold(found[0])


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(st.data(), patterns)
def test_the_needle_stands_in_texts_made_to_match(data: st.DataObject, pattern: str) -> None:
    stands = needle(pattern)
    assume(stands is not None)
    assert stands in data.draw(st.from_regex(pattern, alphabet=st.sampled_from(LETTERS + " \n\\]x")))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"(?i)echo.*clip.*&&.*(?:Clipboard|in)", "echo"),
        (r"\$env:Public\[\s*\d{1,3}", "$env:Public["),
        (r"(?:https)?://example", "://example"),
        (r"(abc|def)gh", "gh"),
        (r"(abc)+d", "abc"),
        (r"ab{2,3}cd", "ab"),
        (r"ab{0,3}c", "a"),
        (r"a|b", None),
        (r".*", None),
        (r"x\x41y", None),  # what is escaped so is not known here: the whole pattern is left alone
        (r"[[:alpha:]]]long", None),
        (r"(?x) a b", None),
        (r"a{,3}b", None),
        (r"a++b", None),
    ],
)
def test_needles(pattern: str, expected: str | None) -> None:
    assert needle(pattern) == expected


@pytest.mark.parametrize(
    "pattern",
    [r"(a+)+$", r"(a|a)*b", r"(a?){40}a", r"(\w+\s?)*;", r"(?:a{1,30}){1,30}", r"(a)\1", r"(?(1)a|b)", r"a++", "(((("],
)
def test_what_may_take_forever_has_no_bound(pattern: str) -> None:
    assert steps(pattern, 1_000) > 1e9


def test_each_wildcard_multiplies_the_steps_and_look_arounds_add_theirs() -> None:
    length = 1_000
    assert steps("^abc", length) < 10 * length
    assert length**2 < steps("a.*b", length) < 10 * length**2
    assert length**3 < steps("a.*b.*c", length) < 10 * length**3
    assert steps("^(?=.*a)(?!.*b)", length) < 10 * length


@given(patterns)
def test_what_python_takes_is_understood_or_left_alone(pattern: str) -> None:
    re.compile(pattern)
    assert parse(pattern) is None or steps(pattern, 10) >= 10
