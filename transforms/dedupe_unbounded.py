"""Dedupe's wiring for unbounded input: a stateful DoFn remembers events for a while. The core is dedupe.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.coders import VarIntCoder
from apache_beam.metrics import Metrics
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow, TimestampedValue
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from huntbeam.schemas import streams
from huntbeam.schemas.sysmon import Duplicate
from huntbeam.transforms.arrival import millis, timestamp
from huntbeam.transforms.batches import tagged
from huntbeam.transforms.dedupe import BATCH, duplicate, fresh_copies
from huntbeam.transforms.digest import Arrival, Digested, spread
from huntbeam.transforms.worker_state import prepare_worker

GATHERED = 10_000  # events of a bundle gathered at once: what bounds its memory


@dataclass
class DedupeUnbounded(beam.PTransform):
    """As DedupeBounded, with arrivals as timestamps: a copy that comes window_ms after the first counts as new."""

    window_ms: int

    def expand(self, digested: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        """PCollection[Digested] -> PCollections of Digested, each of one arrival time, and list[Duplicate]."""
        return (
            digested
            | "ByEvent" >> beam.ParDo(_Gather()).with_output_types(tuple[str, bytes])
            | "FirstCopies" >> tagged(FirstCopyFn(self.window_ms), streams.DUPLICATES, main="main", main_type=Digested)
        )


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[int, Arrival]]).decode


class _Gather(beam.DoFn):
    """A bundle's copies by event, with the earliest of their arrivals."""

    def start_bundle(self) -> None:
        self._events: dict[str, list[tuple[int, Arrival]]] = {}
        self._count = 0

    def process(self, digested: Digested, arrived: Any = beam.DoFn.TimestampParam) -> Iterator[TimestampedValue]:
        a = millis(arrived)
        for arrival in digested.arrivals:
            self._events.setdefault(arrival.event_uid, []).append((a, arrival))
        self._count += len(digested.arrivals)
        if self._count >= GATHERED:
            yield from (TimestampedValue(copies, timestamp(first)) for first, copies in self._flush())

    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield from (WindowedValue(copies, timestamp(first), [GlobalWindow()]) for first, copies in self._flush())

    def _flush(self) -> Iterator[tuple[int, tuple[str, bytes]]]:
        for event_uid, copies in self._events.items():
            yield min(a for a, _ in copies), (event_uid, _encode(copies))
        self._events, self._count = {}, 0


class FirstCopyFn(beam.DoFn):
    """Remembers when an event first came. Rows of all events of a bundle go on together, by arrival."""

    SEEN = ReadModifyWriteStateSpec("seen", VarIntCoder())
    EXPIRE = TimerSpec("dedupe_expire", TimeDomain.WATERMARK)

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._duplicates = Metrics.counter(self.__class__, "duplicates")

    def setup(self) -> None:
        """Once a worker process."""
        prepare_worker(self.SEEN.name)

    def start_bundle(self) -> None:
        """A bundle begins with nothing held."""
        self._kept: dict[int, list[Arrival]] = {}
        self._further: list[Duplicate] = []
        self._first = MAX_TIMESTAMP
        self._count = 0
        self._renewed: set[str] = set()

    def process(
        self,
        copies: tuple[str, bytes],
        arrived: Any = beam.DoFn.TimestampParam,
        seen: Any = beam.DoFn.StateParam(SEEN),
        expire: Any = beam.DoFn.TimerParam(EXPIRE),
    ) -> Iterator[Any]:
        """The copies of one event that a bundle brought."""
        event_uid, packed = copies
        kept, further = fresh_copies(seen.read(), _decode(packed), self._window_ms)
        if kept:
            last = kept[-1][0]
            seen.write(last)
            expire.set(timestamp(last + self._window_ms + 1))  # the window has its last millisecond
            self._renewed.add(event_uid)
        self._hold(arrived, kept, further)
        if self._count >= BATCH:
            for tag, held in self._flush():
                yield held if tag is None else beam.pvalue.TaggedOutput(tag, held)

    def finish_bundle(self) -> Iterator[Any]:
        """The rest."""
        for tag, held in self._flush():
            value = WindowedValue(held.value, held.timestamp, [GlobalWindow()])
            yield value if tag is None else beam.pvalue.TaggedOutput(tag, value)

    @on_timer(EXPIRE)
    def on_expire(self, event_uid: str = beam.DoFn.KeyParam, seen: Any = beam.DoFn.StateParam(SEEN)) -> None:
        """The event is forgotten, without a read; but not by a timer that was under way when it came anew."""
        if event_uid not in self._renewed:
            seen.clear()

    def _hold(self, arrived: Timestamp, kept: list[tuple[int, Arrival]], further: list[Arrival]) -> None:
        for a, arrival in kept:
            self._kept.setdefault(a, []).append(arrival)
        self._further += [row for arrival in further if (row := duplicate(arrival)) is not None]
        self._first = min(self._first, arrived)
        self._count += len(kept) + len(further)

    def _flush(self) -> Iterator[tuple[str | None, TimestampedValue]]:
        for a, arrivals in self._kept.items():
            digested = Digested()
            spread(arrivals, digested)
            yield None, TimestampedValue(digested, timestamp(a))
        if self._further:
            self._duplicates.inc(len(self._further))
            yield streams.DUPLICATES, TimestampedValue(self._further, self._first)
        self._kept, self._further, self._first, self._count = {}, [], MAX_TIMESTAMP, 0
