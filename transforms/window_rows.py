"""Window rows of the stream: when a row is put out, and how often. The pure core.

Rules 11 to 13 of docs/semantics.md. `a` is when an event arrived, in milliseconds of the stream's clock. Events are
told apart by `a` when the row is put out, never when they are read: what generation an event is of, and whether it is
late, depends neither on the order of reading nor on when a timer fires. A timer at t says that every event with a
smaller `a` is there; so a row that a timer puts out has its smallest `a`, after a crash as before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Protocol

import msgspec

from huntbeam.schemas.clock import HOUR, MINUTE
from huntbeam.schemas.window import WindowCount
from huntbeam.transforms.state import Versioned
from huntbeam.transforms.windows import Accumulator, Finisher, Group, Value, merge

SCRAPS = 16_384  # bytes of parts that may lie unmerged beside the merged ones
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


class Parts(msgspec.Struct, array_like=True):
    """What is brought to a row, and what its state holds."""

    parts: list[Part]


class Standing(msgspec.Struct, array_like=True):
    """How things stand with a row: its present generation, and what is to be done next."""

    a0: int  # smallest arrival of the generation
    floor: int  # what came before is of an earlier generation, whose number must not come again
    shown: bool = False  # put out already, so that a0 stands
    closed: bool = False  # the time of its first regular putting out is over
    changed: bool = False  # since it was put out last
    again: int | None = None  # when it is put out because it changed: early, or late
    ahead: bool = False  # events of later generations are there already
    late: int = 0  # late events put out so far
    scraps: int = 0  # bytes of parts since the last merge
    merged: int = 0  # bytes of what was merged
    due: int | None = None  # where the timer stands


PARTS = Versioned(1, Parts)
_STANDING = Versioned(1, Standing)


class Cell(Protocol):
    """The state of one row. Reads may cost a round trip; additions and clears do not."""

    def standing(self) -> bytes | None: ...  # noqa: D102
    def stand(self, standing: bytes) -> None: ...  # noqa: D102
    def parts(self) -> Sequence[bytes]: ...  # noqa: D102
    def add_parts(self, parts: bytes) -> None: ...  # noqa: D102
    def clear_parts(self) -> None: ...  # noqa: D102
    def clear(self) -> None: ...  # noqa: D102
    def set_due(self, at: int) -> None: ...  # noqa: D102
    def count_late(self, events: int) -> None: ...  # noqa: D102


def part(a: int, counted: Accumulator) -> Part:
    """What was counted of events that arrived at `a`."""
    c = counted
    return Part(a, 0, c.count, c.host, c.distinct, c.capped, c.first, c.last)


def _accumulator(group: Group, part: Part) -> Accumulator:
    return Accumulator(*group, part.host, part.count, part.distinct, part.capped, part.first, part.last)


class KeyedRows(msgspec.Struct, frozen=True):
    """Unbounded input: what one row does with the parts it is brought and with its timer."""

    finisher: Finisher
    timing: Timing = Timing()

    def on_parts(self, cell: Cell, group: Group, packed: bytes) -> None:
        """Packed `Parts` are added blind; they are read when the row is put out, or when there are too many."""
        brought = PARTS.unpack(packed).parts
        first = min(one.a for one in brought)
        known = cell.standing()
        standing = Standing(first, _NO_FLOOR) if known is None else _STANDING.unpack(known)
        if not standing.shown:
            standing.a0 = max(min(standing.a0, first), standing.floor)
        for one in brought:
            self._note(standing, group, one.a)
        cell.add_parts(packed)
        standing.scraps += len(packed)
        if standing.scraps > SCRAPS + standing.merged:
            self._merge(cell, group, standing, later=True)
        self._arm(cell, group, standing)

    def on_due(self, cell: Cell, group: Group, at: int) -> Iterator[WindowCount]:
        """The timer stood at `at`: everything that was to be done before is done, in the order of its time."""
        known = cell.standing()
        if known is None:
            return
        standing = _STANDING.unpack(known)
        while (now := self._next(group, standing)) < at:
            if standing.changed:
                yield self._put_out(cell, group, standing)
            standing.again = None
            if not standing.closed:
                standing.closed = now >= self._closing(group, standing)
            elif now >= self._end(group, standing):
                if not standing.ahead:
                    cell.clear()
                    return
                standing = self._next_generation(cell, group, standing)
        self._arm(cell, group, standing)

    def _closing(self, group: Group, standing: Standing) -> int:
        return self.timing.closing(group[1], standing.a0)

    def _last(self, group: Group, standing: Standing) -> int:
        """The last arrival that belongs to the generation."""
        return self._closing(group, standing) + self.timing.allowed_lateness

    def _end(self, group: Group, standing: Standing) -> int:
        return self._last(group, standing) + self.timing.grace

    def _next(self, group: Group, standing: Standing) -> int:
        at = self._end(group, standing) if standing.closed else self._closing(group, standing)
        return at if standing.again is None else min(at, standing.again)

    def _note(self, standing: Standing, group: Group, a: int) -> None:
        """An event is there: it changes the row, which is put out again, or it begins a later generation."""
        if a > self._last(group, standing):
            standing.ahead = True
            return
        standing.changed = True
        delay = self.timing.grace if standing.closed else self.timing.early
        if delay is not None and (standing.again is None or a + delay < standing.again):
            standing.again = a + delay

    def _put_out(self, cell: Cell, group: Group, standing: Standing) -> WindowCount:
        merged = self._merge(cell, group, standing, later=False)
        cell.count_late(merged.late - standing.late)
        standing.shown, standing.changed, standing.late = True, False, merged.late
        generation = (standing.a0 - group[1]) // self.timing.allowed_lateness
        return self.finisher.row(_accumulator(group, merged), generation, merged.late)

    def _merge(self, cell: Cell, group: Group, standing: Standing, later: bool) -> Part:
        """Merges the parts of the present generation, which it gives, and on demand those of each later one.

        Merged before its smallest arrival is sure, a generation may take a late event for one in time; it counts all.
        """
        parts = _read(cell)
        (closing, present), *others = self._generations(group, standing.a0, parts)
        merged = _fold(group, closing, present)
        if later:
            left = [merged, *(_fold(group, closing, members) for closing, members in others)]
        else:
            left = [merged, *(one for _, members in others for one in members)]
        if len(left) < len(parts):
            _replace(cell, left, standing)
        else:  # nothing to write; what is there counts as merged, so that it is not read again at every part
            standing.scraps, standing.merged = 0, standing.merged + standing.scraps
        standing.ahead = bool(others)
        return merged

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

    def _next_generation(self, cell: Cell, group: Group, ended: Standing) -> Standing:
        last = self._last(group, ended)
        left = [one for one in _read(cell) if one.a > last]
        standing = Standing(min(one.a for one in left), last + 1)
        _replace(cell, left, standing)
        for one in left:
            self._note(standing, group, one.a)
        return standing

    def _arm(self, cell: Cell, group: Group, standing: Standing) -> None:
        due = self._next(group, standing) + 1  # at a watermark of the last millisecond an event of it may still come
        if due != standing.due:
            cell.set_due(due)
            standing.due = due
        cell.stand(_STANDING.pack(standing))


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


def _read(cell: Cell) -> list[Part]:
    return [one for packed in cell.parts() for one in PARTS.unpack(packed).parts]


def _replace(cell: Cell, parts: list[Part], standing: Standing) -> None:
    packed = PARTS.pack(Parts(parts))
    cell.clear_parts()
    cell.add_parts(packed)
    standing.scraps, standing.merged = 0, len(packed)
