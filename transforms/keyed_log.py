"""A key of the stream that is evaluated a while after something came for it. The pure core that such steps share.

What a bundle brings is appended unread. `a` is when an item arrived, in milliseconds of the stream's clock. A key is
evaluated at instants that follow from arrivals alone: `wait` after the first item that no evaluation had. A timer at an
instant says that every item with a smaller `a` is there, and those are what the evaluation gets, though more may have
been read. So rows depend neither on the order of reading nor on when a timer fires, and after a crash the same rows
are put out again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

import msgspec

from huntbeam.transforms.state import Versioned


class Item(Protocol):
    """What is brought to a key."""

    @property
    def a(self) -> int: ...  # noqa: D102


K = TypeVar("K", contravariant=True)
S = TypeVar("S")
I = TypeVar("I", bound=Item)  # noqa: E741 - a letter a parameter
R = TypeVar("R", bound=msgspec.Struct)


class Cell(Protocol):
    """The state of a key and its timer. Reads may cost a round trip; writes do not."""

    def head(self) -> bytes | None: ...  # noqa: D102
    def log(self) -> Sequence[bytes]: ...  # noqa: D102
    def add(self, entry: bytes) -> None: ...  # noqa: D102
    def replace(self, entries: Sequence[bytes]) -> None: ...  # noqa: D102
    def keep(self, head: bytes | None) -> None: ...  # noqa: D102
    def set_due(self, at: int) -> None: ...  # noqa: D102


class Head(msgspec.Struct, array_like=True):
    """What is known of a key without reading its log."""

    due: int | None = None  # where the timer stands
    items: int = 0  # in the state and beside it


class Entry(msgspec.Struct, Generic[S, I], array_like=True):
    """A piece of the log: the state, which stands first, or what a bundle brought."""

    state: S | None = None
    brought: list[I] = []


HEAD = Versioned(1, Head)


class Evaluation(NamedTuple, Generic[R, S]):
    """What an evaluation comes to."""

    rows: list[R]
    state: S | None
    items: int = 0  # that the state holds
    end: int | None = None  # when the last of them is forgotten, if nothing comes


class Core(Protocol[K, S, I, R]):
    """What a kind of key does. `wait` is in milliseconds; no more than `most` items are kept for long."""

    @property
    def wait(self) -> int: ...  # noqa: D102
    @property
    def most(self) -> int: ...  # noqa: D102

    def evaluate(self, key: K, state: S | None, brought: list[I], now: int) -> Evaluation[R, S]:
        """Takes up what was brought before `now`, any of it perhaps again."""

    def shrink(self, key: K, state: S | None, brought: list[I], /) -> tuple[Evaluation[R, S], list[I]]:
        """As much as fits of a state and of what no evaluation had. The evaluation has no rows and no end."""


class PutOut(NamedTuple, Generic[R]):
    """A row on its way out, and when the stream's clock says that it is."""

    at: int
    row: R


class KeyedLog(Generic[K, S, I, R]):
    """Unbounded input: what a key does with items and with its timer."""

    def __init__(self, core: Core[K, S, I, R], entry: Versioned[Entry[S, I]]) -> None:
        self._core = core
        self._entry = entry

    def pack(self, brought: Sequence[I]) -> bytes:
        """Items as on_brought() takes them."""
        return self._entry.pack(Entry(None, list(brought)))

    def on_brought(self, cell: Cell, key: K, first: int, items: int, packed: bytes) -> None:
        """So many items, the earliest of which arrived at `first`."""
        core, head = self._core, _head(cell)
        cell.add(packed)
        head.items += items
        if head.items > core.most + core.most // 8:  # not at each item beyond, as it reads the whole log
            evaluation, brought = core.shrink(key, *self._read(cell))
            self._write(cell, evaluation.state, brought)
            head.items = evaluation.items + len(brought)
        self._arm(cell, head, first + core.wait + 1)
        cell.keep(HEAD.pack(head))

    def on_due(self, cell: Cell, key: K, at: int) -> Iterator[PutOut[R]]:
        """The timer stood at `at`. What it puts out has to be taken to the end."""
        head = _head(cell)
        if head.due is None or head.due > at:
            return
        state, brought = self._read(cell)
        while head.due is not None and head.due <= at:
            now = head.due
            ready, brought = [i for i in brought if i.a < now], [i for i in brought if i.a >= now]
            evaluation: Evaluation[R, S] = Evaluation([], None)
            if ready or state is not None:
                evaluation = self._core.evaluate(key, state, ready, now)
            yield from (PutOut(now, row) for row in evaluation.rows)
            state, head.items = evaluation.state, evaluation.items + len(brought)
            ends = [] if evaluation.end is None else [evaluation.end]
            head.due = min([*ends, *(item.a + self._core.wait + 1 for item in brought)], default=None)
        self._write(cell, state, brought)
        cell.keep(None if head.due is None else HEAD.pack(head))
        if head.due is not None:
            cell.set_due(head.due)

    def _read(self, cell: Cell) -> tuple[S | None, list[I]]:
        state: S | None = None
        brought: list[I] = []
        for entry in map(self._entry.unpack, cell.log()):
            state = state if entry.state is None else entry.state
            brought += entry.brought
        return state, brought

    def _write(self, cell: Cell, state: S | None, brought: list[I]) -> None:
        cell.replace([self._entry.pack(Entry(state, brought))] if state is not None or brought else [])

    def _arm(self, cell: Cell, head: Head, at: int) -> None:
        if head.due is None or at < head.due:
            head.due = at
            cell.set_due(at)


def any_between(times: Sequence[int], start: int, end: int) -> bool:
    """Whether one of the times, which are in order, is from `start` to `end`, both included."""
    return bisect_left(times, start) < bisect_right(times, end)


def _head(cell: Cell) -> Head:
    known = cell.head()
    return Head() if known is None else HEAD.unpack(known)
