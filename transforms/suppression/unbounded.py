"""Suppression's unbounded wiring: a stateful DoFn a slot. The core is keyed.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from huntbeam.schemas import streams
from huntbeam.schemas.alert import Alert
from huntbeam.schemas.clock import HOUR
from huntbeam.transforms.batches import tagged
from huntbeam.transforms.correlation.known import Known
from huntbeam.transforms.keyed_log_beam import EvaluateKeyed, KeyedLogFn
from huntbeam.transforms.suppression.evaluate import Placed, Slot, apart
from huntbeam.transforms.suppression.keyed import Came, Coming, SuppressionCore, sort

_COMING = "coming"


class SlotFn(KeyedLogFn, timer="suppression_due", key=Slot):
    """Alerts of one rule and group in a window."""


@dataclass
class SuppressUnbounded(beam.PTransform):
    """Batches of alerts, with arrivals as timestamps -> batches of those that are shown, and of the others.

    As SuppressBounded, but that rows are put out again when they change, with a higher revision, and taken back: an
    alert that comes later and is earlier by event time takes the place of the one that is shown.
    """

    size_ms: int
    known: Known
    allowed_lateness_ms: int = HOUR

    def expand(self, alerts: beam.PCollection) -> dict[str, beam.PCollection]:
        """PCollection[list[Alert]] -> PCollections of list[Alert], by stream name."""
        names = (streams.ALERTS, streams.SUPPRESSED)
        core = SuppressionCore(self.size_ms, self.allowed_lateness_ms)
        found = alerts | "Sort" >> tagged(_SortFn(self.size_ms, self.known), *names, _COMING)
        placed = found[_COMING] | "Slots" >> EvaluateKeyed(core, _brings, SlotFn)
        decided = placed | "Place" >> tagged(_place, *names)
        return {name: (found[name], decided[name]) | f"All_{name}" >> beam.Flatten() for name in names}


class _SortFn(beam.DoFn):
    def __init__(self, size_ms: int, known: Known) -> None:
        self._size_ms = size_ms
        self._known = known
        self._suppressed = Metrics.counter(self.__class__, "suppressed")

    def process(self, batch: Iterable[Alert]) -> Iterator[TaggedOutput]:
        found = sort(batch, self._size_ms, self._known.timespan_ms)
        self._suppressed.inc(len(found.suppressed))
        named = {streams.ALERTS: found.timeless, streams.SUPPRESSED: found.suppressed, _COMING: found.coming}
        yield from (TaggedOutput(name, rows) for name, rows in named.items() if rows)


def _brings(a: int, alert: Coming) -> Iterator[tuple[Slot, Came]]:
    yield alert.slot, Came(a, alert)


def _place(batch: Iterable[Placed]) -> Iterator[TaggedOutput]:
    for name, rows in zip((streams.ALERTS, streams.SUPPRESSED), apart(batch), strict=True):
        if rows:
            yield TaggedOutput(name, rows)
