"""Suppression's bounded wiring: the alerts of a slot together. The core is evaluate.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from huntbeam.schemas import streams
from huntbeam.schemas.alert import Alert
from huntbeam.transforms.batches import in_batches, tagged
from huntbeam.transforms.shards import SHARDS, GroupInShards, Pack, unpack
from huntbeam.transforms.suppression.evaluate import Slot, apart, slot, suppress

_TIMED = "timed"


@dataclass
class SuppressBounded(beam.PTransform):
    """Batches of alerts -> batches of those that are shown, and of the others, by stream name."""

    size_ms: int
    shards: int = SHARDS

    def expand(self, alerts: beam.PCollection) -> dict[str, beam.PCollection]:
        """PCollection[list[Alert]] -> PCollections of list[Alert]."""
        split = alerts | "Sort" >> tagged(partial(_sort, self.size_ms), streams.ALERTS, _TIMED)
        found = (
            split[_TIMED]
            | "BySlot" >> GroupInShards(partial(_slot, self.size_ms), self.shards)
            | "Place" >> tagged(_SuppressFn(self.size_ms), streams.ALERTS, streams.SUPPRESSED)
        )
        shown = (split[streams.ALERTS], found[streams.ALERTS]) | "Shown" >> beam.Flatten()
        return {streams.ALERTS: shown, streams.SUPPRESSED: found[streams.SUPPRESSED]}


def _sort(size_ms: int, batch: Iterable[Alert]) -> Iterator[TaggedOutput]:
    found: dict[str, list[Alert]] = {streams.ALERTS: [], _TIMED: []}
    for alert in batch:
        found[streams.ALERTS if slot(alert, size_ms) is None else _TIMED].append(alert)
    yield from (TaggedOutput(name, alerts) for name, alerts in found.items() if alerts)


def _slot(size_ms: int, alert: Alert) -> str:
    return str(slot(alert, size_ms))


class _SuppressFn(beam.DoFn):
    def __init__(self, size_ms: int) -> None:
        self._size_ms = size_ms
        self._suppressed = Metrics.counter(self.__class__, "suppressed")

    def process(self, shard: tuple[int, Iterable[Pack]]) -> Iterator[TaggedOutput]:
        slots: dict[Slot | None, list[Alert]] = {}
        for alert in unpack(shard[1], Alert):
            slots.setdefault(slot(alert, self._size_ms), []).append(alert)
        for placed in in_batches(one for alerts in slots.values() for one in suppress(alerts)):
            shown, suppressed = apart(placed)
            self._suppressed.inc(len(suppressed))
            if shown:
                yield TaggedOutput(streams.ALERTS, shown)
            if suppressed:
                yield TaggedOutput(streams.SUPPRESSED, suppressed)
