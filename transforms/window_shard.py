"""Window rows of the stream in shards: what Beam keeps for many rows at once. The pure core of the wiring.

Beam's price of state is paid by the key and message, and in most telemetry nearly every row of a bundle is another key.
So rows of a window are kept by shard. What a bundle brings is appended unread to the shard's log; the log is read when
one of its rows is due, and when too much of it is unmerged. The rows do not depend on either (window_rows.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol
from zlib import crc32

import msgspec

from huntbeam.transforms.state import Versioned
from huntbeam.transforms.window_rows import KeyedRows, Part, PutOut, Row, Timing
from huntbeam.transforms.windows import Group

SHARDS = 16  # of a window: each costs a bundle two messages, and a worker holds the rows of one in memory
SCRAPS = 262_144  # bytes of the log that may lie unmerged beside the merged ones
ENTRY_ROWS = 2_000  # rows of one entry of the log
TICKS = 6  # of a grace, and half of them of an early firing: timers stand there, so that rows are due together

Brought = list[tuple[Group, list[Part]]]


class Head(msgspec.Struct, array_like=True):
    """What is known of a shard without reading its log."""

    due: int | None = None  # where the timer stands
    closed: bool = False  # a row was put out regularly, so that what comes may be late for it
    ended: bool = False  # when it is due and nothing came meanwhile, all rows' time is over
    scraps: int = 0  # bytes of the log since it was written
    merged: int = 0  # bytes that were written


class _Entry(msgspec.Struct, array_like=True):
    """A piece of the log: merged rows, or what a bundle brought to rows."""

    rows: list[tuple[Group, Row]] = []
    brought: Brought = []


HEAD = Versioned(1, Head)
_ENTRY = Versioned(1, _Entry)


class Cell(Protocol):
    """The state of a shard and its timer. Reads may cost a round trip; writes do not."""

    def head(self) -> bytes | None: ...  # noqa: D102
    def log(self) -> Sequence[bytes]: ...  # noqa: D102
    def add(self, entry: bytes) -> None: ...  # noqa: D102
    def replace(self, entries: Sequence[bytes]) -> None: ...  # noqa: D102
    def keep(self, head: bytes | None) -> None: ...  # noqa: D102
    def set_due(self, at: int) -> None: ...  # noqa: D102


def shard_of(group: Group, shards: int = SHARDS) -> tuple[int, int]:
    """The start of a row's window and its shard there: what state is kept by."""
    return group[1], crc32(_encode(group)) % shards


_encode = msgspec.msgpack.Encoder().encode


def pack(brought: Brought) -> bytes:
    """Parts of a shard's rows, as they are brought to it."""
    return _ENTRY.pack(_Entry([], brought))


def tick(timing: Timing) -> int:
    """Milliseconds between the times at which timers stand."""
    return max(1, min(timing.grace // TICKS, (timing.early or timing.grace) // (TICKS // 2)))


class WindowShard(msgspec.Struct, frozen=True):
    """Unbounded input: what a shard does with the parts that its rows are brought, and with its timer."""

    rows: KeyedRows

    def on_brought(self, cell: Cell, start: int, first: int, packed: bytes) -> None:
        """Parts, the earliest of which arrived at `first`, for rows of the window from `start` on."""
        head = _head(cell)
        cell.add(packed)
        head.scraps += len(packed)
        if head.scraps > SCRAPS + head.merged:
            self._write(cell, head, self._read(cell), merge=True)
        else:
            self._arm(cell, head, self._soonest(head, start, first))
            cell.keep(HEAD.pack(head))

    def on_due(self, cell: Cell, at: int) -> Iterator[PutOut]:
        """The timer stood at `at`: rows are put out, or their time is over."""
        head = _head(cell)
        if head.due is None:
            return
        if head.ended and not head.scraps:  # the log need not be read
            cell.replace(())
            cell.keep(None)
            return
        rows = self._read(cell)
        for group, row in rows.items():
            if self.rows.due(row, group) <= at:
                yield from self.rows.on_due(row, group, at)
        self._write(cell, head, {group: row for group, row in rows.items() if row.parts})

    def _soonest(self, head: Head, start: int, first: int) -> int:
        """No row of the shard is due before it because of parts that arrived at `first` or later."""
        timing = self.rows.timing
        soonest = first + timing.grace if head.closed else timing.closing(start, first)
        return 1 + (soonest if timing.early is None else min(soonest, first + timing.early))

    def _read(self, cell: Cell) -> dict[Group, Row]:
        rows: dict[Group, Row] = {}
        brought: dict[Group, list[Part]] = {}
        for entry in map(_ENTRY.unpack, cell.log()):
            rows.update(entry.rows)  # they stand before all that was brought
            for group, parts in entry.brought:
                brought.setdefault(group, []).extend(parts)
        for group, parts in brought.items():
            rows[group] = self.rows.on_parts(rows.get(group), group, parts)
        return rows

    def _write(self, cell: Cell, head: Head, rows: dict[Group, Row], merge: bool = False) -> None:
        if merge:
            for group, row in rows.items():
                self.rows.merge(row, group)
        entries = list(_packed(rows.items()))
        cell.replace(entries)
        if not rows:
            cell.keep(None)
            return
        head.closed = any(row.closed for row in rows.values())
        head.scraps, head.merged = 0, sum(map(len, entries))
        head.due = None
        dues = [self.rows.due(row, group) for group, row in rows.items()]
        head.ended = all(row.closed and row.again is None and not row.ahead for row in rows.values())
        self._arm(cell, head, max(dues) if head.ended else min(dues))
        cell.keep(HEAD.pack(head))

    def _arm(self, cell: Cell, head: Head, at: int) -> None:
        step = tick(self.rows.timing)
        due = -(-at // step) * step
        if head.due is None or due < head.due:
            head.due = due
            cell.set_due(due)


def _head(cell: Cell) -> Head:
    known = cell.head()
    return Head() if known is None else HEAD.unpack(known)


def _packed(rows: Iterable[tuple[Group, Row]]) -> Iterator[bytes]:
    left = list(rows)
    for at in range(0, len(left), ENTRY_ROWS):
        yield _ENTRY.pack(_Entry(left[at : at + ENTRY_ROWS]))
