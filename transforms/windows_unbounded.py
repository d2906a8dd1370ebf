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
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow, TimestampedValue
from apache_beam.utils.windowed_value import WindowedValue

from huntbeam.schemas.window import Counter, WindowCount
from huntbeam.transforms.arrival import millis, timestamp
from huntbeam.transforms.batches import Batch
from huntbeam.transforms.state import Versioned
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

    ROW = BagStateSpec("row", BytesCoder())  # a log, see _BeamCell
    DUE = TimerSpec("window_due", TimeDomain.WATERMARK)

    def __init__(self, counters: tuple[Counter, ...], timing: Timing) -> None:
        self._core = KeyedRows(Finisher(counters, timing.size), timing)
        self._late = Metrics.counter(self.__class__, "late")
        self._emitted = Metrics.counter(self.__class__, "emitted")

    def setup(self) -> None:
        """Once a worker process."""
        prepare_worker(self.ROW.name)

    def process(
        self,
        brought: tuple[str, bytes],
        row: Any = beam.DoFn.StateParam(ROW),
        due: Any = beam.DoFn.TimerParam(DUE),
    ) -> None:
        """What one bundle counted of a row."""
        key, packed = brought
        cell = _BeamCell(row, due, self._late)
        self._core.on_parts(cell, _decode_group(key), packed)
        cell.write()

    @on_timer(DUE)
    def on_due(
        self,
        key: str = beam.DoFn.KeyParam,
        at: Any = beam.DoFn.TimestampParam,
        row: Any = beam.DoFn.StateParam(ROW),
        due: Any = beam.DoFn.TimerParam(DUE),
    ) -> Iterator[list[WindowCount]]:
        """The row is put out, or its state has ended."""
        cell = _BeamCell(row, due, self._late)
        rows = list(self._core.on_due(cell, _decode_group(key), millis(at)))
        cell.write()
        if rows:
            self._emitted.inc(len(rows))
            yield rows


class _Entry(msgspec.Struct, array_like=True):
    """How things stand with the row from here on, and the parts that came with it."""

    standing: bytes
    parts: list[bytes]


_ENTRY = Versioned(1, _Entry)


class _BeamCell:
    """window_rows.Cell on Beam's state and timer: one bag, to which a bundle adds one entry."""

    def __init__(self, row: Any, due: Any, late: Any) -> None:
        self._row = row
        self._due = due
        self._late = late
        self._entries = [_ENTRY.unpack(entry) for entry in row.read()]
        self._afresh = False
        self._standing: bytes | None = None
        self._added: list[bytes] = []

    def standing(self) -> bytes | None:
        return self._standing or (self._entries[-1].standing if self._entries else None)

    def stand(self, standing: bytes) -> None:
        self._standing = standing

    def parts(self) -> Sequence[bytes]:
        return [*(part for entry in self._entries for part in entry.parts), *self._added]

    def add_parts(self, parts: bytes) -> None:
        self._added.append(parts)

    def clear_parts(self) -> None:
        self._standing = self.standing()
        self._afresh, self._entries, self._added = True, [], []

    def clear(self) -> None:
        self.clear_parts()
        self._standing = None

    def set_due(self, at: int) -> None:
        self._due.set(timestamp(at))

    def count_late(self, events: int) -> None:
        self._late.inc(events)

    def write(self) -> None:
        """What has changed, as one entry."""
        if self._afresh:
            self._row.clear()
        if self._standing is not None:
            self._row.add(_ENTRY.pack(_Entry(self._standing, self._added)))
