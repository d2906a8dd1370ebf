"""All rules below some paths: Sigma rules, correlations, and anomaly rules with their counters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from huntbeam.pipelines.counters import counter_files, load_counters
from huntbeam.rules import located
from huntbeam.runners.rule_facts import Fact, facts
from huntbeam.schemas.window import BUILT_IN, Counter
from huntbeam.transforms.anomaly.rules import Placed, placed_rules
from huntbeam.transforms.monster.built_in import COUNTERS as MONSTER_COUNTERS
from huntbeam.transforms.monster.built_in import countable as monster_countable
from huntbeam.transforms.sigma.cache import compiled
from huntbeam.transforms.sigma.load import ANOMALY
from huntbeam.transforms.sigma.plan import RuleSet
from huntbeam.transforms.sigma.records import Records
from huntbeam.transforms.windows import countable


class AllRules(NamedTuple):
    """What is below the paths; what is said of it, and what cannot be used, is in `sigma`."""

    sigma: RuleSet
    anomalies: list[Placed]
    counters: tuple[Counter, ...]

    @property
    def facts(self) -> list[Fact]:
        """What is said of each rule."""
        return facts(self.sigma, self.anomalies, self.counters)


def all_rules(
    paths: Sequence[str],
    pipelines: Sequence[str] = (),
    cache: str | None = None,
    counters: Sequence[str] = (),
    *,
    monster: bool = False,
) -> AllRules:
    """Raises UnusableError for a path that does not exist, and for anomaly rules and counters that cannot be used."""
    places = [located(path) for path in paths]
    rules = compiled(places, pipelines, cache, Records.MONSTER if monster else Records.WINDOWS)
    files = [file for path in map(located, counters) for file in counter_files(path) or [path]]
    files += [file for path in places for file in counter_files(path)]
    built_in, kinds = (MONSTER_COUNTERS, monster_countable) if monster else (BUILT_IN, countable)
    known = (*built_in, *load_counters(files, built_in, kinds))
    of_anomalies = dict.fromkeys(note.file for note in rules.notes if note.error_class == ANOMALY)
    local = [file for file in of_anomalies if "!" not in file and "://" not in file]
    notes = tuple(note for note in rules.notes if note.file not in local or note.error_class != ANOMALY)
    return AllRules(msgspec.structs.replace(rules, notes=notes), placed_rules(local, known, mixed=True), known)
