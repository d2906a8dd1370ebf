"""Anomalies' unbounded wiring: a stateful DoFn a key for each kind of rule. The cores are keyed.py and its siblings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import apache_beam as beam

from huntbeam.schemas import streams
from huntbeam.schemas.anomaly import AnomalyRule
from huntbeam.schemas.clock import DAY, MINUTE
from huntbeam.schemas.sysmon import NetworkConnect
from huntbeam.schemas.window import WindowCount
from huntbeam.transforms.anomaly.beacons import BeaconCore, Connect, Hour, connect, hour
from huntbeam.transforms.anomaly.evaluate import CounterKey, row_key
from huntbeam.transforms.anomaly.keyed import AnomalyCore, ArrivedRow, arrived
from huntbeam.transforms.anomaly.rarity import Judge
from huntbeam.transforms.anomaly.sightings import RuleKey, Sighting, SightingCore, concerned, sighting
from huntbeam.transforms.anomaly.split import split
from huntbeam.transforms.keyed_log_beam import EvaluateKeyed, KeyedLogFn


class RowAnomalyFn(KeyedLogFn, timer="row_anomaly_due", key=CounterKey):
    """Window rows of one counter and key."""


class SightingFn(KeyedLogFn, timer="sighting_due", key=RuleKey):
    """Sightings of one key by one rule."""


class BeaconFn(KeyedLogFn, timer="beacon_due", key=Hour):
    """Connects of one hour, from one process to one destination."""


@dataclass
class FindAnomaliesUnbounded(beam.PTransform):
    """Batches of window rows and of connects, with arrivals as timestamps -> batches of anomalies.

    As FindAnomaliesBounded, but that a row is put out again when it changes, with a higher revision, and taken back
    when it no longer holds. A window row arrives when the timer that puts it out fires. Waits are in milliseconds of
    the stream's clock; `allowed_lateness_ms` is that of the windows.
    """

    rules: tuple[AnomalyRule, ...]
    size_ms: int
    allowed_lateness_ms: int
    baseline: Judge | None = None
    first_seen_ttl_ms: int = 30 * DAY
    beacon_wait_ms: int = 5 * MINUTE

    def expand(self, rows: Mapping[str, beam.PCollection]) -> beam.PCollection:
        """Of PCollection[list[WindowCount]] and PCollection[list[NetworkConnect]] -> PCollection[list[Anomaly]]."""
        rules, found = split(self.rules), []
        if rules.windows:
            judged = AnomalyCore(rules.windows, self.size_ms, self.allowed_lateness_ms)
            counters = frozenset(rule.counter for rule in rules.windows)
            step = EvaluateKeyed(judged, partial(_rows, counters), RowAnomalyFn)
            found.append(rows[streams.WINDOW_COUNTS] | "Rows" >> step)
        if rules.sightings:
            sighted = SightingCore(rules.sightings, self.baseline, self.first_seen_ttl_ms)
            found.append(
                rows[streams.WINDOW_COUNTS]
                | "Sightings" >> EvaluateKeyed(sighted, partial(_sightings, sighted), SightingFn)
            )
        if rules.beacons:
            regular = BeaconCore(rules.beacons, self.beacon_wait_ms, self.allowed_lateness_ms)
            found.append(rows[streams.NETWORK_CONNECT] | "Beacons" >> EvaluateKeyed(regular, _connects, BeaconFn))
        return found | "All" >> beam.Flatten(pipeline=next(iter(rows.values())).pipeline)


def _rows(counters: frozenset[str], a: int, row: WindowCount) -> Iterator[tuple[CounterKey, ArrivedRow]]:
    if row.counter in counters:
        yield row_key(row), arrived(a, row)


def _sightings(core: SightingCore, a: int, row: WindowCount) -> Iterable[tuple[RuleKey, Sighting]]:
    return ((key, sighting(a, row)) for key in concerned(core.rules, row, core.baseline))


def _connects(a: int, row: NetworkConnect) -> Iterator[tuple[Hour, Connect]]:
    of = hour(row)
    if of is not None:
        yield of, connect(a, row)
