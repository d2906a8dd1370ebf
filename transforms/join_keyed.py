"""The join of one key on unbounded input: what each element and timer does. Pure; the wiring is join_unbounded.py.

Rules 3 and 7 to 10 of docs/semantics.md. `a` is when an element arrived, in milliseconds of the stream's clock; every
wait is counted from it, and a timer only starts the work, so that the answer does not depend on when it fires.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from huntbeam.schemas.clock import DAY, MINUTE
from huntbeam.schemas.sysmon import NETWORK_CONNECT, PROCESS_CREATE, NetworkConnect, ProcessCreate
from huntbeam.transforms.join import NO_CREATE, JoinKind, Output, given_up, joined, rank, unconnected
from huntbeam.transforms.state import Versioned


class Waits(msgspec.Struct, frozen=True):
    """How long the unbounded join waits, in milliseconds of the stream's clock."""

    join: int = 10 * MINUTE
    process_ttl: int = 7 * DAY
    terminate_grace: int = 10 * MINUTE


class Element(msgspec.Struct, frozen=True, array_like=True):
    """What a key is brought: a row, packed, and when it came. Event 5 has no row."""

    a: int
    event_id: int
    row: bytes = b""


class Known(msgspec.Struct, array_like=True):
    """What is remembered of a key, but for the connects that wait."""

    create: bytes | None = b""  # the best so far, packed; None: that of the entry before, see Log
    first: int = 0  # arrival of the first copy of a create
    last: int = 0  # and of the last
    touched: int | None = None  # arrival of the last connect
    terminated: int | None = None  # arrival of the last event 5
    named: bool = False  # a connect has joined the create (full join)
    due: int | None = None  # when the oldest wait is over; None: nothing waits
    expire: int | None = None  # when the timer that looks at the end of the state fires


class Waiting(msgspec.Struct, frozen=True, array_like=True):
    """A connect that waits for its create."""

    a: int
    row: bytes


KNOWN = Versioned(1, Known)
WAITING = Versioned(1, Waiting)


class Log:
    """What is known of a key, as entries of which the last counts: an addition costs half of a replacement.

    Most bundles change arrivals alone, so an entry names the create only when it is another one.
    """

    MOST = 8

    def __init__(self, entries: Sequence[bytes]) -> None:
        self._entries = len(entries)
        self._create = b""
        self._known = Known()
        for number, entry in enumerate(reversed(entries)):
            known = KNOWN.unpack(entry)
            if number == 0:
                self._known = known
            if known.create is not None:
                self._create = known.create
                break

    def read(self) -> Known:
        """What is known now; the caller may change it."""
        self._known.create = self._create
        return self._known

    def write(self, known: Known | None) -> tuple[bool, bytes | None]:
        """Whether the entries are cleared first, and the entry to add; None forgets the key."""
        if known is None:
            return self._entries > 0, None
        if self._entries == 0 or self._entries >= self.MOST or known.create != self._create:
            return self._entries > 0, KNOWN.pack(known)
        return False, KNOWN.pack(msgspec.structs.replace(known, create=None))


class Cell(Protocol):
    """The state and timers of one key. Reads may cost a round trip; writes do not."""

    def known(self) -> Known: ...  # noqa: D102
    def keep(self, known: Known | None) -> None: ...  # noqa: D102
    def waiting(self) -> Sequence[Waiting]: ...  # noqa: D102
    def add_waiting(self, connect: Waiting) -> None: ...  # noqa: D102
    def clear_waiting(self) -> None: ...  # noqa: D102
    def set_due(self, at: int) -> None: ...  # noqa: D102
    def set_expire(self, at: int) -> None: ...  # noqa: D102
    def count(self, name: str) -> None: ...  # noqa: D102


_create = msgspec.msgpack.Decoder(ProcessCreate).decode
_connect = msgspec.msgpack.Decoder(NetworkConnect).decode


class KeyedJoin(msgspec.Struct, frozen=True):
    """What one key does with elements and timers. All-zero GUIDs are not brought here.

    `since`: with time of reading only, no wait counts from before this (rule 3); 0 where arrivals are Kafka's.
    """

    kind: JoinKind = JoinKind.INNER
    waits: Waits = Waits()
    since: int = 0

    def on_elements(self, cell: Cell, elements: Iterable[Element]) -> Iterator[Output]:
        """The elements of a key that one bundle brought, with one read of what is known."""
        key = _Key(self, cell)
        for element in elements:
            if element.event_id == PROCESS_CREATE:
                yield from key.on_create(element.a, element.row)
            elif element.event_id == NETWORK_CONNECT:
                yield from key.on_connect(element.a, element.row)
            else:
                key.on_terminate(element.a)
        key.keep()

    def on_due(self, cell: Cell, at: int) -> Iterator[Output]:
        """The wait of the oldest connect is over."""
        key = _Key(self, cell)
        yield from key.on_due(at)
        key.keep()

    def on_expire(self, cell: Cell, at: int) -> Iterator[Output]:
        """The state of the create may have ended; where it was prolonged meanwhile, the timer is set again."""
        key = _Key(self, cell)
        yield from key.on_expire(at)
        key.keep()


class _Key:
    """One key while one bundle or timer is at work on it."""

    def __init__(self, join: KeyedJoin, cell: Cell) -> None:
        self._cell = cell
        self._kind = join.kind
        self._waits = join.waits
        self._since = join.since
        self._known = cell.known()
        self._best: ProcessCreate | None = None

    def on_create(self, a: int, row: bytes) -> Iterator[Output]:
        """The best create so far is kept, and joins what waited for it."""
        known = self._known
        if known.create and a > self._end():
            yield from self._forget()
        elif known.terminated is not None and a > self._end():
            known.terminated = None
        if not known.create:
            known.create, known.first, known.last, self._best = row, a, a, None
        else:
            known.first, known.last = min(known.first, a), max(known.last, a)
            if row != known.create:
                self._take_better(row)
        self._watch_end()
        if known.due is not None:
            yield from self._settle(None)

    def on_connect(self, a: int, row: bytes) -> Iterator[Output]:
        """A connect joins at once when its create is known; else it waits."""
        known = self._known
        if known.create and a > self._end():
            yield from self._forget()
        known.touched = a if known.touched is None else max(a, known.touched)
        if known.create:
            known.named = True
            yield joined(_connect(row), self._create())
            return
        self._cell.count("waiting")
        self._cell.add_waiting(Waiting(a, row))
        self._arm(self._verdict(a))

    def on_terminate(self, a: int) -> None:
        """Event 5 never clears at once: connects and the create itself may come after it."""
        known = self._known
        known.terminated = a if known.terminated is None else max(a, known.terminated)
        self._watch_end()

    def on_due(self, at: int) -> Iterator[Output]:
        known = self._known
        if known.due is not None:
            yield from self._settle(at)

    def on_expire(self, at: int) -> Iterator[Output]:
        known = self._known
        known.expire = None
        if not known.create and known.terminated is None:
            return
        if self._end() >= at:
            self._watch_end()
        elif known.create:
            yield from self._forget()
        else:
            known.terminated = None

    def keep(self) -> None:
        """Writes what is known back, once."""
        known = self._known
        idle = not known.create and known.terminated is None and known.due is None and known.expire is None
        self._cell.keep(None if idle else known)

    def _take_better(self, row: bytes) -> None:
        other, ours = _create(row), self._create()
        if other.event_uid != ours.event_uid:
            self._cell.count("create_conflict")
        if rank(other) > rank(ours):
            self._known.create, self._best = row, other

    def _settle(self, at: int | None) -> Iterator[Output]:
        """Joins the waiting connects whose create came in time, gives up those whose wait is over at `at`."""
        known, waiting, left = self._known, self._cell.waiting(), []
        for connect in waiting:
            verdict = self._verdict(connect.a)
            if known.create and known.first < verdict:
                known.named = True
                yield joined(_connect(connect.row), self._create())
            elif at is not None and verdict <= at:
                yield from given_up(_connect(connect.row), NO_CREATE, self._kind)
            else:
                left.append(connect)
        if len(left) < len(waiting):
            self._cell.clear_waiting()
            for connect in left:
                self._cell.add_waiting(connect)
        known.due = None
        if left:
            self._arm(min(self._verdict(c.a) for c in left))
        elif not known.create:
            known.touched = None

    def _forget(self) -> Iterator[Output]:
        known = self._known
        if self._kind is JoinKind.FULL and not known.named:
            yield unconnected(self._create())
        self._cell.count("expired")
        known.create, known.touched, known.terminated, known.named = b"", None, None, False
        self._best = None

    def _create(self) -> ProcessCreate:
        if self._best is None:
            self._best = _create(self._known.create or b"")
        return self._best

    def _start(self, a: int) -> int:
        return max(a, self._since)

    def _verdict(self, a: int) -> int:
        """When the wait of a connect is over."""
        return _after(self._start(a) + self._waits.join)

    def _end(self) -> int:
        """The last millisecond of the state."""
        known, waits = self._known, self._waits
        if not known.create:
            return self._start(known.terminated or 0) + waits.join
        end = self._start(max(known.touched or known.last, known.last)) + waits.process_ttl
        if known.terminated is None:
            return end
        return min(end, self._start(max(known.terminated, known.last)) + waits.terminate_grace)

    def _watch_end(self) -> None:
        """A timer that stands earlier is left alone: it looks again when it fires."""
        at = _after(self._end())
        if self._known.expire is None or at < self._known.expire:
            self._known.expire = at
            self._cell.set_expire(at)

    def _arm(self, at: int) -> None:
        """The timer of the oldest wait stands; a younger wait must not push it on."""
        if self._known.due is None or at < self._known.due:
            self._known.due = at
            self._cell.set_due(at)


def _after(last: int) -> int:
    """When a wait that includes `last` is over: at a watermark of `last` an element of that time may still come."""
    return last + 1
