"""Rules by ATT&CK technique: a layer of the ATT&CK Navigator (its format 4.5), and rows of a table.

Tactics are those that rules are tagged with: nothing here knows which technique belongs to which.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from huntbeam.runners.rule_facts import LEVELS, Fact

VERSIONS = {"navigator": "5.2.0", "layer": "4.5"}  # without `attack` it is the version that the Navigator has
TITLES = 20  # of rules that a technique's comment names


class Row(NamedTuple):
    """A technique under a tactic, and its rules by level."""

    tactic: str
    technique: str
    levels: dict[str, int]


def rows(facts: Iterable[Fact]) -> list[Row]:
    """Rules that give alerts, by tactic and technique; a rule of several stands under each."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for fact in facts:
        if fact.alerts:
            for place in dict.fromkeys(fact.places):
                levels = found.setdefault(place, {})
                levels[fact.level] = levels.get(fact.level, 0) + 1
    return [Row(*place, levels) for place, levels in sorted(found.items())]


def table(facts: Sequence[Fact]) -> list[tuple[str, ...]]:
    """The rows as text, with a head."""
    found = rows(facts)
    levels = [*LEVELS, *sorted({level for row in found for level in row.levels} - set(LEVELS))]
    head = ("tactic", "technique", "rules", *levels)
    return [
        head,
        *(
            (
                row.tactic,
                row.technique,
                f"{sum(row.levels.values()):,}",
                *(f"{row.levels.get(one, 0):,}" for one in levels),
            )
            for row in found
        ),
    ]


def layer(facts: Iterable[Fact], name: str) -> dict[str, Any]:
    """The layer: a technique's score is its number of rules, its comment their titles."""
    by_technique: dict[str, list[Fact]] = {}
    for fact in facts:
        if fact.alerts:
            for technique in dict.fromkeys(fact.techniques):
                by_technique.setdefault(technique, []).append(fact)
    most = max(map(len, by_technique.values()), default=1)
    return {
        "name": name,
        "versions": VERSIONS,
        "domain": "enterprise-attack",
        "description": "Rules by technique: the score is how many there are",
        "filters": {"platforms": ["Windows"]},
        "sorting": 3,
        "layout": {"layout": "side", "showID": True, "showName": True, "expandedSubtechniques": "annotated"},
        "techniques": [_technique(technique, of) for technique, of in sorted(by_technique.items())],
        "gradient": {"colors": ["#deebf7", "#08519c"], "minValue": 0, "maxValue": most},
    }


def _technique(technique: str, facts: Sequence[Fact]) -> dict[str, Any]:
    titles = [f"{fact.title} ({fact.level})" for fact in facts[:TITLES]]
    titles += [f"and {len(facts) - TITLES} more"] if len(facts) > TITLES else []
    return {"techniqueID": technique, "score": len(facts), "comment": "\n".join(titles), "enabled": True}
