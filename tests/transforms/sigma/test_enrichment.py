"""Rules on fields that the context of a process gives: deferred, and then decided as on the complete event."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huntbeam.schemas.clock import EventTime
from huntbeam.schemas.sysmon import ENRICHABLE
from huntbeam.schemas.winlog import WinlogEvent, parse_record
from huntbeam.transforms.sigma.alerts import Detector, with_context
from huntbeam.transforms.sigma.compile import compile_loaded
from huntbeam.transforms.sigma.enrichment import at_work, deferred, wanted
from huntbeam.transforms.sigma.events import sigma_event
from huntbeam.transforms.sigma.expression import at_most, every, negated, some
from huntbeam.transforms.sigma.fields import context_fields
from huntbeam.transforms.sigma.plan import FALSE, TRUE, All, Expression, Not, RuleSet
from tests.conftest import examples
from tests.events import CHANNEL, SYSMON, Fact, line, wlb7
from tests.transforms.sigma import making
from tests.transforms.sigma.naive import evaluators
from tests.transforms.sigma.rules import PROCESS, Data, loaded, rule, ruleset

IMAGE_LOAD = {"product": "windows", "category": "image_load"}
NETWORK = {"product": "windows", "category": "network_connection"}
MODE = EventTime.UTC_TIME

expressions: st.SearchStrategy[Expression] = st.recursive(
    st.integers(0, 5) | st.sampled_from([TRUE, FALSE]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(every), st.lists(inner, max_size=3).map(some), inner.map(negated)
    ),
    max_leaves=8,
)


def truth(expression: Expression, atoms: list[bool]) -> bool:
    if isinstance(expression, int):
        return atoms[expression]
    if isinstance(expression, Not):
        return not truth(expression.of, atoms)
    together = all if isinstance(expression, All) else any
    return together(truth(child, atoms) for child in expression.of)


@settings(max_examples=examples(100))
@given(expressions, st.sets(st.integers(0, 5)), st.lists(st.booleans(), min_size=6, max_size=6))
def test_what_is_left_without_the_unknown_holds_whenever_the_whole_does(
    expression: Expression, unknown: set[int], atoms: list[bool]
) -> None:
    left = at_most(expression, unknown.__contains__)
    assert truth(left, atoms) or not truth(expression, atoms)
    for one in unknown:  # and does not ask for it
        assert truth(left, atoms) == truth(left, [value ^ (n == one) for n, value in enumerate(atoms)])
    assert unknown or left == at_most(left, unknown.__contains__)


def an_event(event_id: int, **data: Any) -> WinlogEvent:
    return parse_record(line(Fact(event_id, {"ProcessGuid": "{x}", **data}, provider=SYSMON, channel=CHANNEL), wlb7))


def found_by(rules: RuleSet, event: WinlogEvent, context: dict[str, Any], enrich: frozenset[int]) -> list[str]:
    """The rules that fire at once, and then those that were deferred."""
    detector = Detector(rules, enrich)
    first = detector.find(event, MODE)
    if first is None:
        return []
    later = detector.settle(event, MODE, first.deferred, context) if first.deferred else None
    return [alert.rule_id for alert in (*first.alerts, *(later.alerts if later is not None else ()))]


@st.composite
def rules_on_context(draw: st.DrawFn) -> Data:
    """A rule for Sysmon 1, 7 or anything of Windows, whose port is the grandparent."""
    named = {name: draw(making.detections) for name in making.NAMES}
    named["condition"] = draw(making.conditions)
    written = json.dumps(rule(named, draw(st.sampled_from([PROCESS, IMAGE_LOAD, {"product": "windows"}]))))
    made: Data = json.loads(written.replace('"Port', '"GrandParentImage'))
    return made


CONTEXT = st.dictionaries(
    st.sampled_from(["CommandLine", "ParentImage", "User", "GrandParentImage", "OriginalFileName"]), making.one_value
)
OWN = st.dictionaries(st.sampled_from(["Image", "OriginalFileName", "User"]), making.event_values)


@settings(max_examples=examples(100), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(rules_on_context(), min_size=1, max_size=3), st.sampled_from([1, 7]), OWN, CONTEXT)
def test_alerts_are_those_of_the_rule_on_the_complete_event(
    data: list[Data], event_id: int, own: dict[str, Any], context: dict[str, Any]
) -> None:
    parsed, event = loaded(*data), an_event(event_id, **own)
    rules = compile_loaded(parsed)
    plain = sigma_event(event)
    whole = with_context(plain, context).fields
    deferred = {one.id for one in rules.rules if any(event_id in variant.context for variant in one.variants)}
    known = {one.id for one in rules.rules}
    expected = {
        name
        for one, test in evaluators(parsed)
        if (name := str(one.rule.id)) in known and test(whole if name in deferred else plain.fields)
    }
    found = found_by(rules, event, context, frozenset((1, 7)))
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("event_id", sorted(ENRICHABLE))
def test_a_context_never_gives_what_the_event_has(event_id: int) -> None:
    fields = context_fields(event_id)
    assert fields >= {"GrandParentImage", "GrandParentCommandLine"}
    assert ("CommandLine" in fields) == (event_id != 1)
    assert ("Image" in fields) == (event_id in (8, 10))
    assert ("Hashes" in fields) == (event_id not in (1, 7, 23, 24, 26, 27, 28, 29))


GRANDPARENT = rule({"GrandParentImage|endswith": "\\a.exe", "Image|endswith": "\\b.exe"}, PROCESS)


def test_a_rule_on_the_grandparent_is_deferred_as_far_as_the_event_goes() -> None:
    detector = Detector(ruleset(GRANDPARENT), frozenset({1}))
    assert detector.find(an_event(1, Image="C:\\c.exe"), MODE) is None
    found = detector.find(an_event(1, Image="C:\\b.exe"), MODE)
    assert found is not None
    assert (found.alerts, found.hits, found.deferred) == ([], [], (GRANDPARENT["id"],))


def test_an_alert_shows_what_the_context_gave_and_names_the_event() -> None:
    detector, event = Detector(ruleset(GRANDPARENT), frozenset({1})), an_event(1, Image="C:\\b.exe")
    assert detector.settle(event, MODE, [GRANDPARENT["id"]], {"GrandParentImage": "C:\\c.exe"}) is None
    found = detector.settle(event, MODE, [GRANDPARENT["id"], "gone"], {"GrandParentImage": "C:\\A.exe"})
    assert found is not None
    (alert,) = found.alerts
    assert alert.matched["GrandParentImage"] == "C:\\A.exe"
    assert "GrandParentImage" not in alert.event
    assert alert.contributing_count == len(alert.contributing) == 1


@pytest.mark.parametrize(
    ("asked", "fires"),
    [
        ({"ParentImage": None}, True),
        ({"ParentImage|exists": False}, True),
        ({"ParentImage|exists": True}, False),
        ({"ParentImage|neq": "C:\\a.exe"}, True),
        ({"ParentImage": "C:\\a.exe"}, False),
    ],
)
def test_without_a_context_its_fields_are_missing(asked: dict[str, Any], fires: bool) -> None:
    rules, event = ruleset(rule(asked, IMAGE_LOAD)), an_event(7)
    assert bool(found_by(rules, event, {}, frozenset({7}))) is fires
    assert bool(found_by(rules, event, {"ParentImage": "C:\\a.exe"}, frozenset({7}))) is not fires
    at_once = Detector(rules, frozenset({7})).find(event, MODE, defers=False)
    assert (at_once is not None and bool(at_once.alerts)) is fires
    assert at_once is None or at_once.deferred == ()


def test_the_events_own_hashes_are_not_those_of_its_process() -> None:
    rules = ruleset(rule({"Hashes|contains": "SHA1=0", "CommandLine": "x"}, IMAGE_LOAD))
    context = {"Hashes": "SHA1=0", "CommandLine": "x"}
    assert found_by(rules, an_event(7), context, frozenset({7})) == []
    assert len(found_by(rules, an_event(7, Hashes="SHA1=0"), context, frozenset({7}))) == 1


def test_a_rule_that_needs_a_context_is_told_so_and_looks_at_nothing_without() -> None:
    needs = ruleset(rule({"CommandLine": "x"}, NETWORK))
    (error,) = at_work(needs, frozenset()).errors
    assert (error.error_class, error.reason) == (
        "NeedsEnrich",
        "needs --enrich 3: CommandLine is in the creates of the processes, not in Sysmon 3",
    )
    assert at_work(needs, {7}).rules[0].variants == ()
    assert at_work(needs, {3}) == needs
    assert not Detector(needs).wants(SYSMON, CHANNEL, 3)
    assert not Detector(needs, frozenset({7})).wants(SYSMON, CHANNEL, 3)
    assert Detector(needs, frozenset({3})).wants(SYSMON, CHANNEL, 3)
    assert found_by(needs, an_event(3, CommandLine="x"), {}, frozenset()) == []


def test_a_rule_that_can_do_without_a_context_runs_and_says_what_it_lacks() -> None:
    either = rule(
        {"selection": {"Image": "a"}, "filter": {"CommandLine": "x"}, "condition": "selection and not filter"}, NETWORK
    )
    rules = ruleset(either)
    assert [one.reason for one in at_work(rules, frozenset()).notes] == [
        "runs on Sysmon 3 without CommandLine, which --enrich 3 gives"
    ]
    assert at_work(rules, {3}).notes == ()
    event = an_event(3, Image="a")
    assert found_by(rules, event, {"CommandLine": "x"}, frozenset()) == [either["id"]]
    assert found_by(rules, event, {"CommandLine": "x"}, frozenset({3})) == []


def test_events_1_are_enriched_for_the_sake_of_rules_alone() -> None:
    assert wanted(ruleset(GRANDPARENT)) == {1}
    assert at_work(ruleset(GRANDPARENT), frozenset()).errors == ()
    assert wanted(ruleset(rule({"CommandLine": "x"}, NETWORK), rule({"Image": "x"}, PROCESS))) == frozenset()


def test_the_rules_that_events_defer_are_a_small_set_that_finds_the_same() -> None:
    others = [rule({"Image|endswith": f"\\{n}.exe"}, PROCESS) for n in range(50)]
    rules = ruleset(*others, GRANDPARENT, rule({"CommandLine": "x"}, NETWORK))
    few = RuleSet.unpack(deferred(rules, {1, 7}).pack())
    assert [one.id for one in few.rules] == [GRANDPARENT["id"]]
    assert len(few.atoms) < 8 < len(rules.atoms)
    event, context = an_event(1, Image="C:\\b.exe"), {"GrandParentImage": "C:\\a.exe"}
    found = [Detector(one, frozenset({1})).settle(event, MODE, [GRANDPARENT["id"]], context) for one in (few, rules)]
    assert found[0] == found[1] is not None


def test_a_rule_of_several_events_is_deferred_only_where_they_are_enriched() -> None:
    registry = rule({"CommandLine": "x"}, {"product": "windows", "category": "registry_event"})
    rules = ruleset(registry)
    assert found_by(rules, an_event(13), {"CommandLine": "x"}, frozenset({13})) == [registry["id"]]
    assert found_by(rules, an_event(12), {"CommandLine": "x"}, frozenset({13})) == []
    assert "runs on those events of Sysmon 12, 13, 14 that are enriched: --enrich 12,14 adds others" in [
        one.reason for one in at_work(rules, {13}).notes
    ]


def test_a_rule_on_user_waits_for_the_context_since_older_events_have_none() -> None:
    rules = ruleset(rule({"User": "ada"}, IMAGE_LOAD))
    assert len(found_by(rules, an_event(7), {"User": "ada"}, frozenset({7}))) == 1
    assert found_by(rules, an_event(7, User="bob"), {"User": "ada"}, frozenset({7})) == []
