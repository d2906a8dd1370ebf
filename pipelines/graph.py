"""The graph without its ends: digested records in, output streams out. Batch and stream share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from huntbeam.schemas import streams
from huntbeam.schemas.alert import Alert
from huntbeam.schemas.anomaly import AnomalyRule
from huntbeam.schemas.correlation import Grouped
from huntbeam.schemas.dead_letter import DeadLetter
from huntbeam.schemas.sysmon import NETWORK_CONNECT, PROCESS_CREATE, SysmonEvent
from huntbeam.schemas.window import Counter
from huntbeam.transforms.anomaly.bounded import FindAnomaliesBounded
from huntbeam.transforms.anomaly.rarity import BaselineFile
from huntbeam.transforms.anomaly.unbounded import FindAnomaliesUnbounded
from huntbeam.transforms.batches import Batch, tagged
from huntbeam.transforms.correlation.bounded import CorrelateBounded
from huntbeam.transforms.correlation.known import Known
from huntbeam.transforms.correlation.unbounded import CorrelateUnbounded
from huntbeam.transforms.dedupe import DedupeBounded
from huntbeam.transforms.dedupe_unbounded import DedupeUnbounded
from huntbeam.transforms.digest import Digested
from huntbeam.transforms.enrich_bounded import EnrichBounded
from huntbeam.transforms.enrich_rows import DETECTED, EnrichedRows, Enrichment
from huntbeam.transforms.enrich_unbounded import EnrichUnbounded
from huntbeam.transforms.join import JoinKind
from huntbeam.transforms.join_bounded import JoinBounded
from huntbeam.transforms.join_unbounded import JoinUnbounded
from huntbeam.transforms.keyed_match import Waits
from huntbeam.transforms.locate import Locate
from huntbeam.transforms.suppression.bounded import SuppressBounded
from huntbeam.transforms.suppression.unbounded import SuppressUnbounded
from huntbeam.transforms.windows_bounded import CountBounded
from huntbeam.transforms.windows_unbounded import CountUnbounded

_JOINABLE = "joinable"
_ENRICHABLE = "enrichable"
_COUNTABLE = "countable"
_WITH_ADDRESSES = (streams.JOIN, streams.ALERTS, streams.SUPPRESSED)


@dataclass(frozen=True)
class Clock:
    """What only a stream has: how long it waits, in milliseconds of its clock."""

    waits: Waits
    window_grace_ms: int
    allowed_lateness_ms: int
    early_firing_ms: int | None
    dedupe_window_ms: int
    correlation_wait_ms: int = 30_000
    read_time: bool = False  # arrivals are times of reading, not Kafka's append times


@dataclass(frozen=True)
class Steps:
    """What the graph does with rows; with a clock the input has no end."""

    join: JoinKind
    dedupe: bool
    events: bool
    counters: tuple[Counter, ...]
    window_ms: int
    clock: Clock | None = None
    without: tuple[str, ...] = ()  # streams that are not wanted
    rules: bool = False  # events are matched against rules
    anomalies: tuple[AnomalyRule, ...] = ()
    baseline: BaselineFile | None = None
    correlations: Known | None = None
    depths: int = 0  # of correlations: those of each name alerts of those before it
    suppress_ms: int | None = None  # one alert a rule and group in so long
    enrich: Enrichment | None = None
    geoip: tuple[str, ...] = ()  # .mmdb files

    def streams(self) -> list[str]:
        """The streams that the graph puts out."""
        optional = {streams.EVENTS: self.events, streams.DUPLICATES: self.dedupe, streams.ALERTS: self.rules}
        optional |= {streams.SUPPRESSED: self.rules and self.suppress_ms is not None}
        optional |= {streams.ANOMALIES: bool(self.anomalies), streams.ENRICHED: _has_rows(self.enrich)}
        optional[streams.MONSTER] = False
        return [name for name in streams.STREAMS if optional.get(name, True) and name not in self.without]

    def build(self, digested: beam.PCollection) -> dict[str, beam.PCollection]:
        """PCollection[Digested] -> batches of rows by stream name."""
        wiring = _wiring(self)
        out: dict[str, beam.PCollection] = {}
        rows = digested
        if self.dedupe:
            copies = digested | "Dedupe" >> wiring.dedupe
            rows, out[streams.DUPLICATES] = copies["main"], copies[streams.DUPLICATES]
        windows = streams.WINDOW_COUNTS not in self.without or bool(self.anomalies)
        split = rows | "Split" >> tagged(
            partial(_split, countable=windows, enrichable=self.enrich is not None),
            streams.PROCESS_CREATE,
            streams.NETWORK_CONNECT,
            streams.EVENTS,
            _JOINABLE,
            _COUNTABLE,
            *([_ENRICHABLE] if self.enrich else ()),
        )
        joined = split[_JOINABLE] | "Join" >> wiring.join
        out |= {name: split[name] for name in (streams.PROCESS_CREATE, streams.NETWORK_CONNECT)}
        out |= {name: joined[name] for name in (streams.JOIN, streams.UNMATCHED)}
        if windows:
            out[streams.WINDOW_COUNTS] = split[_COUNTABLE] | "Windows" >> wiring.windows
        if self.anomalies:
            looked_at = {name: out[name] for name in (streams.WINDOW_COUNTS, streams.NETWORK_CONNECT)}
            out[streams.ANOMALIES] = looked_at | "Anomalies" >> wiring.anomalies
        out[streams.DEAD_LETTERS] = digested | "DeadLetters" >> beam.FlatMap(_dead_letters).with_output_types(Batch)
        if self.events:
            out[streams.EVENTS] = split[streams.EVENTS]
        detected = [rows]
        if self.enrich is not None:
            enriched = split[_ENRICHABLE] | "Enrich" >> wiring.enrich | "Enriched" >> EnrichedRows(self.enrich)
            out[streams.ENRICHED] = enriched[streams.ENRICHED]
            detected.append(enriched[DETECTED])
        if self.rules:
            out |= alerted(detected, alerting(self.correlations, self.depths, self.suppress_ms, self.clock))
        if self.geoip:
            for name in (name for name in _WITH_ADDRESSES if name in out):
                out[name] = out[name] | f"Locate_{name}" >> Locate(self.geoip)
        return {name: out[name] for name in self.streams()}


class Wired(Protocol):
    """The steps of a graph of any kind of record, as the ends know them."""

    @property
    def baseline(self) -> BaselineFile | None:
        """The file that anomaly rules are judged by, which workers read."""

    @property
    def geoip(self) -> tuple[str, ...]:
        """The GeoIP files, which workers read."""

    def streams(self) -> list[str]:
        """The streams that the graph puts out."""

    def build(self, digested: beam.PCollection) -> dict[str, beam.PCollection]:
        """PCollection[Digested] -> batches of rows by stream name."""


class _Wiring(NamedTuple):
    dedupe: beam.PTransform
    join: beam.PTransform
    windows: beam.PTransform
    anomalies: beam.PTransform
    enrich: beam.PTransform


class Alerting(NamedTuple):
    """What becomes of alerts and hits; None: nothing."""

    correlations: beam.PTransform | None
    suppression: beam.PTransform | None


def alerting(known: Known | None, depths: int, suppress_ms: int | None, clock: Clock | None) -> Alerting:
    """The wiring of correlations and suppression; `known` is None without rules."""
    if known is None:
        return Alerting(None, None)
    if clock is None:
        return Alerting(
            CorrelateBounded(known, depths) if depths else None,
            None if suppress_ms is None else SuppressBounded(suppress_ms),
        )
    return Alerting(
        CorrelateUnbounded(known, depths, clock.correlation_wait_ms, clock.allowed_lateness_ms) if depths else None,
        None if suppress_ms is None else SuppressUnbounded(suppress_ms, known, clock.allowed_lateness_ms),
    )


def _wiring(steps: Steps) -> _Wiring:
    """The one place where bounded and unbounded part."""
    clock = steps.clock
    enrichment = steps.enrich or Enrichment(frozenset(), rows=False)
    if clock is None:
        return _Wiring(
            DedupeBounded(),
            JoinBounded(steps.join),
            CountBounded(steps.counters, steps.window_ms),
            FindAnomaliesBounded(steps.anomalies, steps.window_ms, steps.baseline),
            EnrichBounded(enrichment.depth),
        )
    return _Wiring(
        DedupeUnbounded(clock.dedupe_window_ms),
        JoinUnbounded(steps.join, clock.waits, clock.read_time),
        CountUnbounded(
            steps.counters,
            steps.window_ms,
            clock.window_grace_ms,
            clock.allowed_lateness_ms,
            clock.early_firing_ms,
        ),
        FindAnomaliesUnbounded(steps.anomalies, steps.window_ms, clock.allowed_lateness_ms, steps.baseline),
        EnrichUnbounded(bool(enrichment.ids - {PROCESS_CREATE}), clock.waits, clock.read_time),
    )


def alerted(digested: Sequence[beam.PCollection], wiring: Alerting) -> dict[str, beam.PCollection]:
    """What rules found in events, and correlations in several; by stream, where some are suppressed."""
    alerts = _of_all(digested, "Alerts", _alerts)
    if wiring.correlations is not None:
        hits = _of_all(digested, "Hits", _hits)
        alerts = (alerts, hits | "Correlations" >> wiring.correlations) | "AllAlerts" >> beam.Flatten()
    if wiring.suppression is None:
        return {streams.ALERTS: alerts}
    found: dict[str, beam.PCollection] = alerts | "Suppress" >> wiring.suppression
    return found


def _of_all(
    digested: Sequence[beam.PCollection], name: str, rows: Callable[[Digested], Iterator[list[Any]]]
) -> beam.PCollection:
    """Batches of one kind of rows. They are brought together as such: what is flattened may be encoded on the way."""
    found = [
        one | (f"{name}_{number}" if number else name) >> beam.FlatMap(rows).with_output_types(Batch)
        for number, one in enumerate(digested)
    ]
    return found[0] if len(found) == 1 else found | f"{name}_Detected" >> beam.Flatten()


def _has_rows(enrichment: Enrichment | None) -> bool:
    return enrichment is not None and enrichment.rows


def _split(digested: Digested, countable: bool, enrichable: bool) -> Iterator[TaggedOutput]:
    """Batches by what they are for. Of `events`, creates and connects are counted by their own rows."""
    batches = {
        streams.PROCESS_CREATE: digested.creates,
        streams.NETWORK_CONNECT: digested.connects,
        streams.EVENTS: digested.events,
        _JOINABLE: [*digested.creates, *digested.context, *digested.connects, *digested.terminates],
        _COUNTABLE: [*digested.creates, *digested.connects, *_others(digested)] if countable else [],
        _ENRICHABLE: [*digested.processes, *digested.pending, *digested.terminates] if enrichable else [],
    }
    yield from (TaggedOutput(name, batch) for name, batch in batches.items() if batch)


def _others(digested: Digested) -> Iterator[SysmonEvent]:
    return (row for row in digested.events if row.event_id not in (PROCESS_CREATE, NETWORK_CONNECT))


def _alerts(digested: Digested) -> Iterator[list[Alert]]:
    if digested.alerts:
        yield digested.alerts


def _hits(digested: Digested) -> Iterator[list[Grouped]]:
    if digested.hits:
        yield digested.hits


def _dead_letters(digested: Digested) -> Iterator[list[DeadLetter]]:
    if digested.dead_letters:
        yield digested.dead_letters
