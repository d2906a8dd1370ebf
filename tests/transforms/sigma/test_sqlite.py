"""The matcher against pySigma's SQLite backend: equal on plain text, and each known difference with its reason."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huntbeam.transforms.sigma.compile import compile_loaded
from tests.conftest import examples
from tests.test_synthesize import load as benchmark
from tests.transforms.sigma.making import NAMES, conditions
from tests.transforms.sigma.rules import Data, event, hits, loaded, rule

rival = benchmark("rival_sqlite")
Table, queries = rival.Table, rival.queries

LETTERS = "abAB0.\\*?-/ %_['"
words = st.text(LETTERS, min_size=1, max_size=5)


@st.composite
def items(draw: st.DrawFn) -> tuple[str, Any]:
    """What both express: text, without letters beyond ASCII."""
    field = draw(st.sampled_from(["A", "B", "C"]))
    kind = draw(st.sampled_from(["text", "text", "re", "base64", "windash", "fieldref", "null", "empty"]))
    neq = draw(st.sampled_from(["", "", "|neq"]))
    place = draw(st.sampled_from(["", "|contains", "|startswith", "|endswith"]))
    cased = draw(st.sampled_from(["", "|cased"]))
    several = st.one_of(words, st.lists(words, min_size=1, max_size=3))
    values: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
        "text": (f"{place}{cased}", several),
        "re": ("|re|i", st.sampled_from(["^a", "b+", "a.b", r"\\", "(a|B)0"])),
        "base64": ("|base64offset|contains", st.text("abAB0.", min_size=1, max_size=4)),
        "windash": (f"|windash{place}", st.sampled_from(["-a", " /b"])),
        "fieldref": (f"|fieldref{place}", st.sampled_from(["A", "B", "C"])),
        "null": ("", st.none()),
        "empty": ("", st.just("")),
    }
    modifiers, strategy = values[kind]
    return f"{field}{modifiers}{neq}", draw(strategy)


maps = st.lists(items(), min_size=1, max_size=3).map(dict)
keywords = st.lists(words, min_size=1, max_size=3)
detections = st.tuples(
    *(st.one_of(maps, maps, st.lists(maps, min_size=1, max_size=2), keywords) for _ in NAMES), conditions
).map(lambda five: {**dict(zip(NAMES, five[:-1], strict=True)), "condition": five[-1]})
fields = st.dictionaries(st.sampled_from(["A", "B", "C"]), st.one_of(st.text(LETTERS, max_size=8), st.none()))


def both(detection: Data, found: list[dict[str, Any]]) -> tuple[set[int], set[int]]:
    """The numbers of the events that each selects."""
    parsed = loaded(rule(detection))
    (query,), refused = queries(parsed)
    assert refused == {}
    events = [event(one) for one in found]
    rules = compile_loaded(parsed)
    assert rules.errors == ()
    ours = {number for number, one in enumerate(events) if hits(rules, one)}
    return ours, Table([one.fields for one in events], query.fields).hits(query)


@settings(max_examples=examples(80), suppress_health_check=[HealthCheck.too_slow])
@given(detections, st.lists(fields, min_size=1, max_size=5))
def test_both_select_the_same(detection: Data, found: list[dict[str, Any]]) -> None:
    ours, theirs = both(detection, found)
    assert ours == theirs


@pytest.mark.parametrize(
    ("detection", "fields", "ours"),
    [
        ({"A": "é"}, {"A": "É"}, True),  # SQLite knows the case of ASCII's letters alone
        ({"A|exists": True}, {"A": None}, True),  # a field that is null is a field; a column cannot say so
        ({"A": 443}, {"A": "0x1bb"}, True),  # Windows writes numbers in both ways
        ({"A|gt": 9}, {"A": "10"}, True),  # a column of text compares as text
        ({"A|gt": 9}, {"A": "a"}, False),
        ({"A|cidr": "::1/128"}, {"A": "0:0:0:0:0:0:0:1"}, True),  # the backend compares how addresses are written
        ({"A|cidr": "10.0.0.0/8"}, {"A": "::ffff:10.1.2.3"}, True),
        ({"A|cidr": "10.0.0.0/8"}, {"A": "10.example"}, False),
        ({"A|week": 53}, {"A": "2027-01-03 00:00"}, True),  # ISO 8601's week, as Sigma counts: 1 to 53
        ({"A|hour": 23}, {"A": "2026-03-04T23:00:00+05:00"}, True),  # as written: the specification forbids zones
        ({"A": "x"}, {"A": ["y", "x"]}, True),  # a list is no column
        ({"A|re": "a$"}, {"A": "a\n"}, False),  # RE2's $ is the end
        ({"A|re": r"^\d$"}, {"A": "١"}, False),  # and its digits are ASCII's
        ({"selection": ["x*y"], "condition": "selection"}, {"A": "x", "B": "y"}, False),  # a keyword is of one value
    ],
)
def test_where_they_differ(detection: Data, fields: dict[str, Any], ours: bool) -> None:
    mine, theirs = both(detection, [fields])
    assert mine == ({0} if ours else set())
    assert theirs == (set() if ours else {0})
