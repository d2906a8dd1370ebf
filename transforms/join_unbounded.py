"""Join's wiring for unbounded input: a stateful DoFn with timers, one key at a time. The core is join_keyed.py."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.coders import BytesCoder
from apache_beam.metrics import Metrics
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow, TimestampedValue
from apache_beam.utils.windowed_value import WindowedValue

from huntbeam.schemas import streams
from huntbeam.schemas.sysmon import NETWORK_CONNECT, PROCESS_CREATE, PROCESS_TERMINATE, NetworkConnect, ProcessTerminate
from huntbeam.transforms.arrival import millis, timestamp
from huntbeam.transforms.batches import tagged
from huntbeam.transforms.join import ZERO_GUID, JoinKind, given_up
from huntbeam.transforms.join_batches import JoinBatches
from huntbeam.transforms.join_keyed import WAITING, Element, KeyedJoin, Known, Log, Waiting, Waits
from huntbeam.transforms.rekey import key
from huntbeam.transforms.worker_state import prepare_worker

GATHERED = 10_000  # elements of a bundle gathered at once: what bounds its memory
_KEYED = "keyed"


@dataclass
class JoinUnbounded(beam.PTransform):
    """Batches of creates, connects and terminations, with arrivals as timestamps -> tagged batches, as JoinBounded.

    Nothing is lost however late or out of order it comes: semantics.md, rules 7 to 10 and 15 to 16. `read_time` says
    that arrivals are times of reading, which stand still while the job does (rule 3).
    """

    kind: JoinKind = JoinKind.INNER
    waits: Waits = field(default_factory=Waits)
    read_time: bool = False

    def expand(self, rows: beam.PCollection) -> dict[str, beam.PCollection]:
        """PCollection[list[ProcessCreate | NetworkConnect | ProcessTerminate]] -> PCollections by stream."""
        gathered = rows | "Gather" >> tagged(
            _Gather(self.kind), streams.JOIN, streams.UNMATCHED, main=_KEYED, main_type=tuple[str, bytes]
        )
        keys = gathered[_KEYED] | "Keys" >> tagged(
            JoinKeyFn(self.kind, self.waits, self.read_time), streams.JOIN, streams.UNMATCHED
        )
        return {
            stream: (gathered[stream], keys[stream]) | f"Both_{stream}" >> beam.Flatten()
            for stream in (streams.JOIN, streams.UNMATCHED)
        }


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Element]).decode


class _Gather(beam.DoFn):
    """A bundle's elements by key: a key's state is asked for once a bundle, not once an element.

    What is put out has the earliest arrival among its elements, so no watermark passes one of them. Connects with the
    all-zero GUID never meet a key: they would all be one.
    """

    def __init__(self, kind: JoinKind) -> None:
        self._kind = kind
        self._batches = JoinBatches(self.__class__)

    def start_bundle(self) -> None:
        self._keys: dict[str, list[Element]] = {}
        self._count = 0

    def process(self, batch: list[Any], timestamp: Any = beam.DoFn.TimestampParam) -> Iterator[Any]:
        a, never = millis(timestamp), []
        for row in batch:
            place = _place(row)
            if place is not None:
                self._keys.setdefault(place, []).append(_element(a, row))
                self._count += 1
            elif isinstance(row, NetworkConnect):
                never.append(row)
        if never:
            yield from self._batches.of(output for row in never for output in given_up(row, ZERO_GUID, self._kind))
        if self._count >= GATHERED:
            yield from (TimestampedValue(gathered, at) for at, gathered in self._flush())

    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield from (WindowedValue(gathered, at, [GlobalWindow()]) for at, gathered in self._flush())

    def _flush(self) -> Iterator[tuple[Any, tuple[str, bytes]]]:
        for place, elements in self._keys.items():
            yield timestamp(min(e.a for e in elements)), (place, _encode(elements))
        self._keys, self._count = {}, 0


def _place(row: Any) -> str | None:
    of = key(row)
    return None if of is None else "|".join(of)


def _element(a: int, row: Any) -> Element:
    if isinstance(row, ProcessTerminate):
        return Element(a, PROCESS_TERMINATE)
    return Element(a, NETWORK_CONNECT if isinstance(row, NetworkConnect) else PROCESS_CREATE, _encode(row))


class JoinKeyFn(beam.DoFn):
    """One key's KeyedJoin on Beam's state and timers. All timers are event time on arrival; none is REAL_TIME."""

    KNOWN = BagStateSpec("known", BytesCoder())  # a log, see join_keyed.Log
    WAITING = BagStateSpec("waiting", BytesCoder())
    DUE = TimerSpec("join_due", TimeDomain.WATERMARK)
    EXPIRE = TimerSpec("join_expire", TimeDomain.WATERMARK)

    def __init__(self, kind: JoinKind, waits: Waits, read_time: bool = False) -> None:
        self._core = KeyedJoin(kind, waits)
        self._read_time = read_time
        self._batches = JoinBatches(self.__class__)
        self._counters = {
            name: Metrics.counter(self.__class__, name) for name in ("waiting", "expired", "create_conflict")
        }

    def setup(self) -> None:
        """Once a worker process."""
        prepare_worker(self.KNOWN.name)
        if self._read_time:
            self._core = KeyedJoin(self._core.kind, self._core.waits, since=int(time.time() * 1000))

    def process(
        self,
        gathered: tuple[str, bytes],
        known: Any = beam.DoFn.StateParam(KNOWN),
        waiting: Any = beam.DoFn.StateParam(WAITING),
        due: Any = beam.DoFn.TimerParam(DUE),
        expire: Any = beam.DoFn.TimerParam(EXPIRE),
    ) -> Iterator[beam.pvalue.TaggedOutput]:
        """The elements of a key that one bundle brought."""
        cell = _BeamCell(known, waiting, due, expire, self._counters)
        yield from self._batches.of(self._core.on_elements(cell, _decode(gathered[1])))

    @on_timer(DUE)
    def on_due(
        self,
        timestamp: Any = beam.DoFn.TimestampParam,
        known: Any = beam.DoFn.StateParam(KNOWN),
        waiting: Any = beam.DoFn.StateParam(WAITING),
        due: Any = beam.DoFn.TimerParam(DUE),
        expire: Any = beam.DoFn.TimerParam(EXPIRE),
    ) -> Iterator[beam.pvalue.TaggedOutput]:
        """The oldest wait is over."""
        cell = _BeamCell(known, waiting, due, expire, self._counters)
        yield from self._batches.of(self._core.on_due(cell, millis(timestamp)))

    @on_timer(EXPIRE)
    def on_expire(
        self,
        timestamp: Any = beam.DoFn.TimestampParam,
        known: Any = beam.DoFn.StateParam(KNOWN),
        waiting: Any = beam.DoFn.StateParam(WAITING),
        due: Any = beam.DoFn.TimerParam(DUE),
        expire: Any = beam.DoFn.TimerParam(EXPIRE),
    ) -> Iterator[beam.pvalue.TaggedOutput]:
        """The create's state may have ended."""
        cell = _BeamCell(known, waiting, due, expire, self._counters)
        yield from self._batches.of(self._core.on_expire(cell, millis(timestamp)))


@dataclass(slots=True)
class _BeamCell:
    """join_keyed.Cell on Beam's state and timers."""

    _known: Any
    _waiting: Any
    _due: Any
    _expire: Any
    _counters: dict[str, Any]
    _log: Log = field(init=False)

    def known(self) -> Known:
        self._log = Log(list(self._known.read()))
        return self._log.read()

    def keep(self, known: Known | None) -> None:
        afresh, entry = self._log.write(known)
        if afresh:
            self._known.clear()
        if entry is not None:
            self._known.add(entry)

    def waiting(self) -> Sequence[Waiting]:
        return [WAITING.unpack(packed) for packed in self._waiting.read()]

    def add_waiting(self, connect: Waiting) -> None:
        self._waiting.add(WAITING.pack(connect))

    def clear_waiting(self) -> None:
        self._waiting.clear()

    def set_due(self, at: int) -> None:
        self._due.set(timestamp(at))

    def set_expire(self, at: int) -> None:
        self._expire.set(timestamp(at))

    def count(self, name: str) -> None:
        self._counters[name].inc()
