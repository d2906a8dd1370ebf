"""Sigma rules on Monster Agent's documents: alerts, which name the document that they were found in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from huntbeam.schemas.clock import EventTime
from huntbeam.schemas.monster import MonsterEvent
from huntbeam.schemas.winlog import WinlogEvent
from huntbeam.transforms.monster.sigma_fields import CATEGORIES, CHANNEL, sigma_fields
from huntbeam.transforms.sigma.watch import Watch

if TYPE_CHECKING:
    from huntbeam.transforms.sigma.alerts import Detector, Found

_IDS = frozenset(event_id for ids in CATEGORIES.values() for event_id in ids)


class MonsterDetector:
    """A packed rule set at work on documents; with a watch it changes when its files do. Loads what rules need."""

    def __init__(self, packed: bytes, watch: Watch | None = None) -> None:
        from huntbeam.transforms.sigma.in_force import rules_in_force

        self._rules = rules_in_force(packed, watch)
        self._generation = -1
        self._detector: Detector | None = None
        self._wanted: frozenset[int] = frozenset()

    def renew(self) -> Mapping[str, int]:
        """Takes up the rules that are in force now; what became of changed ones since the last time."""
        now = self._rules.current()
        if now.generation != self._generation:
            detector = self._detector = now.detector
            self._generation = now.generation
            self._wanted = frozenset(event_id for event_id in _IDS if detector.wants(None, CHANNEL, event_id))
        return self._rules.news()

    def find(self, event: MonsterEvent) -> Found | None:
        """The alerts of a document and what it is to correlations; None where no rule matches. Never fails."""
        if self._detector is None or event.EventID not in self._wanted:
            return None
        return self._detector.find(as_winlog(event), EventTime.TIMESTAMP, event_uid=event.event_uid)


def as_winlog(event: MonsterEvent) -> WinlogEvent:
    """A document in the form that rules are matched on."""
    return WinlogEvent(
        host=event.host_key,
        channel=CHANNEL,
        provider=CHANNEL,
        event_id=event.EventID,
        written_id=None,
        written_time=event.time,
        event_data=sigma_fields(event),
        flat=False,
        raw=b"{}",
    )
