"""The grid of time: which span is looked at, cut into at most 120 buckets. Pure.

Clocks that are days off, and attackers' times, would stretch an axis until nothing is seen on it. So the grid covers
the span where most events are; what is before or after it is counted in two buckets of its own, -1 and `buckets`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from huntbeam.schemas.clock import DAY, HOUR, MINUTE

SECOND = 1_000
BUCKETS = 120
MOST = 0.75  # share of the events that the grid has to cover when it leaves others out
WIDTHS = (
    *(SECOND * n for n in (1, 2, 5, 10, 30)),
    *(MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(HOUR * n for n in (1, 2, 3, 6, 12)),
    *(DAY * n for n in (1, 2, 7, 14, 30, 90, 365, 3_650, 36_500)),
)


Hours = dict[int, tuple[int, int, int]]  # hour since 1970 -> events, first time, last time in ms


class Grid(msgspec.Struct, frozen=True):
    """`buckets` buckets of `width` ms from `start` on; `first` and `last` are the times of all events."""

    start: int
    width: int
    buckets: int
    first: int
    last: int

    @property
    def end(self) -> int:
        """The end of the last bucket, exclusive."""
        return self.start + self.width * self.buckets

    def bucket_sql(self, column: str = "t") -> str:
        """SQL for the number of a time's bucket; null for null."""
        return (
            f"CASE WHEN {column} < {self.start} THEN -1 WHEN {column} >= {self.end} THEN {self.buckets} "
            f"ELSE ({column} - {self.start}) // {self.width} END"
        )


EMPTY = Grid(0, MINUTE, 1, 0, 0)


def merged(*some: Hours) -> Hours:
    """The hours of all."""
    total: Hours = {}
    for hours in some:
        for hour, (n, first, last) in hours.items():
            m, least, most = total.get(hour, (0, first, last))
            total[hour] = m + n, min(least, first), max(most, last)
    return total


def grid_of(hours: Sequence[tuple[int, int, int, int]]) -> Grid:
    """The grid of events by hour: (hour since 1970, events, first time in ms, last time in ms), in order of hours.

    >>> grid_of([(0, 5, 60_000, 120_000)])
    Grid(start=60000, width=1000, buckets=61, first=60000, last=120000)
    """
    if not hours:
        return EMPTY
    low, high = _focus(hours)
    first, last = hours[low][2], hours[high][3]
    width = next((w for w in WIDTHS if (last - first) // w + 2 <= BUCKETS), WIDTHS[-1])
    start = first - first % width
    return Grid(start, width, (last - start) // width + 1, hours[0][2], hours[-1][3])


def _focus(hours: Sequence[tuple[int, int, int, int]]) -> tuple[int, int]:
    """The shortest run of hours with most of the events, grown by what is near; all, where that is not much longer."""
    wanted = MOST * sum(events for _, events, *_ in hours)
    best, low, inside = (0, len(hours) - 1), 0, 0
    for high, (_, events, *_) in enumerate(hours):
        inside += events
        while inside - hours[low][1] >= wanted:
            inside -= hours[low][1]
            low += 1
        if inside >= wanted and _length(hours, low, high) < _length(hours, *best):
            best = low, high
    low, high = _grown(hours, *best)
    return (low, high) if 3 * _length(hours, low, high) < _length(hours, 0, len(hours) - 1) else (0, len(hours) - 1)


def _grown(hours: Sequence[tuple[int, int, int, int]], low: int, high: int) -> tuple[int, int]:
    near = max(2, _length(hours, low, high) // 4)
    while low > 0 and hours[low][0] - hours[low - 1][0] <= near:
        low -= 1
    while high < len(hours) - 1 and hours[high + 1][0] - hours[high][0] <= near:
        high += 1
    return low, high


def _length(hours: Sequence[tuple[int, int, int, int]], low: int, high: int) -> int:
    return hours[high][0] - hours[low][0] + 1
