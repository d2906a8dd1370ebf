"""Windows' unbounded wiring: counted bundle by bundle, then a stateful DoFn a row. The core is window_rows.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.coders import BytesCoder
from apache_beam.metrics import Metrics
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow, TimestampedValue
from apache_beam.utils.windowed_value import WindowedValue

from huntbeam.schemas.window import Counter, WindowCount
from huntbeam.transforms.arrival import millis, timestamp
from huntbeam.transforms.batches import Batch
from huntbeam.transforms.window_rows import PARTS, KeyedRows, Parts, Timing, part
from huntbeam.transforms.windows import Accumulator, Counting, Finisher, Group, merge
from huntbeam.transforms.windows_bounded import GROUPS
from huntbeam.transforms.worker_state import prepare_worker


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
            | "Rows" >> beam.ParDo(WindowRowFn(self.counters, timing)).with_output_types(Batch)
        )


_encode_group = msgspec.json.Encoder().encode
_decode_group = msgspec.json.Decoder(Group).decode


class _Count(beam.DoFn):
    """Counts a bundle by row and arrival; a row is brought all of it at once, with the earliest of its arrivals."""

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
        for group, by_arrival in self._rows.items():
            parts = Parts([part(a, counted) for a, counted in by_arrival.items()])
            yield min(by_arrival), (_encode_group(group).decode(), PARTS.pack(parts))
        self._rows, self._count = {}, 0


class WindowRowFn(beam.DoFn):
    """One row's KeyedRows on Beam's state and its one timer, which is event time on arrival."""

    STANDING = ReadModifyWriteStateSpec("standing", BytesCoder())
    PARTS = BagStateSpec("parts", BytesCoder())
    DUE = TimerSpec("window_due", TimeDomain.WATERMARK)

    def __init__(self, counters: tuple[Counter, ...], timing: Timing) -> None:
        self._core = KeyedRows(Finisher(counters, timing.size), timing)
        self._late = Metrics.counter(self.__class__, "late")
        self._emitted = Metrics.counter(self.__class__, "emitted")

    def setup(self) -> None:
        """Once a worker process."""
        prepare_worker()

    def process(
        self,
        brought: tuple[str, bytes],
        standing: Any = beam.DoFn.StateParam(STANDING),
        parts: Any = beam.DoFn.StateParam(PARTS),
        due: Any = beam.DoFn.TimerParam(DUE),
    ) -> None:
        """What one bundle counted of a row."""
        key, packed = brought
        self._core.on_parts(_BeamCell(standing, parts, due, self._late), _decode_group(key), packed)

    @on_timer(DUE)
    def on_due(
        self,
        key: str = beam.DoFn.KeyParam,
        at: Any = beam.DoFn.TimestampParam,
        standing: Any = beam.DoFn.StateParam(STANDING),
        parts: Any = beam.DoFn.StateParam(PARTS),
        due: Any = beam.DoFn.TimerParam(DUE),
    ) -> Iterator[list[WindowCount]]:
        """The row is put out, or its state has ended."""
        cell = _BeamCell(standing, parts, due, self._late)
        rows = list(self._core.on_due(cell, _decode_group(key), millis(at)))
        if rows:
            self._emitted.inc(len(rows))
            yield rows


@dataclass(slots=True)
class _BeamCell:
    """window_rows.Cell on Beam's state and timer."""

    _standing: Any
    _parts: Any
    _due: Any
    _late: Any

    def standing(self) -> bytes | None:
        return self._standing.read()  # type: ignore[no-any-return]

    def stand(self, standing: bytes) -> None:
        self._standing.write(standing)

    def parts(self) -> Sequence[bytes]:
        return list(self._parts.read())

    def add_parts(self, parts: bytes) -> None:
        self._parts.add(parts)

    def clear_parts(self) -> None:
        self._parts.clear()

    def clear(self) -> None:
        self._standing.clear()
        self._parts.clear()

    def set_due(self, at: int) -> None:
        self._due.set(timestamp(at))

    def count_late(self, events: int) -> None:
        self._late.inc(events)
