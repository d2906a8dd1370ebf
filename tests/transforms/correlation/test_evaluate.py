"""Correlations: against an evaluator written from the text, word by word, and by example."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntbeam.schemas import uid
from huntbeam.schemas.clock import SECOND, instant
from huntbeam.schemas.correlation import (
    NUMERIC,
    Bound,
    Correlation,
    CorrelationAlert,
    CorrelationType,
    GroupKey,
    Hit,
    Operator,
    Reference,
)
from huntbeam.transforms.correlation.evaluate import evaluate
from tests.conftest import examples

SPAN = 10 * SECOND
NOON = 1_800_000_000_000
GROUP = ("ada", None)
RULES = ("one", "two", "three")


def correlation(
    kind: CorrelationType = CorrelationType.EVENT_COUNT,
    *bounds: tuple[str, float],
    rules: Sequence[str] = RULES,
    **others: Any,
) -> Correlation:
    return Correlation(
        rule_id="c-1",
        title="A correlation",
        type=kind,
        references=tuple(Reference(rule) for rule in rules),
        group_by=("User", "Computer"),
        timespan_ms=SPAN,
        bounds=tuple(Bound(Operator(name), threshold) for name, threshold in bounds),
        **others,
    )


def hit(time: int, name: str, rule: str = "one", value: Any = None) -> Hit:
    return Hit(NOON + time, name, rule, value)


# What the text says ---------------------------------------------------------------------------------------------------

Naive = dict[str, Any]  # an event: time, uid, rules, value


def naive_events(asked: Correlation, hits: Sequence[Hit]) -> list[Naive]:
    """Those matching the rule, by event_uid once, sorted by (event time, event_uid)."""
    order = [reference.rule for reference in asked.references]
    events = []
    for event_uid in {h.event_uid for h in hits if h.rule in order}:
        copies = sorted((h for h in hits if h.event_uid == event_uid and h.rule in order), key=lambda h: h.rule)
        values = [h.value for rule in order for h in copies if h.rule == rule and h.value is not None]
        rules = {h.rule for h in copies}
        events.append({"time": copies[0].time_ms, "uid": event_uid, "rules": rules, "value": (*values, None)[0]})
    return sorted(events, key=lambda e: (e["time"], e["uid"]))


def ordered_in(rules: Sequence[str], events: Sequence[Naive]) -> bool:
    """Whether an order-respecting subsequence exists."""
    return any(
        all(rule in e["rules"] for rule, e in zip(rules, chosen, strict=True))
        for chosen in combinations(events, len(rules))
    )


def holds(asked: Correlation, events: Sequence[Naive]) -> bool:
    """The condition, on the events of a window."""
    rules = [reference.rule for reference in asked.references]
    values = [e["value"] for e in events if e["value"] is not None]
    found: Fraction
    match asked.type:
        case CorrelationType.EVENT_COUNT:
            found = Fraction(len(events))
        case CorrelationType.VALUE_COUNT:
            found = Fraction(len(set(values)))
        case CorrelationType.TEMPORAL:
            found = Fraction(len(set().union(*(e["rules"] for e in events))))
        case CorrelationType.TEMPORAL_ORDERED:
            return ordered_in(rules, events)
        case _ if not values:
            return False
        case CorrelationType.VALUE_SUM:
            found = sum(map(Fraction, values), Fraction())
        case CorrelationType.VALUE_AVG:
            found = sum(map(Fraction, values), Fraction()) / len(values)
        case CorrelationType.VALUE_PERCENTILE:
            enough = (v for v in values if 100 * sum(w <= v for w in values) >= (asked.percentile or 0) * len(values))
            found = Fraction(min(enough))
        case CorrelationType.VALUE_MEDIAN:
            middle = sorted(map(Fraction, values))
            found = (middle[(len(values) - 1) // 2] + middle[len(values) // 2]) / 2
    compare: dict[str, Callable[[Any, Any], bool]] = {
        "gt": operator.gt,
        "gte": operator.ge,
        "lt": operator.lt,
        "lte": operator.le,
        "eq": operator.eq,
        "neq": operator.ne,
    }
    return all(compare[bound.operator](found, Fraction(bound.threshold)) for bound in asked.bounds)


def naive(asked: Correlation, group: tuple[str | None, ...], hits: Sequence[Hit]) -> list[CorrelationAlert]:
    events, span = naive_events(asked, hits), asked.timespan_ms

    def window(end: Naive) -> list[Naive]:
        return [e for e in events if end["time"] - span < e["time"] <= end["time"]]

    found = [e for e in events if holds(asked, window(e))]
    breaks = [0, *(n for n, (a, b) in enumerate(pairwise(found), 1) if b["time"] - a["time"] > span), len(found)]
    alerts = []
    for run in (found[a:b] for a, b in pairwise(breaks) if a < b):
        members = {e["uid"] for end in run for e in window(end)}
        contributing = [e for e in events if e["uid"] in members]
        alerts.append(
            CorrelationAlert(
                time=instant(run[0]["time"]),
                event_uid=uid.digest("c1", asked.rule_id, list(group), run[0]["uid"]),
                revision=0,
                retracted=False,
                truncated=False,
                key=GroupKey(asked.rule_id, asked.version, group),
                group=dict(zip(asked.group_by, group, strict=True)),
                first_seen=instant(contributing[0]["time"]),
                last_seen=instant(run[-1]["time"]),
                events=len(contributing),
                event_uids=[e["uid"] for e in contributing[:100]],
            )
        )
    return alerts


# Properties -----------------------------------------------------------------------------------------------------------

TEXTS = st.sampled_from([None, "a", "b", "c"])
NUMBERS = st.sampled_from([None, 0, 1, 2, 2, 3, -5, 2**62, 0.1, 0.5, 2.5, 1e308, 5e-324])


@st.composite
def correlations(draw: st.DrawFn) -> Correlation:
    kind = draw(st.sampled_from(CorrelationType))
    rules = RULES[: draw(st.integers(1, 3))]
    thresholds = st.integers(0, 4) if kind not in NUMERIC else NUMBERS.filter(lambda n: n is not None)
    bounds = draw(st.lists(st.tuples(st.sampled_from(Operator), thresholds), min_size=1, max_size=2))
    if kind is CorrelationType.TEMPORAL_ORDERED:
        bounds = []
    percentile = draw(st.integers(0, 100)) if kind is CorrelationType.VALUE_PERCENTILE else None
    return correlation(kind, *bounds, rules=rules, percentile=percentile)


def values(asked: Correlation) -> st.SearchStrategy[Any]:
    if asked.type in NUMERIC:
        return NUMBERS
    return TEXTS if asked.type is CorrelationType.VALUE_COUNT else st.none()


TIMES = st.sampled_from([0, 1, SPAN - 1, SPAN, SPAN + 1, 2 * SPAN, 3 * SPAN]) | st.integers(0, 4 * SPAN)


@st.composite
def asked_with_hits(draw: st.DrawFn) -> tuple[Correlation, list[Hit]]:
    asked = draw(correlations())
    found = []
    for name in range(draw(st.integers(0, 14))):
        time = draw(TIMES)
        rules = draw(st.lists(st.sampled_from([*RULES, "other"]), min_size=1, max_size=3, unique=True))
        copies = [hit(time, f"{name:02}", rule, draw(values(asked))) for rule in rules]
        found += copies + copies[: draw(st.integers(0, 1))]
    return asked, found


@settings(max_examples=examples(200), deadline=None)
@given(asked_with_hits(), st.randoms(use_true_random=False))
def test_alerts_are_what_the_text_says_in_any_order(case: tuple[Correlation, list[Hit]], random: Any) -> None:
    asked, hits = case
    expected = naive(asked, GROUP, hits)
    random.shuffle(hits)
    assert evaluate(asked, GROUP, hits) == expected


@given(asked_with_hits())
def test_an_event_contributes_to_one_alert(case: tuple[Correlation, list[Hit]]) -> None:
    alerts = evaluate(case[0], GROUP, case[1])
    listed = [event_uid for alert in alerts for event_uid in alert.event_uids]
    assert len(set(listed)) == len(listed) == sum(alert.events for alert in alerts)
    assert len({alert.event_uid for alert in alerts}) == len(alerts)


# Examples -------------------------------------------------------------------------------------------------------------


def shown(asked: Correlation, *hits: Hit) -> list[tuple[str, list[str]]]:
    """The first satisfied event's time, and who contributed."""
    return [(alert.time, alert.event_uids) for alert in evaluate(asked, GROUP, hits)]


def at(time: int) -> str:
    return instant(NOON + time)


def test_the_window_is_open_at_its_start_and_closed_at_its_end() -> None:
    asked = correlation(CorrelationType.EVENT_COUNT, ("gte", 2))
    assert shown(asked, hit(0, "a"), hit(SPAN, "b")) == []
    assert shown(asked, hit(1, "a"), hit(SPAN, "b")) == [(at(SPAN), ["a", "b"])]


def test_events_of_one_millisecond_see_one_another() -> None:
    asked = correlation(CorrelationType.EVENT_COUNT, ("gte", 2))
    (alert,) = evaluate(asked, GROUP, [hit(0, "b"), hit(0, "a")])
    assert alert.event_uid == uid.correlation("c-1", GROUP, "a")


def test_a_gap_of_a_timespan_is_one_run_and_a_longer_one_two() -> None:
    asked = correlation(CorrelationType.EVENT_COUNT, ("gte", 1))
    assert len(shown(asked, hit(0, "a"), hit(SPAN, "b"))) == 1
    assert len(shown(asked, hit(0, "a"), hit(SPAN + 1, "b"))) == 2


def test_a_range_has_two_bounds() -> None:
    asked = correlation(CorrelationType.EVENT_COUNT, ("gt", 1), ("lte", 2))
    assert shown(asked, *(hit(n, name) for n, name in enumerate("abcd"))) == [(at(1), ["a", "b"])]


def test_an_alert_lists_a_hundred_events_and_counts_all() -> None:
    asked = correlation(CorrelationType.EVENT_COUNT, ("gte", 250))
    (alert,) = evaluate(asked, GROUP, [hit(n, f"{n:03}") for n in range(300)])
    assert alert.events == 300
    assert alert.event_uids == [f"{n:03}" for n in range(100)]


def test_an_event_that_matches_all_rules_is_near_itself_but_not_after_itself() -> None:
    hits = [hit(0, "a", rule) for rule in RULES]
    assert len(shown(correlation(CorrelationType.TEMPORAL, ("gte", 3)), *hits)) == 1
    assert shown(correlation(CorrelationType.TEMPORAL_ORDERED), *hits) == []


def test_of_one_millisecond_the_smaller_uid_comes_first() -> None:
    asked = correlation(CorrelationType.TEMPORAL_ORDERED, rules=("one", "two"))
    assert shown(asked, hit(0, "b", "one"), hit(0, "a", "two")) == []
    assert shown(asked, hit(0, "a", "one"), hit(0, "b", "two")) == [(at(0), ["a", "b"])]


@pytest.mark.parametrize(("percentile", "found"), [(0, 1), (1, 1), (20, 1), (21, 2), (50, 3), (95, 5), (100, 5)])
def test_a_percentile_is_the_value_at_the_nearest_rank(percentile: int, found: int) -> None:
    asked = correlation(CorrelationType.VALUE_PERCENTILE, ("eq", found), percentile=percentile)
    hits = [hit(0, str(n), value=n) for n in (5, 3, 1, 4, 2)]
    assert len(shown(asked, *hits)) == 1


def test_a_sum_keeps_no_rounding_of_what_has_left() -> None:
    asked = correlation(CorrelationType.VALUE_SUM, ("eq", 0.1))
    assert shown(asked, hit(0, "a", value=1e300), hit(SPAN, "b", value=0.1)) == [(at(SPAN), ["b"])]


def test_no_values_are_no_sum_but_a_count_of_none() -> None:
    hits = [hit(0, "a"), hit(1, "b")]
    assert shown(correlation(CorrelationType.VALUE_SUM, ("lt", 5)), *hits) == []
    assert len(shown(correlation(CorrelationType.VALUE_COUNT, ("lt", 1)), *hits)) == 1


def test_ids_do_not_change() -> None:
    (alert,) = evaluate(correlation(CorrelationType.EVENT_COUNT, ("gte", 1)), GROUP, [hit(0, "a")])
    assert alert.event_uid == uid.digest("c1", "c-1", ["ada", None], "a") == "e811adcbf016d2dd74172ee83bceebdc"
