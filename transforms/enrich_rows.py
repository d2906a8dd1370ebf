"""What comes of enriched events: rows of sysmon_enriched, and what deferred rules find in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import apache_beam as beam
from apache_beam.metrics import Metrics

from huntbeam.schemas import streams
from huntbeam.schemas.clock import EventTime
from huntbeam.transforms.batches import tagged
from huntbeam.transforms.digest import Digested
from huntbeam.transforms.enrich import GRANDPARENT, Found, enriched
from huntbeam.transforms.enrich_alerts import TIMELESS, settled
from huntbeam.transforms.sigma.watch import Watch

if TYPE_CHECKING:
    from huntbeam.transforms.sigma.in_force import RulesInForce

DETECTED = "detected"


@dataclass(frozen=True)
class Enrichment:
    """What is enriched, and for whom."""

    ids: frozenset[int]  # Sysmon event ids, of the stream's rows and of those that rules want
    rows: bool  # there are rows of sysmon_enriched
    event_time: EventTime = EventTime.UTC_TIME
    rules: bytes = b""  # packed, the Sigma rules that are decided here
    watch: Watch | None = None  # where they are looked for again, see digest.Plan
    ancestry: int = 0  # ancestors that rows list

    @property
    def depth(self) -> int:
        """Ancestors that have to be found."""
        return max(GRANDPARENT, self.ancestry)


@dataclass
class EnrichedRows(beam.PTransform):
    """Batches of events with their context -> batches of rows, and DETECTED: Digested with alerts and hits alone."""

    enrichment: Enrichment

    def expand(self, found: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        """PCollection[list[Found]] -> PCollections of list[SysmonEnriched] and Digested."""
        return found | "Rows" >> tagged(
            EnrichedRowsFn(self.enrichment), streams.ENRICHED, main=DETECTED, main_type=Digested
        )


class EnrichedRowsFn(beam.DoFn):
    """Makes rows, and asks the rules that were deferred."""

    def __init__(self, enrichment: Enrichment) -> None:
        self._enrichment = enrichment
        self._enriched = Metrics.counter(self.__class__, "enriched")
        self._missing = Metrics.counter(self.__class__, "context_missing")
        self._timeless = Metrics.counter(self.__class__, TIMELESS)
        self._no_parent = Metrics.counter(self.__class__, "parent_missing")

    def start_bundle(self) -> None:
        """A bundle begins with the rules that are in force."""
        self._rules = _rules(self._enrichment) if self._enrichment.rules else None  # held, see rules_beside()

    def process(self, batch: list[Found]) -> Iterator[Digested | beam.pvalue.TaggedOutput]:
        """Events that were found together."""
        rows = [enriched(found, self._enrichment.ancestry) for found in batch if found.event.data is not None]
        if rows:
            yield beam.pvalue.TaggedOutput(streams.ENRICHED, rows)
        if self._rules is not None and any(found.event.rules for found in batch):
            detected = settled(self._rules.current().detector, self._enrichment.event_time, batch)
            self._timeless.inc(detected.tallies.get(TIMELESS, 0))
            if detected.alerts or detected.hits:
                yield detected
        self._count(batch)

    def _count(self, batch: list[Found]) -> None:
        contexts = [found.context for found in batch]
        missing = contexts.count(None)
        self._enriched.inc(len(batch) - missing)
        self._missing.inc(missing)
        self._no_parent.inc(sum(not context.parent_known for context in contexts if context is not None))


def _rules(enrichment: Enrichment) -> RulesInForce:
    from huntbeam.transforms.sigma.in_force import rules_beside  # what it loads is for runs with rules alone

    return rules_beside(enrichment.rules, enrichment.watch, enrichment.ids)
