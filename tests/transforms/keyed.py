"""A runner in miniature for keyed_log.py: partitions read in some order, timers, crashes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from huntbeam.schemas.clock import DAY
from huntbeam.transforms.keyed_log import KeyedLog, PutOut

NOON = 1_800_000_000_000
END = NOON + 4000 * DAY


@dataclass
class Cell:
    """keyed_log.Cell in memory."""

    known: bytes | None = None
    entries: list[bytes] = field(default_factory=list)
    timer: int | None = None

    def head(self) -> bytes | None:
        return self.known

    def log(self) -> Sequence[bytes]:
        return list(self.entries)

    def add(self, entry: bytes) -> None:
        self.entries.append(entry)

    def replace(self, entries: Sequence[bytes]) -> None:
        self.entries = list(entries)

    def keep(self, head: bytes | None) -> None:
        self.known = head

    def set_due(self, at: int) -> None:
        self.timer = at

    def empty(self) -> bool:
        return self.known is None and not self.entries and self.timer is None


class Brought(NamedTuple):
    """An item, the key that it is for, and the partition that it is read from."""

    key: Hashable
    item: Any  # has `a`
    partition: int = 0


class Crash(NamedTuple):
    """State is saved after so many bundles, lost after so many more, and restored; then `reading` goes on."""

    saved: int
    lost: int
    reading: list[int]


class Driver:
    """Bundles of items for cells, one a key; a timer each."""

    def __init__(self, log: KeyedLog[Any, Any, Any, Any], watch: Callable[[Cell], None] | None = None) -> None:
        self.log = log
        self.watch = watch
        self.cells: dict[Hashable, Cell] = {}
        self.out: list[PutOut[Any]] = []

    def bundle(self, found: Sequence[Brought]) -> None:
        for key in dict.fromkeys(one.key for one in found):
            items = [one.item for one in found if one.key == key]
            cell = self.cells.setdefault(key, Cell())
            self.log.on_brought(cell, key, min(item.a for item in items), len(items), self.log.pack(items))
            if self.watch is not None:
                self.watch(cell)

    def advance(self, watermark: int) -> None:
        """Fires every timer up to the watermark, in time order, those that timers set included."""
        while due := [(c.timer, n, key) for n, (key, c) in enumerate(self.cells.items()) if c.timer is not None]:
            at, _, key = min(due)
            if at > watermark:
                return
            cell = self.cells[key]
            cell.timer = None
            self.out += self.log.on_due(cell, key, at)
            if self.watch is not None:
                self.watch(cell)
            if cell.empty():
                del self.cells[key]


def stream(
    driver: Driver, found: Sequence[Brought], reading: Sequence[int] = (), skew: int = 0, crash: Crash | None = None
) -> Driver:
    """Each number of `reading` says which partition is read, how much, and whether timers fire."""
    left = {
        p: sorted((b for b in found if b.partition == p), key=lambda b: b.item.a) for p in {b.partition for b in found}
    }
    choices = [*reading, *[0] * len(found)]
    saved: tuple[Any, ...] = ()
    bundles = 0
    while any(left.values()):
        if crash and bundles == crash.saved:
            saved = copy.deepcopy((left, driver.cells))
        if crash and bundles == crash.saved + crash.lost:
            left, driver.cells = copy.deepcopy(saved)
            choices, crash = [*crash.reading, *[0] * len(found)], None
            continue
        choice = choices.pop(0)
        driver.bundle(read(left, choice, skew))
        bundles += 1
        if choice % 3 < 2 and any(left.values()):  # else the timers are late
            driver.advance(min(queue[0].item.a for queue in left.values() if queue))
    driver.advance(END)
    return driver


def read(left: dict[int, list[Brought]], choice: int, skew: int) -> list[Brought]:
    """Takes the next items of a partition; none is read more than `skew` before what is left of another."""
    slowest = min(queue[0].item.a for queue in left.values() if queue)
    allowed = [queue for _, queue in sorted(left.items()) if queue and queue[0].item.a <= slowest + skew]
    queue = allowed[choice % len(allowed)]
    taken = [queue.pop(0)]
    while choice >= 6 and queue and queue[0].item.a <= slowest + skew:
        taken.append(queue.pop(0))
    return taken


def valid(out: Sequence[PutOut[Any]]) -> list[Any]:
    """Of each row what was put out last, unless that takes it back; as replay's, without the revision."""
    last = {one.row.event_uid: one.row for one in out}
    return [row for row in last.values() if not row.retracted]
