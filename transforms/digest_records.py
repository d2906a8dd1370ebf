"""Digest's wiring for records of a topic: what a bundle brings becomes rows, in batches of one arrival time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import GlobalWindow, TimestampedValue
from apache_beam.utils.windowed_value import WindowedValue

from huntbeam.schemas.clock import parse_time
from huntbeam.transforms.arrival import millis, timestamp
from huntbeam.transforms.digest import Digested
from huntbeam.transforms.digests import AnyPlan, digest_of

ROWS = 2_000  # rows of a batch, about


@dataclass
class DigestRecords(beam.PTransform):
    """Records as key and value, with arrivals as timestamps -> digested batches, each of one arrival time.

    Without a source the keys are the sources, of several topics.
    """

    plan: AnyPlan
    source: str | None = None

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        """PCollection[tuple[bytes | None, bytes | None]] -> PCollection[Digested]."""
        return records | "Digest" >> beam.ParDo(DigestRecordsFn(self.plan, self.source)).with_output_types(Digested)


class DigestRecordsFn(beam.DoFn):
    """Holds the rows of one arrival time until another comes: Kafka stamps what a producer sent together alike."""

    def __init__(self, plan: AnyPlan, source: str | None) -> None:
        self._plan = plan
        self._source = source
        self._received = Metrics.counter(self.__class__, "received")
        self._emitted = Metrics.counter(self.__class__, "emitted")
        self._dead = Metrics.counter(self.__class__, "dead")
        self._lag = Metrics.distribution(self.__class__, "event_lag")

    def setup(self) -> None:
        """Once a worker process and step."""
        self._digest = digest_of(self._plan)

    def start_bundle(self) -> None:
        """A bundle begins with nothing held, and with the rules that are in force."""
        self._digest.renew()
        self._a = 0
        self._records = 0

    def process(
        self, record: tuple[bytes | None, bytes | None], timestamp: Any = beam.DoFn.TimestampParam
    ) -> Iterator[TimestampedValue]:
        """One record. Of a topic's own keys nothing is made: Winlogbeat's are none or random."""
        a = millis(timestamp)
        if a != self._a or self._records % ROWS == 0:
            if self._digest.size():
                yield self._held()
            self._a = a
        self._records += 1
        value = record[1]
        if value is None:
            self._digest.null()
        else:
            source = self._source
            self._digest.record(value, (record[0] or b"").decode() if source is None else source, 0, None)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """The rest, and what was counted meanwhile."""
        if self._digest.size():
            held = self._held()
            yield WindowedValue(held.value, held.timestamp, [GlobalWindow()])
        self._received.inc(self._records)
        for name, count in self._digest.take().tallies.items():
            Metrics.counter(self.__class__, name).inc(count)

    def _held(self) -> TimestampedValue:
        digested = self._digest.take_rows()
        self._dead.inc(len(digested.dead_letters))
        for rows in (digested.creates, digested.connects, digested.monster):
            self._emitted.inc(len(rows))
            for row in rows:
                time = parse_time(row.event_date_creation)
                if time is not None:
                    self._lag.update(self._a - time)
        return TimestampedValue(digested, timestamp(self._a))
