"""Trials: what rules find in a few events, by the cores that a replay is wired of. Pure, and without Beam.

A sample goes the way of an archive: read and digested (digest.py), correlated, counted in windows, judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from huntbeam.schemas.anomaly import AnomalyRule
from huntbeam.schemas.correlation import Grouped, GroupKey, Hit
from huntbeam.schemas.sysmon import NETWORK_CONNECT, PROCESS_CREATE
from huntbeam.schemas.window import Counter, WindowCount
from huntbeam.transforms.anomaly.baseline import baseline_of
from huntbeam.transforms.anomaly.beacons import beacons
from huntbeam.transforms.anomaly.evaluate import evaluate_all
from huntbeam.transforms.anomaly.rarity import Baseline, runnable
from huntbeam.transforms.anomaly.sightings import sighted_all
from huntbeam.transforms.anomaly.split import split
from huntbeam.transforms.correlation.evaluate import evaluate
from huntbeam.transforms.correlation.known import FixedCorrelations
from huntbeam.transforms.correlation.rows import passed_on
from huntbeam.transforms.digest import Digested, Plan
from huntbeam.transforms.enrich import GRANDPARENT, enrich_all
from huntbeam.transforms.enrich_alerts import settled
from huntbeam.transforms.read import Span
from huntbeam.transforms.scan_worker import digest_span
from huntbeam.transforms.windows import Counting, Finisher, merge_all


class Rules(msgspec.Struct, frozen=True):
    """What is tried: the digest's plan with its Sigma rules packed, their correlations, and anomaly rules."""

    plan: Plan
    correlations: FixedCorrelations
    anomalies: tuple[AnomalyRule, ...]
    counters: tuple[Counter, ...]
    window_ms: int


class Trial(NamedTuple):
    """The ids of the rules that found something, the events that were read, and what could not be."""

    found: frozenset[str]
    events: int
    unusable: tuple[str, ...]


def tried(rules: Rules, sample: Iterable[Span], usual: Sequence[Span] = ()) -> Trial:
    """What rules find in a sample. `usual` are events that make the baseline of what is rare."""
    parts = digested(rules.plan, sample)
    if rules.plan.enrich:
        parts.append(enriched(rules.plan, parts))
    rows = list(counted(rules, parts))
    baseline = baseline_of(counted(rules, digested(rules.plan, usual))) if usual else None
    found = {alert.rule_id for part in parts for alert in part.alerts}
    found.update(correlated(rules.correlations, [hit for part in parts for hit in part.hits]))
    found.update(anomalous(rules, rows, baseline, parts))
    return Trial(
        frozenset(found),
        sum(events for part in parts for *_, events in part.pairs),
        tuple(f"{dead.source}, byte {dead.position}: {dead.message}" for part in parts for dead in part.dead_letters),
    )


def digested(plan: Plan, spans: Iterable[Span]) -> list[Digested]:
    """What the records of some spans become."""
    return [part for span in spans for part in digest_span(span, plan)]


def enriched(plan: Plan, parts: Sequence[Digested]) -> Digested:
    """What rules on the context of processes find."""
    from huntbeam.transforms.sigma.in_force import rules_in_force  # what it loads is for runs with rules alone

    events = [event for part in parts for event in part.pending]
    processes = [process for part in parts for process in part.processes]
    processes += [event.create for event in events if event.create is not None]
    found = enrich_all(processes, events, GRANDPARENT)
    return settled(rules_in_force(plan.rules, plan.watch, plan.enrich).current().detector, plan.event_time, found)


def counted(rules: Rules, parts: Iterable[Digested]) -> Iterator[WindowCount]:
    """The window rows; creates and connects are counted by their own rows."""
    counting, finisher = Counting(rules.counters, rules.window_ms), Finisher(rules.counters, rules.window_ms)
    for part in parts:
        others = [row for row in part.events if row.event_id not in (PROCESS_CREATE, NETWORK_CONNECT)]
        counting.add([*part.creates, *part.connects, *others])
    return map(finisher.row, merge_all(counting.take()))


def correlated(known: FixedCorrelations, hits: Iterable[Grouped]) -> Iterator[str]:
    """The ids of the correlations that give alerts, one depth after the other."""
    waiting = list(hits)
    for depth in range(known.depths):
        groups: dict[GroupKey, list[Hit]] = {}
        for one in waiting:
            if one.depth == depth:
                groups.setdefault(one.key, []).append(one.hit)
        for key, of_group in groups.items():
            correlation = known.find(key.rule_id, key.version)
            alerts = evaluate(correlation, key.group, of_group) if correlation is not None else []
            waiting += passed_on(known, alerts)
            if correlation is not None and correlation.alerts and alerts:
                yield correlation.rule_id


def anomalous(
    rules: Rules, rows: Sequence[WindowCount], baseline: Baseline | None, parts: Iterable[Digested]
) -> Iterator[str]:
    """The ids of the anomaly rules that something stands out to."""
    of_kind = split(runnable(rules.anomalies, baseline, rules.counters, rules.window_ms)[0])
    yield from (row.rule_id for row in evaluate_all(of_kind.windows, rows, rules.window_ms))
    yield from (row.rule_id for row in sighted_all(of_kind.sightings, rows, baseline))
    yield from (row.rule_id for row in beacons(of_kind.beacons, [row for part in parts for row in part.connects]))
