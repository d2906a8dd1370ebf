"""What a run has to report: the files it wrote, what it counted. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from huntbeam.schemas.alert import Alert

PAIRS = 10_000  # (provider, event id) pairs counted by name; an attacker chooses both
OTHER = ("other", None)

LEVELS = ("critical", "high", "medium", "low", "informational", None)  # of alerts, the worst first
TOP_RULES = 100  # of them, those in a summary that is kept

EventCount = tuple[str | None, str | int | None, int]  # provider, event id, events


class WrittenFile(msgspec.Struct, frozen=True):
    """A finished file aside."""

    stream: str
    path: str
    rows: int
    bytes: int


class AlertCount(msgspec.Struct, frozen=True, order=True):
    """How many alerts a rule gave. There are no more rules than the user gave to the run."""

    rule_id: str
    title: str
    level: str | None
    alerts: int


class ReportPart(msgspec.Struct, frozen=True):
    """A part of what a run has to report; merge() makes one of two."""

    files: list[WrittenFile] = []
    tallies: dict[str, int] = {}
    events: list[EventCount] = []
    alerts: list[AlertCount] = []


def merge(*parts: ReportPart) -> ReportPart:
    """One report of any number, commutative and associative; lists come out sorted.

    Of the (provider, event id) pairs the first 10,000 in sort order keep their counts, the rest is counted as
    ("other", None). By sort order, and not by count, because only then no order of merging changes the result.
    """
    files = sorted((file for part in parts for file in part.files), key=lambda file: (file.stream, file.path))
    tallies: dict[str, int] = {}
    for part in parts:
        for name, count in part.tallies.items():
            tallies[name] = tallies.get(name, 0) + count
    alerts = _added(one for part in parts for one in part.alerts)
    return ReportPart(files, dict(sorted(tallies.items())), _merge_events(part.events for part in parts), alerts)


def alert_counts(alerts: Iterable[Alert]) -> list[AlertCount]:
    """The alerts by rule; those that were taken back are none."""
    return _added(AlertCount(one.rule_id, one.rule_title, one.rule_level, 1) for one in alerts if not one.retracted)


def ranked(alerts: Iterable[AlertCount]) -> list[AlertCount]:
    """The rules of the worst level first, of one level those with most alerts."""
    return sorted(alerts, key=lambda one: (_severity(one.level), -one.alerts, one))


def by_level(alerts: Iterable[AlertCount]) -> dict[str | None, int]:
    """The number of alerts of each level that there is, the worst first."""
    counts: dict[str | None, int] = {}
    for one in ranked(alerts):
        counts[one.level] = counts.get(one.level, 0) + one.alerts
    return counts


def whole_summary(report: ReportPart, *, alerts: bool) -> dict[str, Any]:
    """What a finished run keeps of its report; `alerts` says whether it looked for any."""
    found = {"alerts": alert_summary(report.alerts)} if alerts else {}
    return {"tallies": report.tallies, "events": report.events, **found}


def alert_summary(alerts: Iterable[AlertCount]) -> dict[str, Any]:
    """The alerts of it: levels, the first rules, and how many alerts the others gave."""
    rules = ranked(alerts)
    return {
        "levels": {level or "none": count for level, count in by_level(rules).items()},
        "rules": rules[:TOP_RULES],
        "other_rules": sum(one.alerts for one in rules[TOP_RULES:]),
    }


def _severity(level: str | None) -> int:
    return LEVELS.index(level) if level in LEVELS else len(LEVELS)


def _added(counts: Iterable[AlertCount]) -> list[AlertCount]:
    total: dict[tuple[str, str, str | None], int] = {}
    for one in counts:
        rule = one.rule_id, one.title, one.level
        total[rule] = total.get(rule, 0) + one.alerts
    return [AlertCount(*rule, total[rule]) for rule in sorted(total, key=lambda rule: (rule[0], rule[1], str(rule[2])))]


def _merge_events(lists: Iterable[list[EventCount]]) -> list[EventCount]:
    counts: dict[tuple[str | None, str | int | None], int] = {}
    for events in lists:
        for provider, event_id, count in events:
            counts[provider, event_id] = counts.get((provider, event_id), 0) + count
    other = counts.pop(OTHER, 0)
    pairs = sorted(counts, key=_pair_order)
    other += sum(counts[pair] for pair in pairs[PAIRS:])
    merged: list[EventCount] = [(*pair, counts[pair]) for pair in pairs[:PAIRS]]
    return [*merged, (*OTHER, other)] if other else merged


def _pair_order(pair: tuple[str | None, str | int | None]) -> tuple[object, ...]:
    """Total over mixed types: text by provider, then numbers before text before null."""
    provider, event_id = pair
    if event_id is None:
        return provider is None, provider or "", 2
    return provider is None, provider or "", isinstance(event_id, str), event_id
