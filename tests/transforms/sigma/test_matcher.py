"""The matcher: by example, and against closures over pySigma's tree on rules and events of every kind."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from huntbeam.transforms.sigma import matcher as matching
from huntbeam.transforms.sigma import scan, source_rules
from huntbeam.transforms.sigma.compile import compile_loaded
from huntbeam.transforms.sigma.events import SECURITY, SYSMON, SigmaEvent
from huntbeam.transforms.sigma.matcher import Matcher
from huntbeam.transforms.sigma.plan import RuleSet
from tests.conftest import examples
from tests.transforms.sigma import making
from tests.transforms.sigma.naive import evaluators
from tests.transforms.sigma.rules import (
    PROCESS,
    Data,
    event,
    hits,
    loaded,
    matches,
    rule,
    ruleset,
    security,
    sysmon,
)

EVERYWHERE = rule({"selection": ["a"], "condition": "selection"}, {"product": "windows"})


def compared(data: list[Data], found: list[SigmaEvent]) -> None:
    """The matcher's hits are the oracle's, and so is the truth of every explanation."""
    parsed = loaded(*data)
    rules = compile_loaded(parsed)
    broken = {error.rule for error in rules.errors}
    oracle = [(str(one.rule.id), test) for one, test in evaluators(parsed) if str(one.rule.id) not in broken]
    matcher = Matcher(RuleSet.unpack(rules.pack()))
    for one in [*found, *found]:  # again, from what is remembered
        expected = {name for name, test in oracle if test(one.fields)}
        got = matcher.match(one)
        assert {rules.rules[index].id for index in got} == expected
        assert got == sorted(set(got))
        for index in range(len(rules.rules)):
            assert matcher.explain(index, one).truth == (index in got)
            if index in got:
                assert matcher.matched(index, one, known=True) == matcher.matched(index, one)


@settings(max_examples=examples(120), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(making.rules(), min_size=1, max_size=3), st.lists(making.events(), min_size=1, max_size=4))
@example([rule({"Image|contains": "a"}), EVERYWHERE], [event({"Image": "a"})])
def test_the_matcher_agrees_with_the_oracle(data: list[Data], found: list[SigmaEvent]) -> None:
    compared([{**one, "id": rule({})["id"]} for one in data], found)


@settings(max_examples=examples(120), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    st.lists(making.rules(), min_size=1, max_size=3),
    st.lists(making.events(), min_size=1, max_size=3),
    st.integers(0, 3),
)
@example([rule({"A|contains": "a"}), EVERYWHERE], [event({"B": "cab", "A": ["cab", "b"], "C": "bab"})], 1)
def test_it_agrees_whatever_is_long(data: list[Data], found: list[SigmaEvent], short: int) -> None:
    with patch.object(source_rules, "REMEMBERED_LENGTH", short), patch.object(scan, "REMEMBERED_LENGTH", short):
        compared([{**one, "id": rule({})["id"]} for one in data], found)


@settings(max_examples=examples(80), suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(making.items(), making.items(keyword=True)), min_size=1, max_size=4), making.events())
def test_each_item_by_itself_agrees_with_the_oracle(pairs: list[Any], found: SigmaEvent) -> None:
    singles = [dict([item]) for pair in pairs for item in pair]
    compared([rule({"selection": one, "condition": "selection"}, {"product": "windows"}) for one in singles], [found])


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(making.rules(), min_size=1, max_size=3), st.lists(making.events(), min_size=1, max_size=4))
def test_what_was_worked_out_before_changes_no_hit(data: list[Data], found: list[SigmaEvent]) -> None:
    rules = ruleset(*({**one, "id": rule({})["id"]} for one in data))
    bare = [replace(one, variants=tuple(replace(two, needs=None) for two in one.variants)) for one in rules.rules]
    prepared, plain = Matcher(rules), Matcher(replace(rules, rules=tuple(bare), requires={}))
    for one in found:
        assert prepared.match(one) == plain.match(one)


def rule_of(values: list[str]) -> Data:
    selection = {"CommandLine|contains": values, "Image|endswith": values}
    detection = {"selection": selection, "keys": values, "condition": "selection or keys"}
    return rule(detection, {"product": "windows"})


@settings(max_examples=30)
@given(st.lists(making.words, min_size=1, max_size=5), making.words, st.integers(1_000, 40_000))
def test_huge_values(words: list[str], unit: str, times: int) -> None:
    literal = [word.replace("\\", "").replace("*", "").replace("?", "") for word in words]
    huge = unit * times
    compared(
        [rule_of(literal)], [event({"CommandLine": huge, "Image": huge + words[0]}), event({"X": huge + words[-1]})]
    )


# Examples -------------------------------------------------------------------------------------------------------------


def test_rules_are_told_by_their_index_in_ascending_order() -> None:
    found = ruleset(*(rule({"A|contains": word}) for word in ("x", "y", "z", "x")))
    assert hits(found, event({"A": "zx"})) == [0, 2, 3]


def test_a_rule_without_conditions_on_fields_is_always_checked() -> None:
    found = ruleset(rule({"A": None}), rule({"A|neq": "x"}), rule({"A|exists": False}), rule({"A|re": "^.?$"}))
    assert hits(found, event({})) == [0, 1, 2]
    assert hits(found, event({"A": "x"})) == [3]


@pytest.mark.parametrize("channel", ["Microsoft-Windows-Sysmon/Operational", "MICROSOFT-WINDOWS-SYSMON/operational"])
def test_channels_are_names_without_case(channel: str) -> None:
    found = ruleset(rule({"Image": "a"}, PROCESS))
    assert hits(found, event({"Image": "A"}, channel, 1)) == [0]


def test_only_rules_of_the_events_source_are_looked_at() -> None:
    found = ruleset(rule({"CommandLine|contains": "x"}, PROCESS), rule({"CommandLine|contains": "x"}))
    matcher = Matcher(found)
    assert matcher.match(sysmon(1, CommandLine="x")) == [0]
    assert matcher.match(security(4688, CommandLine="x")) == [0]
    assert matcher.match(event({"CommandLine": "x"})) == [1]
    assert matcher.match(sysmon(5, CommandLine="x")) == []
    assert {len(source.rules) for source in matcher._sources.values()} == {0, 1}


def test_what_events_call_themselves_takes_no_memory() -> None:
    matcher = Matcher(ruleset(rule({"A": 1}), EVERYWHERE))
    for number in range(2_000):
        one = event({"B": "a"}, f"Channel {number}", number)
        assert matcher.match(one) == [1]
        assert matcher.match(event({"A": "1"}, "Application", number)) == [0, 1]
    assert len(matcher._sources) == 2


def test_what_stands_in_the_envelope_counts_as_what_stands_in_the_data() -> None:
    everywhere = {"product": "windows"}
    found = ruleset(
        rule({"selection": ["ws-7"], "condition": "selection"}, everywhere),
        rule({"selection": {"Computer|endswith": "8"}, "condition": "selection"}, everywhere),
        rule({"selection": {"A": "x"}, "no": {"Computer": "ws-7"}, "condition": "selection and not no"}, everywhere),
    )
    matcher = Matcher(found)
    first = event({"A": "x"})
    second = replace(first, fields={**first.fields, "Computer": "ws-8"})
    own = event({"Computer": "ws-8", "A": "x"})  # the event's own data say otherwise, but the envelope counts
    for _ in range(2):
        assert matcher.match(first) == [0]
        assert matcher.match(second) == [1, 2]
        assert matcher.match(own) == [0]


def test_what_is_known_of_envelopes_stays_bounded() -> None:
    matcher = Matcher(ruleset(EVERYWHERE))
    with patch.object(matching, "MET", 4):
        for number in range(20):
            one = event({})
            assert matcher.match(replace(one, fields={**one.fields, "Computer": f"host {number} a"})) == [0]
            assert matcher.match(replace(one, fields={**one.fields, "Computer": "b" * 300 + "A"})) == [0]
    assert 0 < len(matcher._met) <= 4
    assert max(len(host or "") for host, *_ in matcher._met) < 300


def test_no_value_is_taken_for_another() -> None:
    found = ruleset(rule({"A": 1}), rule({"A": "true"}), rule({"A|contains": "l"}))
    matcher = Matcher(found)
    values = [("1", [0]), (1, [0]), (True, [1]), (1.0, [0]), ("TRUE", [1]), (None, []), ("l", [2])]
    for value, expected in [*values, (["x", 1, "true", "l"], [0, 1, 2]), *reversed(values)]:
        assert matcher.match(event({"A": value})) == expected, value


def test_long_values_are_looked_up_beside_short_ones() -> None:
    zz = rule({"selection": ["zz"], "condition": "selection"}, {"product": "windows"})
    matcher = Matcher(ruleset(rule({"A|contains": "needle"}), rule({"A|endswith": "x"}), zz))
    values: list[tuple[str | list[str], list[int]]] = [
        ("Needle", [0]),
        ("y" * 5_000 + "X", [1]),
        ("needle", [0]),
        ("n" * 5_000, []),
        ("z" * 5_000, [2]),
        (["needle", "z" * 5_000 + "x"], [0, 1, 2]),
        ("a", []),
    ]
    for value, expected in values * 2:
        assert matcher.match(event({"A": value})) == expected
        assert matcher.match(event({"A": value, "B": value})) == expected
        assert matcher.match(event({"B": value})) == [rule for rule in expected if rule == 2]


def test_channels_and_ids_in_conditions_are_meant() -> None:
    everywhere = {"product": "windows"}
    found = ruleset(
        rule({"selection": {"A": 1}, "no": {"EventID": 15}, "condition": "selection and not no"}, everywhere),
        rule({"selection": {"A": 1}, "no": {"Channel": "Security"}, "condition": "selection and not no"}, everywhere),
        rule({"selection": {"A": 1}, "or": {"EventID|gte": 4000}, "condition": "selection and or"}, everywhere),
        rule({"selection": {"A": 1, "EventID|contains": "68"}, "condition": "selection"}, everywhere),
        rule({"selection": {"A": 1, "EventID": [1, "4688"]}, "condition": "selection"}, everywhere),
    )
    assert hits(found, event({"A": 1}, SYSMON, 15)) == [1]
    assert hits(found, event({"A": 1}, "security", 4688)) == [0, 2, 3, 4]
    assert hits(found, event({"A": 1}, None, 1)) == [0, 1, 4]
    assert hits(found, event({"A": 1}, "System", 5000)) == [0, 1, 2]


def test_a_rule_made_to_explode_takes_no_longer_than_another() -> None:
    """No clock: a backtracking engine would not come back."""
    long = "a" * 100_000
    assert matches({"CommandLine|re": "(a+)+$"}, {"CommandLine": long})
    assert not matches({"CommandLine|re": "^(a+)+$"}, {"CommandLine": long + "!"})
    assert not matches({"CommandLine|re": "(a|a)*b(c+)+$"}, {"CommandLine": long + "bc" * 50_000 + "!"})
    assert not matches({"CommandLine": "a*a*a*a*a*a*a*a*a*b"}, {"CommandLine": long})


def test_what_made_a_rule_match() -> None:
    detection = {
        "selection": {"Image|endswith": ["\\a.exe", "\\b.exe"], "User": None},
        "extra": [{"CommandLine|contains": "x"}, {"Port": 1}],
        "keys": ["needle"],
        "filter": {"Company": "good"},
        "condition": "(selection and not filter) or extra or keys",
    }
    matcher = Matcher(ruleset(rule(detection)))
    assert matcher.matched(0, event({"Image": "C:\\A.EXE", "Port": 2})) == {"Image": "C:\\A.EXE", "User": None, **KIND}
    assert matcher.matched(0, event({"CommandLine": "xx", "Port": "1"})) == {"CommandLine": "xx", "Port": "1", **KIND}
    assert matcher.matched(0, event({"B": ["a", "needles"], "C": 1})) == {"B": ["a", "needles"], **KIND}
    assert matcher.matched(0, event({"Image": "C:\\A.EXE", "Company": "GOOD"})) == {}
    referring = Matcher(ruleset(rule({"A|fieldref": "B"})))
    assert referring.matched(0, event({"A": "x", "B": "X"})) == {"A": "x", "B": "X", **KIND}


KIND = {"Channel": "Application"}


def test_an_explanation_has_every_leaf() -> None:
    detection = {
        "selection": {"A|contains": "x", "B|re": "y"},
        "filter": {"C": 1},
        "condition": "selection and not filter",
    }
    matcher = Matcher(ruleset(rule(detection)))
    found = matcher.explain(0, event({"A": "X", "B": "y", "C": "0x1"}))
    assert (found.says, found.truth) == ("source Application", False)
    (whole,) = found.of
    assert whole.says == "and"
    assert [(one.says, one.truth) for one in whole.of] == [
        ('Channel is "application"', True),
        ('A contains "x"', True),
        ("B matches /y/", True),
        ("not", False),
    ]
    assert [(one.says, one.field, one.truth) for one in whole.of[3].of] == [("C is 1", "C", True)]


def test_an_explanation_tells_the_sources_apart() -> None:
    matcher = Matcher(ruleset(rule({"Image": "a"}, PROCESS)))
    found = matcher.explain(0, security(4688, NewProcessName="A"))
    assert [(one.says, one.truth, len(one.of)) for one in found.of] == [
        ("source Sysmon 1", False, 0),
        ("source Security 4688", True, 1),
    ]
    assert matcher.matched(0, security(4688, NewProcessName="A")) == {
        "Channel": SECURITY,
        "EventID": 4688,
        "NewProcessName": "A",
    }
