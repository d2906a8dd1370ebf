"""Join's wiring for unbounded input: a stateful DoFn with timers, one key at a time. The core is join.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.coders import BytesCoder, TupleCoder, VarIntCoder
from apache_beam.metrics import Metrics
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import GlobalWindow, TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from huntbeam.schemas import streams
from huntbeam.schemas.sysmon import NETWORK_CONNECT, PROCESS_CREATE, PROCESS_TERMINATE
from huntbeam.transforms.batches import tagged
from huntbeam.transforms.join import JoinKind, KeyedJoin, Output, Stamped, Waits
from huntbeam.transforms.join_batches import JoinBatches
from huntbeam.transforms.state_cache import weigh_cheaply

GATHERED = 10_000  # elements of a bundle gathered at once: what bounds its memory


class Element(msgspec.Struct, frozen=True, array_like=True):
    """What a key of the unbounded join is brought: one row, packed."""

    event_id: int
    row: bytes = b""


@dataclass
class JoinUnbounded(beam.PTransform):
    """(host|ProcessGuid, Element) with arrival times as timestamps -> tagged batches, as JoinBounded.

    Nothing is lost however late or out of order it comes: semantics.md, rules 7 to 10 and 15 to 16.
    """

    kind: JoinKind = JoinKind.INNER
    waits: Waits = field(default_factory=Waits)

    def expand(self, rows: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        """PCollection[tuple[str, Element]] -> PCollections of list[SysmonJoin] and list[SysmonUnmatched]."""
        return (
            rows
            | "Gather" >> beam.ParDo(_Gather()).with_output_types(tuple[str, bytes])
            | "Join" >> tagged(JoinKeyFn(self.kind, self.waits), streams.JOIN, streams.UNMATCHED)
        )


class _Arrived(msgspec.Struct, frozen=True, array_like=True):
    a: int
    element: Element


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[_Arrived]).decode


class _Gather(beam.DoFn):
    """A bundle's elements by key: a key's state is asked for once a bundle, not once an element.

    What is put out has the earliest arrival among its elements, so no watermark passes one of them.
    """

    def start_bundle(self) -> None:
        self._keys: dict[str, list[_Arrived]] = {}
        self._count = 0

    def process(
        self, keyed: tuple[str, Element], timestamp: Any = beam.DoFn.TimestampParam
    ) -> Iterator[TimestampedValue]:
        key, element = keyed
        self._keys.setdefault(key, []).append(_Arrived(_millis(timestamp), element))
        self._count += 1
        if self._count >= GATHERED:
            yield from (TimestampedValue(gathered, _timestamp(first)) for first, gathered in self._flush())

    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield from (WindowedValue(gathered, _timestamp(first), [GlobalWindow()]) for first, gathered in self._flush())

    def _flush(self) -> Iterator[tuple[int, tuple[str, bytes]]]:
        for key, arrived in self._keys.items():
            yield min(one.a for one in arrived), (key, _encode(arrived))
        self._keys, self._count = {}, 0


_STAMPED = TupleCoder((VarIntCoder(), VarIntCoder(), BytesCoder()))


class JoinKeyFn(beam.DoFn):
    """One key's KeyedJoin on Beam's state and timers. All timers are event time on arrival; none is REAL_TIME."""

    CREATES = BagStateSpec("creates", _STAMPED)
    WAITING = BagStateSpec("waiting", _STAMPED)
    TOUCHED = ReadModifyWriteStateSpec("touched", VarIntCoder())
    TERMINATED = BagStateSpec("terminated", VarIntCoder())
    NAMED = ReadModifyWriteStateSpec("named", VarIntCoder())
    DUE_AT = ReadModifyWriteStateSpec("due_at", VarIntCoder())
    WAKE = TimerSpec("wake", TimeDomain.WATERMARK)
    DUE = TimerSpec("due", TimeDomain.WATERMARK)
    EXPIRE = TimerSpec("expire", TimeDomain.WATERMARK)

    def __init__(self, kind: JoinKind, waits: Waits) -> None:
        self._core = KeyedJoin(kind, waits)
        self._batches = JoinBatches(self.__class__)
        self._conflicts = Metrics.counter(self.__class__, "create_conflict")

    def setup(self) -> None:
        """Once a worker process."""
        weigh_cheaply()

    def process(
        self,
        gathered: tuple[str, bytes],
        creates: Any = beam.DoFn.StateParam(CREATES),
        waiting: Any = beam.DoFn.StateParam(WAITING),
        touched: Any = beam.DoFn.StateParam(TOUCHED),
        terminated: Any = beam.DoFn.StateParam(TERMINATED),
        named: Any = beam.DoFn.StateParam(NAMED),
        due_at: Any = beam.DoFn.StateParam(DUE_AT),
        wake: Any = beam.DoFn.TimerParam(WAKE),
        due: Any = beam.DoFn.TimerParam(DUE),
        expire: Any = beam.DoFn.TimerParam(EXPIRE),
    ) -> Iterator[beam.pvalue.TaggedOutput]:
        """The elements of a key that one bundle brought."""
        cell = _BeamCell(creates, waiting, touched, terminated, named, due_at, wake, due, expire, self._conflicts)
        yield from self._batches.of(self._feed(cell, _decode(gathered[1])))

    def _feed(self, cell: _BeamCell, arrived: list[_Arrived]) -> Iterator[Output]:
        for one in arrived:
            if one.element.event_id == PROCESS_CREATE:
                self._core.on_create(cell, one.a, one.element.row)
            elif one.element.event_id == NETWORK_CONNECT:
                yield from self._core.on_connect(cell, one.a, one.element.row)
            elif one.element.event_id == PROCESS_TERMINATE:
                self._core.on_terminate(cell, one.a)

    @on_timer(WAKE)
    def on_wake(
        self,
        creates: Any = beam.DoFn.StateParam(CREATES),
        waiting: Any = beam.DoFn.StateParam(WAITING),
        touched: Any = beam.DoFn.StateParam(TOUCHED),
        terminated: Any = beam.DoFn.StateParam(TERMINATED),
        named: Any = beam.DoFn.StateParam(NAMED),
        expire: Any = beam.DoFn.TimerParam(EXPIRE),
    ) -> Iterator[beam.pvalue.TaggedOutput]:
        """A create has come."""
        cell = _BeamCell(creates, waiting, touched, terminated, named, expire=expire, conflicts=self._conflicts)
        yield from self._batches.of(self._core.on_wake(cell))

    @on_timer(DUE)
    def on_due(
        self,
        timestamp: Any = beam.DoFn.TimestampParam,
        creates: Any = beam.DoFn.StateParam(CREATES),
        waiting: Any = beam.DoFn.StateParam(WAITING),
        touched: Any = beam.DoFn.StateParam(TOUCHED),
        named: Any = beam.DoFn.StateParam(NAMED),
        due_at: Any = beam.DoFn.StateParam(DUE_AT),
        due: Any = beam.DoFn.TimerParam(DUE),
    ) -> Iterator[beam.pvalue.TaggedOutput]:
        """The oldest wait is over."""
        cell = _BeamCell(creates, waiting, touched, None, named, due_at, due_timer=due)
        yield from self._batches.of(self._core.on_due(cell, _millis(timestamp)))

    @on_timer(EXPIRE)
    def on_expire(
        self,
        timestamp: Any = beam.DoFn.TimestampParam,
        creates: Any = beam.DoFn.StateParam(CREATES),
        touched: Any = beam.DoFn.StateParam(TOUCHED),
        terminated: Any = beam.DoFn.StateParam(TERMINATED),
        named: Any = beam.DoFn.StateParam(NAMED),
        expire: Any = beam.DoFn.TimerParam(EXPIRE),
    ) -> Iterator[beam.pvalue.TaggedOutput]:
        """The create's state may have ended."""
        cell = _BeamCell(creates, None, touched, terminated, named, expire=expire)
        yield from self._batches.of(self._core.on_expire(cell, _millis(timestamp)))


@dataclass(slots=True)
class _BeamCell:
    """join.Cell on Beam's state and timers; a callback brings those that its part of the core uses."""

    _creates: Any
    _waiting: Any
    _touched: Any
    _terminated: Any = None
    _named: Any = None
    due_at: Any = None
    wake: Any = None
    due_timer: Any = None
    expire: Any = None
    conflicts: Any = None

    def creates(self) -> Sequence[Stamped]:
        return [Stamped(*s) for s in self._creates.read()]

    def add_create(self, create: Stamped) -> None:
        self._creates.add(tuple(create))

    def clear_creates(self) -> None:
        self._creates.clear()

    def waiting(self) -> Sequence[Stamped]:
        return [Stamped(*s) for s in self._waiting.read()]

    def add_waiting(self, connect: Stamped) -> None:
        self._waiting.add(tuple(connect))

    def clear_waiting(self) -> None:
        self._waiting.clear()

    def touched(self) -> int | None:
        return self._touched.read()  # type: ignore[no-any-return]

    def touch(self, a: int) -> None:
        self._touched.write(a)

    def clear_touched(self) -> None:
        self._touched.clear()

    def terminated(self) -> int | None:
        return max(self._terminated.read(), default=None)

    def terminate(self, a: int) -> None:
        self._terminated.add(a)

    def clear_terminated(self) -> None:
        self._terminated.clear()

    def named(self) -> bool:
        return bool(self._named.read())

    def name(self) -> None:
        self._named.write(1)

    def clear_named(self) -> None:
        self._named.clear()

    def due(self) -> int | None:
        return self.due_at.read()  # type: ignore[no-any-return]

    def set_due(self, at: int) -> None:
        self.due_at.write(at)
        self.due_timer.set(_timestamp(at))

    def clear_due(self) -> None:
        self.due_at.clear()

    def set_wake(self, at: int) -> None:
        self.wake.set(_timestamp(at))

    def set_expire(self, at: int) -> None:
        self.expire.set(_timestamp(at))

    def conflict(self) -> None:
        self.conflicts.inc()


def _millis(timestamp: Timestamp) -> int:
    return int(timestamp.micros // 1000)


def _timestamp(millis: int) -> Timestamp:
    return Timestamp(micros=millis * 1000)
