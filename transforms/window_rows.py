"""Window rows of the stream: when a row is put out, and how often. The pure core.

Rules 11 to 13 of docs/semantics.md. `a` is when an event arrived, in milliseconds of the stream's clock. Events are
told apart by `a` when the row is put out, never when they are read: what generation an event is of, and whether it is
late, depends neither on the order of reading nor on when a timer fires. A timer at t says that every event with a
smaller `a` is there; so a row that a timer puts out has its smallest `a`, after a crash as before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

import msgspec

from huntbeam.schemas.clock import HOUR, MINUTE
from huntbeam.schemas.window import WindowCount
from huntbeam.transforms.windows import Accumulator, Finisher, Group, Value, merge

_NO_FLOOR = -(2**63)


class Timing(msgspec.Struct, frozen=True):
    """The size of the windows and what the stream waits for, in milliseconds of its clock."""

    size: int = 5 * MINUTE
    grace: int = MINUTE
    allowed_lateness: int = HOUR
    early: int | None = None  # before the window closes, rows that changed are put out this often

    def closing(self, start: int, a0: int) -> int:
        """When the row of the window from `start` on is put out; its smallest arrival is `a0`."""
        end = start + self.size
        return self.grace + (end if start <= a0 < end else a0 + self.size)


class Part(msgspec.Struct, array_like=True):
    """Some events of one row."""

    a: int  # the smallest of them
    late: int  # of merged parts: how many were late
    count: int
    host: str | None
    distinct: list[set[Value]]
    capped: bool
    first: str
    last: str
    sums: list[int] = []


class Row(msgspec.Struct, array_like=True):
    """How things stand with a row: its present generation, its events so far, and what is to be done next."""

    a0: int  # smallest arrival of the generation
    floor: int = _NO_FLOOR  # what came before is of an earlier generation, whose number must not come again
    shown: bool = False  # put out already, so that a0 stands
    closed: bool = False  # the time of its first regular putting out is over
    changed: bool = False  # since it was put out last
    again: int | None = None  # when it is put out because it changed: early, or late
    ahead: bool = False  # events of later generations are there already
    late: int = 0  # late events put out so far
    parts: list[Part] = []  # none: the row's time is over


class PutOut(NamedTuple):
    """A row on its way out, and how many late events it is the first to hold."""

    row: WindowCount
    newly_late: int


def part(a: int, counted: Accumulator) -> Part:
    """What was counted of events that arrived at `a`."""
    c = counted
    return Part(a, 0, c.count, c.host, c.distinct, c.capped, c.first, c.last, c.sums)


def _accumulator(group: Group, part: Part) -> Accumulator:
    return Accumulator(*group, part.host, part.count, part.distinct, part.capped, part.first, part.last, part.sums)


class KeyedRows(msgspec.Struct, frozen=True):
    """Unbounded input: what one row does with the parts it is brought and when its time has come."""

    finisher: Finisher
    timing: Timing = Timing()

    def on_parts(self, row: Row | None, group: Group, brought: Sequence[Part]) -> Row:
        """The row with some more events, at least one part of them; None is a row that is not there yet."""
        first = min(one.a for one in brought)
        if row is None:
            row = Row(first)
        if not row.shown:
            row.a0 = max(min(row.a0, first), row.floor)
        for one in brought:
            self._note(row, group, one.a)
        row.parts += brought
        return row

    def due(self, row: Row, group: Group) -> int:
        """When on_due is next called: at a watermark of the last millisecond an event of it may still come."""
        return self._next(row, group) + 1

    def on_due(self, row: Row, group: Group, at: int) -> Iterator[PutOut]:
        """A timer stood at `at`: everything that was to be done before is done, in the order of its time."""
        while (now := self._next(row, group)) < at:
            if row.changed:
                yield self._put_out(row, group)
            row.again = None
            if not row.closed:
                row.closed = now >= self._closing(row, group)
            elif now >= self._end(row, group):
                if not row.ahead:
                    row.parts = []
                    return
                self._next_generation(row, group)

    def merge(self, row: Row, group: Group) -> None:
        """Merges the parts of each generation.

        Merged before its smallest arrival is sure, a generation may take a late event for one in time; it counts all.
        """
        generations = self._generations(group, row.a0, row.parts)
        row.parts = [_fold(group, closing, members) for closing, members in generations]

    def _closing(self, row: Row, group: Group) -> int:
        return self.timing.closing(group[1], row.a0)

    def _last(self, row: Row, group: Group) -> int:
        """The last arrival that belongs to the generation."""
        return self._closing(row, group) + self.timing.allowed_lateness

    def _end(self, row: Row, group: Group) -> int:
        return self._last(row, group) + self.timing.grace

    def _next(self, row: Row, group: Group) -> int:
        at = self._end(row, group) if row.closed else self._closing(row, group)
        return at if row.again is None else min(at, row.again)

    def _note(self, row: Row, group: Group, a: int) -> None:
        """An event is there: it changes the row, which is put out again, or it begins a later generation."""
        if a > self._last(row, group):
            row.ahead = True
            return
        row.changed = True
        delay = self.timing.grace if row.closed else self.timing.early
        if delay is not None and (row.again is None or a + delay < row.again):
            row.again = a + delay

    def _put_out(self, row: Row, group: Group) -> PutOut:
        (closing, present), *others = self._generations(group, row.a0, row.parts)
        merged = _fold(group, closing, present)
        row.parts = [merged, *(one for _, members in others for one in members)]
        newly_late = merged.late - row.late
        row.shown, row.changed, row.late, row.ahead = True, False, merged.late, bool(others)
        generation = (row.a0 - group[1]) // self.timing.allowed_lateness
        return PutOut(self.finisher.row(_accumulator(group, merged), generation, merged.late), newly_late)

    def _generations(self, group: Group, a0: int, parts: Iterable[Part]) -> list[tuple[int, list[Part]]]:
        """Parts by generation, the present one first, each with the time of its first regular putting out."""
        closing = self.timing.closing(group[1], a0)
        found: list[tuple[int, list[Part]]] = [(closing, [])]
        for one in sorted(parts, key=attrgetter("a")):
            if one.a > closing + self.timing.allowed_lateness:
                closing = self.timing.closing(group[1], one.a)
                found.append((closing, []))
            found[-1][1].append(one)
        return found

    def _next_generation(self, row: Row, group: Group) -> None:
        last = self._last(row, group)
        row.parts = [one for one in row.parts if one.a > last]
        row.a0, row.floor = min(one.a for one in row.parts), last + 1
        row.shown = row.closed = row.changed = row.ahead = False
        row.again, row.late = None, 0
        for one in row.parts:
            self._note(row, group, one.a)


def _fold(group: Group, closing: int, parts: Sequence[Part]) -> Part:
    """Parts of one generation as one. The largest is taken up last: near the cap each merge would sort it again."""
    first = min(one.a for one in parts)
    late = sum(one.late if one.a <= closing else one.count for one in parts)
    smallest, *others = sorted(parts, key=_values)
    merged = _accumulator(group, smallest)
    for one in others:
        merged = merge(merged, _accumulator(group, one))
    folded = part(first, merged)
    folded.late = late
    return folded


def _values(part: Part) -> int:
    return sum(map(len, part.distinct))
