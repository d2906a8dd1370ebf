"""Windows' unbounded wiring: counted bundle by bundle, then a stateful DoFn a shard. The core is window_shard.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.metrics import Metrics
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow, TimestampedValue
from apache_beam.utils.windowed_value import WindowedValue

from huntbeam.schemas.window import Counter, WindowCount
from huntbeam.transforms.arrival import millis, timestamp
from huntbeam.transforms.batches import Batch
from huntbeam.transforms.beam_cell import BeamCell
from huntbeam.transforms.window_rows import KeyedRows, Timing, part
from huntbeam.transforms.window_shard import Brought, WindowShard, pack, shard_of
from huntbeam.transforms.windows import Accumulator, Counting, Finisher, Group, merge
from huntbeam.transforms.windows_bounded import GROUPS
from huntbeam.transforms.worker_state import prepare_worker

ROWS = 1_000  # of a batch that leaves


@dataclass
class CountUnbounded(beam.PTransform):
    """Batches of rows, with arrivals as timestamps -> batches of window rows, put out as rules 11 to 13 say.

    Of the copies of a row (equal event_uid and generation) the one with the highest count is valid.
    """

    counters: tuple[Counter, ...]
    size_ms: int
    grace_ms: int
    allowed_lateness_ms: int
    early_ms: int | None = None

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        """PCollection[list[ProcessCreate | NetworkConnect | SysmonEvent]] -> PCollection[list[WindowCount]]."""
        timing = Timing(self.size_ms, self.grace_ms, self.allowed_lateness_ms, self.early_ms)
        return (
            batches
            | "Count" >> beam.ParDo(_Count(self.counters, self.size_ms)).with_output_types(tuple[str, bytes])
            | "Rows" >> beam.ParDo(WindowShardFn(self.counters, timing)).with_output_types(Batch)
        )


class _Count(beam.DoFn):
    """Counts a bundle by row and arrival; a shard is brought all of it at once, with the earliest of its arrivals."""

    def __init__(self, counters: tuple[Counter, ...], size_ms: int) -> None:
        self._counters = counters
        self._size_ms = size_ms

    def start_bundle(self) -> None:
        self._counting = Counting(self._counters, self._size_ms)
        self._rows: dict[Group, dict[int, Accumulator]] = {}
        self._count = 0

    def process(self, batch: list[Any], arrived: Any = beam.DoFn.TimestampParam) -> Iterator[TimestampedValue]:
        self._counting.add(batch)
        a = millis(arrived)
        for counted in self._counting.take():
            by_arrival = self._rows.setdefault(counted.group(), {})
            if a in by_arrival:
                merge(by_arrival[a], counted)
            else:
                by_arrival[a] = counted
                self._count += 1
        if self._count >= GROUPS:
            yield from (TimestampedValue(brought, timestamp(first)) for first, brought in self._flush())

    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield from (WindowedValue(brought, timestamp(first), [GlobalWindow()]) for first, brought in self._flush())

    def _flush(self) -> Iterator[tuple[int, tuple[str, bytes]]]:
        shards: dict[tuple[int, int], Brought] = {}
        for group, by_arrival in self._rows.items():
            parts = [part(a, counted) for a, counted in by_arrival.items()]
            shards.setdefault(shard_of(group), []).append((group, parts))
        for (start, shard), brought in shards.items():
            yield min(one.a for _, parts in brought for one in parts), (f"{start}|{shard}", pack(brought))
        self._rows, self._count = {}, 0


class WindowShardFn(beam.DoFn):
    """One WindowShard on Beam's state and its one timer, which is event time on arrival."""

    HEAD = BagStateSpec("head", BytesCoder())  # of which the last counts, see BeamCell
    LOG = BagStateSpec("log", BytesCoder())
    DUE = TimerSpec("window_due", TimeDomain.WATERMARK)

    def __init__(self, counters: tuple[Counter, ...], timing: Timing) -> None:
        self._core = WindowShard(KeyedRows(Finisher(counters, timing.size), timing))
        self._late = Metrics.counter(self.__class__, "late")
        self._emitted = Metrics.counter(self.__class__, "emitted")

    def setup(self) -> None:
        """Once a worker process."""
        prepare_worker(self.HEAD.name)

    def process(
        self,
        brought: tuple[str, bytes],
        arrived: Any = beam.DoFn.TimestampParam,
        head: Any = beam.DoFn.StateParam(HEAD),
        log: Any = beam.DoFn.StateParam(LOG),
        due: Any = beam.DoFn.TimerParam(DUE),
    ) -> None:
        """What one bundle counted of a shard."""
        key, packed = brought
        start = int(key.partition("|")[0])
        self._core.on_brought(BeamCell(head, log, due), start, millis(arrived), packed)

    @on_timer(DUE)
    def on_due(
        self,
        at: Any = beam.DoFn.TimestampParam,
        head: Any = beam.DoFn.StateParam(HEAD),
        log: Any = beam.DoFn.StateParam(LOG),
        due: Any = beam.DoFn.TimerParam(DUE),
    ) -> Iterator[list[WindowCount]]:
        """Rows of the shard are put out, or their time is over."""
        rows: list[WindowCount] = []
        for out in self._core.on_due(BeamCell(head, log, due), millis(at)):
            self._late.inc(out.newly_late)
            self._emitted.inc()
            rows.append(out.row)
            if len(rows) >= ROWS:
                yield rows
                rows = []
        if rows:
            yield rows
