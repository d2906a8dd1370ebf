"""keyed_match.py's wiring: elements gathered by key and bundle, then a stateful DoFn with timers, one key at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
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

from huntbeam.transforms.arrival import millis, timestamp
from huntbeam.transforms.keyed_match import KeyedMatch
from huntbeam.transforms.keyed_match_state import WAITING, Element, Known, Log, Waiting
from huntbeam.transforms.worker_state import prepare_worker

GATHERED = 10_000  # elements of a bundle gathered at once: what bounds its memory

Gathered = tuple[str, bytes]  # key; its elements, packed

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Element]).decode


class GatherElements(beam.DoFn):
    """A bundle's elements by key: a key's state is asked for once a bundle, not once an element.

    What is put out has the earliest timestamp among its elements, so no watermark passes one of them.
    """

    def brought(self, a: int, row: Any) -> Iterable[Any]:
        """For each key that a row is for a tuple of it and an Element; and rows that are put out at once."""
        raise NotImplementedError

    def put_out(self, rows: list[Any]) -> Iterator[Any]:
        """What Beam gets of rows that are put out at once."""
        raise NotImplementedError

    def start_bundle(self) -> None:
        """Nothing is gathered yet."""
        self._keys: dict[str, tuple[int, list[Element]]] = {}
        self._count = 0

    def process(self, batch: list[Any], arrived: Any = beam.DoFn.TimestampParam) -> Iterator[Any]:
        """Rows that arrived together."""
        a, at_once = millis(arrived), []
        for row in batch:
            for one in self.brought(a, row):
                if one.__class__ is tuple:
                    self._add(a, *one)
                else:
                    at_once.append(one)
        if at_once:
            yield from self.put_out(at_once)
        if self._count >= GATHERED:
            yield from (TimestampedValue(gathered, timestamp(first)) for first, gathered in self._flush())

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """What is left."""
        yield from (WindowedValue(gathered, timestamp(first), [GlobalWindow()]) for first, gathered in self._flush())

    def _add(self, a: int, place: str, element: Element) -> None:
        first, elements = self._keys.get(place, (a, []))
        elements.append(element)
        self._keys[place] = min(first, a), elements
        self._count += 1

    def _flush(self) -> Iterator[tuple[int, Gathered]]:
        for place, (first, elements) in self._keys.items():
            yield first, (place, _encode(elements))
        self._keys, self._count = {}, 0


class MatchKeyFn(beam.DoFn):
    """One key's KeyedMatch on Beam's state and timers. All timers are event time on arrival; none is REAL_TIME.

    A step is a subclass, which names its timers, see KeyedLogFn: `class JoinKeyFn(MatchKeyFn, timers="join")` has
    join_due and join_expire.
    """

    KNOWN = BagStateSpec("known", BytesCoder())  # a log, see keyed_match_state.Log
    WAITING = BagStateSpec("waiting", BytesCoder())

    def __init__(self, core: KeyedMatch[Any, Any], read_time: bool = False) -> None:
        self._core = core
        self._read_time = read_time
        self._counters = {
            name: Metrics.counter(self.__class__, name) for name in ("waiting", "expired", "create_conflict")
        }

    def __init_subclass__(cls, timers: str, **others: Any) -> None:
        """Beam finds timers by the methods that ask for them, so each step has its own."""
        super().__init_subclass__(**others)
        due, expire = (TimerSpec(f"{timers}_{name}", TimeDomain.WATERMARK) for name in ("due", "expire"))
        cls.process, cls.on_due, cls.on_expire = _methods(due, expire)

    def put_out(self, rows: Iterator[Any]) -> Iterator[Any]:
        """What Beam gets of the rows, all of which are taken."""
        raise NotImplementedError

    def setup(self) -> None:
        """Once a worker process."""
        prepare_worker(self.KNOWN.name)
        if self._read_time:
            self._core = msgspec.structs.replace(self._core, since=int(time.time() * 1000))


def _methods(due_spec: TimerSpec, expire_spec: TimerSpec) -> tuple[Callable[..., Iterator[Any]], ...]:
    def process(
        self: MatchKeyFn,
        gathered: Gathered,
        known: Any = beam.DoFn.StateParam(MatchKeyFn.KNOWN),
        waiting: Any = beam.DoFn.StateParam(MatchKeyFn.WAITING),
        due: Any = beam.DoFn.TimerParam(due_spec),
        expire: Any = beam.DoFn.TimerParam(expire_spec),
    ) -> Iterator[Any]:
        """The elements of a key that one bundle brought."""
        cell = _BeamCell(known, waiting, due, expire, self._counters)
        yield from self.put_out(self._core.on_elements(cell, _decode(gathered[1])))

    @on_timer(due_spec)
    def on_due(
        self: MatchKeyFn,
        at: Any = beam.DoFn.TimestampParam,
        known: Any = beam.DoFn.StateParam(MatchKeyFn.KNOWN),
        waiting: Any = beam.DoFn.StateParam(MatchKeyFn.WAITING),
        due: Any = beam.DoFn.TimerParam(due_spec),
        expire: Any = beam.DoFn.TimerParam(expire_spec),
    ) -> Iterator[Any]:
        """The oldest wait is over."""
        cell = _BeamCell(known, waiting, due, expire, self._counters)
        yield from self.put_out(self._core.on_due(cell, millis(at)))

    @on_timer(expire_spec)
    def on_expire(
        self: MatchKeyFn,
        at: Any = beam.DoFn.TimestampParam,
        known: Any = beam.DoFn.StateParam(MatchKeyFn.KNOWN),
        waiting: Any = beam.DoFn.StateParam(MatchKeyFn.WAITING),
        due: Any = beam.DoFn.TimerParam(due_spec),
        expire: Any = beam.DoFn.TimerParam(expire_spec),
    ) -> Iterator[Any]:
        """The create's state may have ended."""
        cell = _BeamCell(known, waiting, due, expire, self._counters)
        yield from self.put_out(self._core.on_expire(cell, millis(at)))

    return process, on_due, on_expire


@dataclass(slots=True)
class _BeamCell:
    """keyed_match_state.Cell on Beam's state and timers."""

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

    def add_waiting(self, item: Waiting) -> None:
        self._waiting.add(WAITING.pack(item))

    def clear_waiting(self) -> None:
        self._waiting.clear()

    def set_due(self, at: int) -> None:
        self._due.set(timestamp(at))

    def set_expire(self, at: int) -> None:
        self._expire.set(timestamp(at))

    def count(self, name: str) -> None:
        self._counters[name].inc()
