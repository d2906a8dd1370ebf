"""What rules need and what they lack: by log source, by kind of event, and rule by rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from huntbeam.runners.all_rules import AllRules
from huntbeam.transforms.sigma.plan import Rule, RuleError
from huntbeam.transforms.sigma.verdicts import running

MISSING, LIMITED = ("FieldsMissing", "NeedsEnrich"), "WithoutFields"
ROWS = 25  # of a table for people
EVENTS = 3  # kinds of events that a row names
WIDEST = 40  # characters of their names


def coverage(rules: AllRules) -> list[dict[str, Any]]:
    """Kinds of events: how many rules look at them, with fields that they do not have, and cannot run there."""
    run = Counter(source for rule in rules.sigma.rules for source in {one.source for one in rule.variants})
    limited = Counter(one.source for one in rules.sigma.notes if one.error_class == LIMITED)
    cannot = Counter(one.source for one in _cannot(rules))
    by_id = {fact.id: fact for fact in rules.facts}
    anomalies = Counter(source for placed in rules.anomalies for source in by_id[placed.rule.id].sources)
    names = sorted({*run, *limited, *cannot, *anomalies}, key=lambda name: (-run[name] - anomalies[name], name))
    return [
        {
            "events": name,
            "rules": run[name],
            "without_fields": limited[name],
            "cannot_run": cannot[name],
            "anomaly_rules": anomalies[name],
        }
        for name in names
    ]


def log_sources(rules: AllRules) -> list[dict[str, Any]]:
    """Log sources of Sigma: how many rules run, and on which events."""
    found: dict[str, list[Rule]] = {}
    for rule in filter(lambda rule: rule.variants, rules.sigma.rules):
        found.setdefault(" ".join(filter(None, (rule.category, rule.service))) or "windows", []).append(rule)
    return [
        {
            "log_source": name,
            "rules": len(of_source),
            "events": dict(
                Counter(s for rule in of_source for s in {one.source for one in rule.variants}).most_common()
            ),
        }
        for name, of_source in sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def reasons(rules: AllRules) -> list[tuple[str, int]]:
    """Why rules cannot run on some events though they have the log source, and for how many; most first."""
    return Counter(one.reason for one in _cannot(rules)).most_common()


def as_json(rules: AllRules) -> bytes:
    """All of it, for machines."""
    return msgspec.json.encode(
        {
            "ruleset": rules.sigma.digest,
            "rules": running(rules.sigma),
            "correlations": len(rules.sigma.correlations),
            "anomaly_rules": len(rules.anomalies),
            "coverage": coverage(rules),
            "log_sources": log_sources(rules),
            "errors": [_plain(one) for one in rules.sigma.errors],
            "notes": [_plain(one) for one in rules.sigma.notes],
        }
    )


def tables(rules: AllRules) -> Iterator[Sequence[Sequence[str]]]:
    """The same for people, but the rules one by one; of long tables the beginning."""
    sources = [(one["log_source"], f"{one['rules']:,}", _listed(one["events"])) for one in log_sources(rules)]
    yield [("log source", "rules", "run on"), *_shortened(sources)]
    kinds = [(_short(one["events"]), *(f"{one[name]:,}" for name in _COUNTS)) for one in coverage(rules)]
    yield [("events", "rules", "of these without some fields", "cannot run", "anomaly rules"), *_shortened(kinds)]
    why = [(f"{count:,}", reason) for reason, count in reasons(rules)]
    if why:
        yield [("rules", "why they are not tried there"), *_shortened(why)]


def _shortened(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    if len(rows) <= ROWS:
        return list(rows)
    return [*rows[: ROWS - 1], (f"{len(rows) - ROWS + 1} more (--format json)", *("" for _ in rows[0][1:]))]


def _listed(events: dict[str, int]) -> str:
    first = [f"{_short(name)} ({count:,})" for name, count in list(events.items())[:EVENTS]]
    return ", ".join(first + ([f"{len(events) - EVENTS} more"] if len(events) > EVENTS else []))


def _short(name: str) -> str:
    name = name.replace("Microsoft-Windows-", "")
    return name if len(name) <= WIDEST else name[: WIDEST - 3] + "..."


_COUNTS = ("rules", "without_fields", "cannot_run", "anomaly_rules")


def _cannot(rules: AllRules) -> Iterator[RuleError]:
    return (one for one in (*rules.sigma.errors, *rules.sigma.notes) if one.error_class in MISSING)


def _plain(one: RuleError) -> dict[str, str | int]:
    return {name: getattr(one, name) for name in one.__struct_fields__}
