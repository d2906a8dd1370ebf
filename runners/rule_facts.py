"""What is said of rules of every kind: Sigma's, correlations, and anomaly rules. For tables, tests and layers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from huntbeam.schemas.alert import techniques
from huntbeam.schemas.anomaly import Beacon
from huntbeam.schemas.sysmon import NETWORK_CONNECT
from huntbeam.schemas.window import Counter

if TYPE_CHECKING:
    from huntbeam.transforms.anomaly.rules import Placed
    from huntbeam.transforms.sigma.plan import RuleSet

LEVELS = ("critical", "high", "medium", "low", "informational")
NONE = "-"
_TACTIC = re.compile(r"attack\.([a-z][a-z_-]+)", re.ASCII)


class Fact(NamedTuple):
    """A rule."""

    id: str
    name: str | None
    title: str
    description: str
    kind: str  # rule, the type of a correlation, or the kind of an anomaly rule
    file: str
    line: int  # or the number of the document, of an anomaly rule
    level: str  # - without one
    tags: tuple[str, ...]
    sources: tuple[str, ...]  # the events that it needs: Sysmon 1
    alerts: bool  # false: it only feeds correlations

    @property
    def techniques(self) -> list[str]:
        """ATT&CK techniques of its tags: T1059.001."""
        return techniques(self.tags)

    @property
    def places(self) -> list[tuple[str, str]]:
        """Tactics with their techniques. Tags name tactics, then techniques of these, then perhaps further tactics."""
        groups: list[tuple[list[str], list[str]]] = [([], [])]
        for tag in self.tags:
            tactic = _TACTIC.fullmatch(tag.lower())
            if tactic is not None:
                if groups[-1][1]:
                    groups.append(([], []))
                groups[-1][0].append(tactic[1].replace("_", "-"))
            groups[-1][1].extend(techniques([tag]))
        return [
            (tactic, technique)
            for tactics, of_these in groups
            if tactics or of_these
            for tactic in tactics or (NONE,)
            for technique in of_these or (NONE,)
        ] or [(NONE, NONE)]


def facts(rules: RuleSet, anomalies: Sequence[Placed], counters: Sequence[Counter]) -> list[Fact]:
    """All rules, in the order of their files."""
    return [*_events(rules), *_correlations(rules), *_anomalies(anomalies, counters)]


def _events(rules: RuleSet) -> Iterator[Fact]:
    for rule in rules.rules:
        sources = tuple(dict.fromkeys(variant.source for variant in rule.variants))
        description = " ".join((rule.description or "").split())
        level = rule.level or "-"
        yield Fact(
            rule.id,
            rule.name,
            rule.title,
            description,
            "rule",
            rule.file,
            rule.line,
            level,
            rule.tags,
            sources,
            rule.alerts,
        )


def _correlations(rules: RuleSet) -> Iterator[Fact]:
    needs = {rule.id: [variant.source for variant in rule.variants] for rule in rules.rules}
    for one in sorted(rules.correlations, key=lambda one: one.settings.depth):
        rule = one.settings
        named = dict.fromkeys(source for reference in rule.references for source in needs.get(reference.rule, ()))
        needs[rule.rule_id] = list(named)
        yield Fact(
            rule.rule_id,
            None,
            rule.title,
            " ".join((one.description or "").split()),
            rule.type.value,
            one.file,
            one.line,
            rule.level or "-",
            rule.tags,
            tuple(named),
            rule.alerts,
        )


def _anomalies(anomalies: Sequence[Placed], counters: Sequence[Counter]) -> Iterator[Fact]:
    events = {counter.name: counter.event_id for counter in counters}
    for placed in anomalies:
        rule = placed.rule
        event_id = NETWORK_CONNECT if isinstance(rule, Beacon) else events[rule.counter]
        yield Fact(
            rule.id,
            None,
            rule.name,
            " ".join(rule.text.split()),
            str(rule.__struct_config__.tag),
            placed.file,
            placed.number,
            rule.severity.value,
            rule.tags,
            (f"Sysmon {event_id}",),
            True,
        )
