"""keyed_log.py's wiring: items gathered by key and bundle, then a stateful DoFn, one key at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import apache_beam as beam
import msgspec
from apache_beam.coders import BytesCoder
from apache_beam.metrics import Metrics
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow, TimestampedValue
from apache_beam.utils.windowed_value import WindowedValue

from huntbeam.transforms.arrival import millis, timestamp
from huntbeam.transforms.batches import Batch, in_batches
from huntbeam.transforms.beam_cell import BeamCell
from huntbeam.transforms.keyed_log import KeyedLog
from huntbeam.transforms.worker_state import prepare_worker

GATHERED = 10_000  # items of a bundle gathered at once: what bounds its memory

Gathered = tuple[bytes, tuple[int, bytes]]  # packed key; how many items, and these as KeyedLog.pack() makes them
Brings = Callable[[int, Any], Iterable[tuple[Any, Any]]]  # arrival, row -> keys, and what it brings to each

_encode = msgspec.msgpack.Encoder().encode


class Logged(Protocol):
    """A core that knows its log: a log itself has decoders, which cannot be sent to workers."""

    def log(self) -> KeyedLog[Any, Any, Any, Any]: ...  # noqa: D102


@dataclass
class EvaluateKeyed(beam.PTransform):
    """Batches of rows, with arrivals as timestamps -> batches of what a core makes of each key's."""

    core: Logged
    brings: Brings
    step: type[KeyedLogFn]

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        """PCollection[list[...]] -> PCollection[list[...]]."""
        gathered = batches | "Gather" >> beam.ParDo(Gather(self.core, self.brings)).with_output_types(Gathered)
        return gathered | "Keys" >> beam.ParDo(self.step(self.core)).with_output_types(Batch)


class Gather(beam.DoFn):
    """A bundle's items by key: a key's state is asked for once a bundle, not once an item.

    Keys are named tuples of what msgpack has. What is put out has the earliest arrival among its items, so no watermark
    passes one of them.
    """

    def __init__(self, core: Logged, brings: Brings) -> None:
        self._core = core
        self._brings = brings

    def setup(self) -> None:
        """Once a worker process."""
        self._log = self._core.log()

    def start_bundle(self) -> None:
        """Nothing is gathered yet."""
        self._keys: dict[Any, list[Any]] = {}
        self._count = 0

    def process(self, batch: list[Any], arrived: Any = beam.DoFn.TimestampParam) -> Iterator[TimestampedValue]:
        """Rows that arrived together."""
        a = millis(arrived)
        for row in batch:
            for key, item in self._brings(a, row):
                self._keys.setdefault(key, []).append(item)
                self._count += 1
        if self._count >= GATHERED:
            yield from (TimestampedValue(gathered, timestamp(first)) for first, gathered in self._flush())

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """What is left."""
        yield from (WindowedValue(gathered, timestamp(first), [GlobalWindow()]) for first, gathered in self._flush())

    def _flush(self) -> Iterator[tuple[int, Gathered]]:
        for key, items in self._keys.items():
            yield min(item.a for item in items), (_encode(key), (len(items), self._log.pack(items)))
        self._keys, self._count = {}, 0


class KeyedLogFn(beam.DoFn):
    """One key's KeyedLog on Beam's state and its one timer, which is event time on arrival.

    A step is a subclass, which names its timer: on FnApiRunner steps of one stage must not share that name. `key` is
    the type of keys. Puts out batches of rows, whose timestamp is the timer's.

        class BeaconFn(KeyedLogFn, timer="beacon_due", key=Hour): ...
    """

    HEAD = BagStateSpec("head", BytesCoder())  # of which the last counts, see BeamCell
    LOG = BagStateSpec("log", BytesCoder())

    def __init__(self, core: Logged) -> None:
        self._core = core
        self._emitted = Metrics.counter(self.__class__, "emitted")

    def __init_subclass__(cls, timer: str, key: type[Any], **others: Any) -> None:
        """Beam finds a timer by the methods that ask for it, so each step has its own two."""
        super().__init_subclass__(**others)
        cls.process, cls.on_due = _methods(TimerSpec(timer, TimeDomain.WATERMARK), msgspec.msgpack.Decoder(key).decode)

    def setup(self) -> None:
        """Once a worker process."""
        prepare_worker(self.HEAD.name)
        self._log = self._core.log()


def _methods(
    spec: TimerSpec, key_of: Callable[[bytes], Any]
) -> tuple[Callable[..., None], Callable[..., Iterator[list[Any]]]]:
    def process(
        self: KeyedLogFn,
        gathered: Gathered,
        arrived: Any = beam.DoFn.TimestampParam,
        head: Any = beam.DoFn.StateParam(KeyedLogFn.HEAD),
        log: Any = beam.DoFn.StateParam(KeyedLogFn.LOG),
        due: Any = beam.DoFn.TimerParam(spec),
    ) -> None:
        """The items of a key that one bundle brought."""
        key, (count, packed) = gathered
        self._log.on_brought(BeamCell(head, log, due), key_of(key), millis(arrived), count, packed)

    @on_timer(spec)
    def on_due(
        self: KeyedLogFn,
        key: bytes = beam.DoFn.KeyParam,
        at: Any = beam.DoFn.TimestampParam,
        head: Any = beam.DoFn.StateParam(KeyedLogFn.HEAD),
        log: Any = beam.DoFn.StateParam(KeyedLogFn.LOG),
        due: Any = beam.DoFn.TimerParam(spec),
    ) -> Iterator[list[Any]]:
        """The key is to be evaluated."""
        put_out = self._log.on_due(BeamCell(head, log, due), key_of(key), millis(at))
        for rows in in_batches(out.row for out in put_out):
            self._emitted.inc(len(rows))
            yield rows

    return process, on_due
