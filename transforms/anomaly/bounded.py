"""Anomalies' bounded wiring: what is judged together is grouped. The cores are evaluate.py and its siblings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.metrics import Metrics

from huntbeam.schemas import streams
from huntbeam.schemas.anomaly import Anomaly, AnomalyRule, Beacon
from huntbeam.schemas.sysmon import NetworkConnect
from huntbeam.schemas.window import WindowCount
from huntbeam.transforms.anomaly.beacons import beacons, hour
from huntbeam.transforms.anomaly.evaluate import evaluate_all, row_key
from huntbeam.transforms.anomaly.rarity import Judge
from huntbeam.transforms.anomaly.sightings import sighted_all
from huntbeam.transforms.anomaly.split import Split, split
from huntbeam.transforms.batches import Batch, in_batches
from huntbeam.transforms.shards import SHARDS, GroupInShards, Pack, unpack


@dataclass
class FindAnomaliesBounded(beam.PTransform):
    """Batches of window rows and of connects, by stream name -> batches of anomalies, each put out once.

    A stream that no rule looks at need not be there. Without a baseline nothing is rare. The rows of a shard that
    rules look at are in memory together, as the few numbers that rules need of them.
    """

    rules: tuple[AnomalyRule, ...]
    size_ms: int
    baseline: Judge | None = None
    shards: int = SHARDS

    def expand(self, rows: Mapping[str, beam.PCollection]) -> beam.PCollection:
        """Of PCollection[list[WindowCount]] and PCollection[list[NetworkConnect]] -> PCollection[list[Anomaly]]."""
        rules, found = split(self.rules), []
        if rules.windows or rules.sightings:
            judge = _JudgeRows(rules, self.size_ms, self.baseline)
            by_key = (
                rows[streams.WINDOW_COUNTS]
                | "LookedAt" >> beam.Map(_looked_at, rules.counters).with_output_types(Batch)
                | "ByKey" >> GroupInShards(_of_row, self.shards)
            )
            found.append(by_key | "Rows" >> beam.ParDo(judge).with_output_types(Batch))
        if rules.beacons:
            by_hour = (
                rows[streams.NETWORK_CONNECT]
                | "Timed" >> beam.Map(_timed).with_output_types(Batch)
                | "ByHour" >> GroupInShards(_of_connect, self.shards)
            )
            found.append(by_hour | "Beacons" >> beam.ParDo(_JudgeConnects(rules.beacons)).with_output_types(Batch))
        return found | "All" >> beam.Flatten(pipeline=next(iter(rows.values())).pipeline)


def _looked_at(batch: Iterable[WindowCount], counters: frozenset[str]) -> list[WindowCount]:
    return [row for row in batch if row.counter in counters]


def _of_row(row: WindowCount) -> str:
    return str(row_key(row))


def _timed(batch: Iterable[NetworkConnect]) -> list[NetworkConnect]:
    return [row for row in batch if row.event_date_creation is not None]


def _of_connect(row: NetworkConnect) -> str:
    return str(hour(row))


class _Judge(beam.DoFn):
    """Rows of a shard -> batches of anomalies."""

    def __init__(self) -> None:
        self._emitted = Metrics.counter(self.__class__, "emitted")

    def process(self, shard: tuple[int, Iterable[Pack]]) -> Iterator[list[Anomaly]]:
        for rows in in_batches(self._found(shard[1])):
            self._emitted.inc(len(rows))
            yield rows

    def _found(self, packs: Iterable[Pack]) -> Iterator[Anomaly]:
        raise NotImplementedError


class _JudgeRows(_Judge):
    def __init__(self, rules: Split, size_ms: int, baseline: Judge | None) -> None:
        super().__init__()
        self._rules = rules
        self._size_ms = size_ms
        self._baseline = baseline

    def setup(self) -> None:
        """Once a worker process."""
        if self._baseline is not None:
            self._baseline.load()

    def _found(self, packs: Iterable[Pack]) -> Iterator[Anomaly]:
        yield from evaluate_all(self._rules.windows, unpack(packs, WindowCount), self._size_ms)
        yield from sighted_all(self._rules.sightings, unpack(packs, WindowCount), self._baseline)


class _JudgeConnects(_Judge):
    def __init__(self, rules: tuple[Beacon, ...]) -> None:
        super().__init__()
        self._rules = rules

    def _found(self, packs: Iterable[Pack]) -> Iterator[Anomaly]:
        yield from beacons(self._rules, unpack(packs, NetworkConnect))
