"""Items that wait for the create of their key, on unbounded input: what each element and timer does. Pure.

The join and enrichment are made of it; the wiring is keyed_match_beam.py. Rules 3 and 7 to 10 of docs/semantics.md.
`a` is when an element arrived, in milliseconds of the stream's clock; every wait is counted from it, and a timer only
starts the work, so that the answer does not depend on when it fires.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from huntbeam.schemas.clock import DAY, MINUTE
from huntbeam.transforms.keyed_match_state import CREATE, ITEM, Cell, Element, Waiting


class Waits(msgspec.Struct, frozen=True):
    """How long items wait for a create, and a create for items, in milliseconds of the stream's clock."""

    join: int = 10 * MINUTE
    process_ttl: int = 7 * DAY
    terminate_grace: int = 10 * MINUTE


class Identified(Protocol):
    """A create, whatever else it is."""

    @property
    def event_uid(self) -> str: ...  # noqa: D102


C = TypeVar("C", bound=Identified)
R = TypeVar("R", covariant=True)


class Pairing(Protocol[C, R]):
    """What comes of creates and of the items of their key; both are packed until they are looked at."""

    def create(self, row: bytes) -> C:
        """Unpacks a create."""

    def rank(self, create: C) -> Any:
        """Of the creates of a key the greatest counts."""

    def whole(self, row: bytes) -> bool:
        """Whether items find this create at once; else they wait for a greater one, but no longer than for any."""

    def found(self, item: bytes, create: C) -> Iterator[R]:
        """An item and its create."""

    def waits(self, item: bytes, a: int) -> Iterator[R]:
        """An item that arrived at `a` begins to wait."""

    def missed(self, item: bytes) -> Iterator[R]:
        """An item that waited in vain."""

    def unnamed(self, row: bytes) -> Iterator[R]:
        """A create whose state ends, and that no item found."""


class KeyedMatch(msgspec.Struct, Generic[C, R], frozen=True):
    """What one key does with elements and timers. All-zero GUIDs are not brought here.

    `since`: with time of reading only, no wait counts from before this (rule 3); 0 where arrivals are Kafka's. `tick`:
    waits end up to so many milliseconds later, those of a tick together: each end reads all that waits.
    """

    pairing: Pairing[C, R]
    waits: Waits = Waits()
    since: int = 0
    tick: int = 1

    def on_elements(self, cell: Cell, elements: Iterable[Element]) -> Iterator[R]:
        """The elements of a key that one bundle brought, with one read of what is known."""
        key = _Key(self, cell)
        for element in elements:
            if element.role == CREATE:
                yield from key.on_create(element.a, element.row)
            elif element.role == ITEM:
                yield from key.on_item(element.a, element.row)
            else:
                key.on_end(element.a)
        key.keep()

    def on_due(self, cell: Cell, at: int) -> Iterator[R]:
        """The wait of the oldest item is over."""
        key = _Key(self, cell)
        yield from key.on_due(at)
        key.keep()

    def on_expire(self, cell: Cell, at: int) -> Iterator[R]:
        """The state of the create may have ended; where it was prolonged meanwhile, the timer is set again."""
        key = _Key(self, cell)
        yield from key.on_expire(at)
        key.keep()


class _Key(Generic[C, R]):
    """One key while one bundle or timer is at work on it."""

    def __init__(self, match: KeyedMatch[C, R], cell: Cell) -> None:
        self._cell = cell
        self._pairing = match.pairing
        self._waits = match.waits
        self._since = match.since
        self._tick = match.tick
        self._known = cell.known()
        self._best: C | None = None

    def on_create(self, a: int, row: bytes) -> Iterator[R]:
        """The best create so far is kept, and found by what waited for it."""
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
        if known.due is not None and self._whole():
            yield from self._settle(None)

    def on_item(self, a: int, row: bytes) -> Iterator[R]:
        """An item finds a known create at once; else it waits."""
        known = self._known
        if known.create and a > self._end():
            yield from self._forget()
        known.touched = a if known.touched is None else max(a, known.touched)
        if known.create and self._whole():
            known.named = True
            yield from self._pairing.found(row, self._create())
            return
        self._cell.count("waiting")
        self._cell.add_waiting(Waiting(a, row))
        self._arm(self._verdict(a))
        yield from self._pairing.waits(row, a)

    def on_end(self, a: int) -> None:
        """Event 5 never clears at once: items and the create itself may come after it."""
        known = self._known
        known.terminated = a if known.terminated is None else max(a, known.terminated)
        self._watch_end()

    def on_due(self, at: int) -> Iterator[R]:
        known = self._known
        if known.due is not None:
            yield from self._settle(at)

    def on_expire(self, at: int) -> Iterator[R]:
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
        pairing, other, ours = self._pairing, self._pairing.create(row), self._create()
        if other.event_uid != ours.event_uid:
            self._cell.count("create_conflict")
        if pairing.rank(other) > pairing.rank(ours):
            self._known.create, self._best = row, other

    def _settle(self, at: int | None, *, ends: bool = False) -> Iterator[R]:
        """Puts out the waiting items whose create came in time, gives up those whose wait is over at `at`.

        Of a create that is not whole only those whose wait is over, or all when its state `ends`.
        """
        known, waiting, left = self._known, self._cell.waiting(), []
        enough = ends or self._whole()
        for item in waiting:
            verdict = self._verdict(item.a)
            is_due = at is not None and verdict <= at
            if known.create and known.first < verdict and (enough or is_due):
                known.named = True
                yield from self._pairing.found(item.row, self._create())
            elif is_due:
                yield from self._pairing.missed(item.row)
            else:
                left.append(item)
        if len(left) < len(waiting):
            self._cell.clear_waiting()
            for item in left:
                self._cell.add_waiting(item)
        known.due = None
        if left:
            self._arm(min(self._verdict(item.a) for item in left))
        elif not known.create:
            known.touched = None

    def _forget(self) -> Iterator[R]:
        known = self._known
        if known.due is not None and not self._whole():
            yield from self._settle(None, ends=True)
        if not known.named:
            yield from self._pairing.unnamed(known.create or b"")
        self._cell.count("expired")
        known.create, known.touched, known.terminated, known.named = b"", None, None, False
        self._best = None

    def _create(self) -> C:
        if self._best is None:
            self._best = self._pairing.create(self._known.create or b"")
        return self._best

    def _whole(self) -> bool:
        return self._pairing.whole(self._known.create or b"")

    def _start(self, a: int) -> int:
        return max(a, self._since)

    def _verdict(self, a: int) -> int:
        """When the wait of an item is over."""
        return _after(self._start(a) + self._waits.join)

    def _end(self) -> int:
        """The last millisecond of the state."""
        known, waits = self._known, self._waits
        if not known.create:
            return self._start(known.terminated or 0) + waits.join
        end = self._start(max(known.touched or known.last, known.last)) + waits.process_ttl
        if known.terminated is not None:
            end = min(end, self._start(max(known.terminated, known.last)) + waits.terminate_grace)
        return end if self._whole() else max(end, self._on_tick(self._verdict(known.last)))

    def _watch_end(self) -> None:
        """A timer that stands earlier is left alone: it looks again when it fires."""
        at = _after(self._end())
        if self._known.expire is None or at < self._known.expire:
            self._known.expire = at
            self._cell.set_expire(at)

    def _arm(self, at: int) -> None:
        """The timer of the oldest wait stands; a younger wait must not push it on."""
        at = self._on_tick(at)
        if self._known.due is None or at < self._known.due:
            self._known.due = at
            self._cell.set_due(at)

    def _on_tick(self, at: int) -> int:
        return at + -at % self._tick


def _after(last: int) -> int:
    """When a wait that includes `last` is over: at a watermark of `last` an element of that time may still come."""
    return last + 1
