"""Rules of anomalies by what they look at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from huntbeam.schemas.anomaly import AnomalyRule, Beacon, Deviation, FirstSeen, Rare, Ratio, Threshold
from huntbeam.transforms.anomaly.evaluate import WindowRule
from huntbeam.transforms.anomaly.sightings import SightingRule


class Split(NamedTuple):
    """Rules of one kind each, in their order."""

    windows: tuple[WindowRule, ...]
    sightings: tuple[SightingRule, ...]
    beacons: tuple[Beacon, ...]

    @property
    def counters(self) -> frozenset[str]:
        """Counters whose rows a rule looks at."""
        return frozenset(rule.counter for rule in (*self.windows, *self.sightings))


def split(rules: Iterable[AnomalyRule]) -> Split:
    """The rules told apart."""
    known = tuple(rules)
    return Split(
        tuple(rule for rule in known if isinstance(rule, Threshold | Deviation | Ratio)),
        tuple(rule for rule in known if isinstance(rule, FirstSeen | Rare)),
        tuple(rule for rule in known if isinstance(rule, Beacon)),
    )
