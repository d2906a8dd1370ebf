"""Monster Agent's graph without its ends: digested records in, output streams out. Batch and stream share it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

import apache_beam as beam

from huntbeam.pipelines.graph import Clock, alerted, alerting
from huntbeam.schemas import streams
from huntbeam.schemas.anomaly import AnomalyRule
from huntbeam.schemas.window import Counter
from huntbeam.transforms.anomaly.bounded import FindAnomaliesBounded
from huntbeam.transforms.anomaly.rarity import BaselineFile
from huntbeam.transforms.anomaly.unbounded import FindAnomaliesUnbounded
from huntbeam.transforms.batches import Batch
from huntbeam.transforms.correlation.known import Known
from huntbeam.transforms.digest import Digested
from huntbeam.transforms.locate import Locate
from huntbeam.transforms.windows_bounded import CountBounded
from huntbeam.transforms.windows_unbounded import CountUnbounded


@dataclass(frozen=True)
class MonsterSteps:
    """What the graph does with documents; with a clock the input has no end."""

    counters: tuple[Counter, ...] = ()
    window_ms: int = 0
    clock: Clock | None = None
    rules: bool = False  # documents are matched against Sigma rules
    anomalies: tuple[AnomalyRule, ...] = ()
    baseline: BaselineFile | None = None
    correlations: Known | None = None
    depths: int = 0
    suppress_ms: int | None = None
    geoip: tuple[str, ...] = ()  # .mmdb files

    def streams(self) -> list[str]:
        """The streams that the graph puts out."""
        optional = {
            streams.MONSTER: True,
            streams.WINDOW_COUNTS: bool(self.counters),
            streams.ALERTS: self.rules,
            streams.SUPPRESSED: self.rules and self.suppress_ms is not None,
            streams.ANOMALIES: bool(self.anomalies),
            streams.DEAD_LETTERS: True,
        }
        return [name for name, wanted in optional.items() if wanted]

    def build(self, digested: beam.PCollection) -> dict[str, beam.PCollection]:
        """PCollection[Digested] -> batches of rows by stream name."""
        wiring = _wiring(self)
        documents = digested | "Documents" >> _batches("monster")
        out = {streams.DEAD_LETTERS: digested | "DeadLetters" >> _batches("dead_letters")}
        if self.counters:
            out[streams.WINDOW_COUNTS] = documents | "Windows" >> wiring.windows
        if self.anomalies:
            looked_at = {streams.WINDOW_COUNTS: out[streams.WINDOW_COUNTS]}
            out[streams.ANOMALIES] = looked_at | "Anomalies" >> wiring.anomalies
        if self.rules:
            out |= alerted([digested], alerting(self.correlations, self.depths, self.suppress_ms, self.clock))
        out[streams.MONSTER] = documents
        if self.geoip:
            for name in (name for name in (streams.MONSTER, streams.ALERTS, streams.SUPPRESSED) if name in out):
                out[name] = out[name] | f"Locate_{name}" >> Locate(self.geoip)
        return {name: out[name] for name in self.streams()}


class _Wiring(NamedTuple):
    windows: beam.PTransform
    anomalies: beam.PTransform


def _wiring(steps: MonsterSteps) -> _Wiring:
    """The one place where bounded and unbounded part."""
    clock = steps.clock
    if clock is None:
        return _Wiring(
            CountBounded(steps.counters, steps.window_ms),
            FindAnomaliesBounded(steps.anomalies, steps.window_ms, steps.baseline),
        )
    return _Wiring(
        CountUnbounded(
            steps.counters, steps.window_ms, clock.window_grace_ms, clock.allowed_lateness_ms, clock.early_firing_ms
        ),
        FindAnomaliesUnbounded(steps.anomalies, steps.window_ms, clock.allowed_lateness_ms, steps.baseline),
    )


def _batches(rows: str) -> beam.PTransform:
    return beam.FlatMap(_Rows(rows)).with_output_types(Batch)


class _Rows:
    """One list of digested records, where it has something."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, digested: Digested) -> Iterator[list[object]]:
        rows = attrgetter(self._name)(digested)
        if rows:
            yield rows
