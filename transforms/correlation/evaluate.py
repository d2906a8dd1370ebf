"""Correlations: the alerts of a group's hits, by docs/semantics.md, "Correlations". The pure evaluator.

An event is there once, whatever rules it hit and how often. It is satisfied when the condition holds on the events of
its group in (t - timespan, t], those of its own millisecond included. A run is a chain of satisfied events with gaps of
at most the timespan; the events of its windows contribute to it. Windows of one run overlap, those of two never do: so
what contributes is every event in (first satisfied - timespan, last satisfied], and no event counts twice.

An alert is itself an event to a correlation that names its rule: at the event time of its run's first satisfied event,
which is what its id hangs on, so that a run that grows moves neither. Its fields are those it was grouped by.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import msgspec

from huntbeam.schemas import uid
from huntbeam.schemas.clock import instant
from huntbeam.schemas.correlation import (
    CONTRIBUTING,
    NUMERIC,
    Correlation,
    CorrelationAlert,
    Group,
    GroupKey,
    Hit,
    Value,
)
from huntbeam.transforms.correlation.measures import Event, Exact, measure


class Mark(NamedTuple):
    """Where an event stands in its group's order."""

    time: int
    uid: str


class Run(msgspec.Struct, array_like=True):
    """A run, or a part of one: satisfied events that are a chain, and what is already counted of their windows."""

    first: Mark  # satisfied
    last: int  # time of the last satisfied event
    events: int = 0
    head: list[Mark] = []  # the first of the events, at most CONTRIBUTING
    truncated: bool = False


def evaluate(correlation: Correlation, group: Group, hits: Iterable[Hit]) -> list[CorrelationAlert]:
    """Replay: the alerts of all hits of a group, which come in any order, by event time."""
    events = merged(correlation, hits)
    runs = link(satisfied(correlation, events), correlation.timespan_ms)
    return [alert(correlation, group, gathered(run, events, correlation.timespan_ms)) for run in runs]


def merged(correlation: Correlation, hits: Iterable[Hit]) -> list[Event]:
    """Each event once, in the group's order. Of several values that of the rule listed first counts."""
    rank = {reference.rule: n for n, reference in reversed(list(enumerate(correlation.references)))}
    by_uid: dict[str, list[Hit]] = {}
    for hit in hits:
        if hit.rule in rank:
            by_uid.setdefault(hit.event_uid, []).append(hit)
    numeric = correlation.type in NUMERIC
    events = [_event(copies, rank, numeric) for copies in by_uid.values()]
    events.sort()
    return events


def _event(copies: list[Hit], rank: dict[str, int], numeric: bool) -> Event:
    hit = copies[0]
    rules, time, value = frozenset((hit.rule,)), hit.time_ms, hit.value
    if len(copies) > 1:
        rules, time = frozenset(one.rule for one in copies), min(one.time_ms for one in copies)
        values = [(rank[one.rule], str(one.value), one.value) for one in copies if one.value is not None]
        value = min(values, key=lambda found: found[:2])[2] if values else None
    return Event(time, hit.event_uid, rules, _exact(value) if numeric else value)


def _exact(value: Value | None) -> Exact | None:
    """A number that adds up to the same in any order."""
    if isinstance(value, float):
        return Fraction(value)
    return value if isinstance(value, int) else None


def satisfied(correlation: Correlation, events: Sequence[Event]) -> list[Run]:
    """The satisfied of a group's events, each as the run that it alone would be."""
    looked_at = measure(correlation, events)
    found: list[Run] = []
    oldest = 0
    for time, same in groupby(events, key=attrgetter("time")):
        now = list(same)
        for event in now:
            looked_at.enter(event)
        while events[oldest].time <= time - correlation.timespan_ms:
            looked_at.leave(events[oldest])
            oldest += 1
        if looked_at.holds():
            found += [Run(Mark(time, event.uid), time) for event in now]
    return found


def link(parts: Iterable[Run], timespan_ms: int) -> list[Run]:
    """Parts of runs as maximal runs, by time. The parts stay as they are."""
    runs: list[Run] = []
    for part in sorted(parts, key=attrgetter("first")):
        if runs and part.first.time - runs[-1].last <= timespan_ms:
            runs[-1] = _joined(runs[-1], part)
        else:
            runs.append(part)
    return runs


def _joined(a: Run, b: Run) -> Run:
    head = a.head
    if b.head:
        head = sorted([*a.head, *b.head])[:CONTRIBUTING]
    return Run(a.first, max(a.last, b.last), a.events + b.events, head, a.truncated or b.truncated)


def gathered(run: Run, events: Sequence[Event], timespan_ms: int) -> Run:
    """The run with those of the events that contribute to it counted, too."""
    start = bisect_right(events, run.first.time - timespan_ms, key=attrgetter("time"))
    stop = bisect_right(events, run.last, key=attrgetter("time"))
    if start == stop:
        return run
    first = [Mark(event.time, event.uid) for event in events[start : min(stop, start + CONTRIBUTING)]]
    return Run(
        run.first,
        run.last,
        run.events + stop - start,
        sorted([*run.head, *first])[:CONTRIBUTING] if run.head else first,
        run.truncated,
    )


def alert_uid(correlation: Correlation, group: Group, run: Run) -> str:
    """The id of a run's alert."""
    return uid.correlation(correlation.rule_id, group, run.first.uid)


def alert(correlation: Correlation, group: Group, run: Run) -> CorrelationAlert:
    """The row of a run whose events are gathered, as replay puts it out."""
    return CorrelationAlert(
        time=instant(run.first.time),
        event_uid=alert_uid(correlation, group, run),
        revision=0,
        retracted=False,
        truncated=run.truncated,
        key=GroupKey(correlation.rule_id, correlation.version, group),
        group=dict(zip(correlation.group_by, group, strict=True)),
        first_seen=instant(run.head[0].time if run.head else run.first.time),
        last_seen=instant(run.last),
        events=run.events,
        event_uids=[mark.uid for mark in run.head],
    )
