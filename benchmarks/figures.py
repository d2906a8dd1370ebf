"""What the benchmarks of the stream make of their numbers: percentiles, trends, medians, tables. Pure functions."""

from __future__ import annotations

import statistics
from bisect import bisect_left
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ENOUGH = 4  # points that a trend needs

Point = tuple[float, float]  # time in seconds, value


class Limit(NamedTuple):
    """How far a value may rise over a span and count as flat: by this share of its mean, or by this much."""

    share: float
    least: float


class Trend(NamedTuple):
    """The straight line through points: their mean, and the line's rise from the first to the last."""

    mean: float
    rise: float

    def flat(self, limit: Limit) -> bool:
        """Whether it rises no further than the limit; to fall is no fault."""
        return self.rise <= max(limit.share * self.mean, limit.least)


class Figure(NamedTuple):
    """A line of a table: an attribute of the runs, another in brackets, and whether ratios of it tell anything."""

    title: str
    field: str
    digits: int
    beside: str | None = None
    compared: bool = True


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values do not exceed.

    >>> percentile([4, 1, 3, 2], 0.5), percentile([4, 1, 3, 2], 0.9), percentile([7], 0.0)
    (2, 4, 7)
    """
    return sorted(values)[max(ceil(share * len(values)) - 1, 0)]


def trend(points: Sequence[Point]) -> Trend | None:
    """The least squares fit; None when there are too few points to tell.

    >>> trend([(0, 1), (1, 2), (2, 3), (3, 4)])
    Trend(mean=2.5, rise=3.0)
    """
    if len(points) < ENOUGH:
        return None
    times, values = zip(*points, strict=True)
    slope, _ = statistics.linear_regression(times, values)
    return Trend(statistics.fmean(values), slope * (max(times) - min(times)))


def since(points: Sequence[Point], first: float) -> list[Point]:
    """The points from a time on."""
    return [point for point in points if point[0] >= first]


def value_at(points: Sequence[Point], time: float) -> float:
    """The value at a time, straight between two points, level before the first and behind the last.

    >>> [value_at([(1, 10), (3, 20)], time) for time in (0, 1, 2, 9)]
    [10, 10, 15.0, 20]
    """
    at = bisect_left(points, time, key=lambda point: point[0])
    if at == 0 and time < points[0][0]:
        return points[0][1]
    if at == len(points):
        return points[-1][1]
    (t0, v0), (t1, v1) = points[max(at - 1, 0)], points[at]
    return v1 if t1 == t0 else v0 + (v1 - v0) * (time - t0) / (t1 - t0)


def spread(values: Sequence[float | None], digits: int) -> str:
    """A cell: the value, of several minimum, median and maximum.

    >>> spread([2.0], 1), spread([3.0, 1.0, 2.0], 0), spread([None], 1)
    ('2.0', '1 / 2 / 3', '-')
    """
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    shown = [known[0]] if len(known) == 1 else [min(known), statistics.median(known), max(known)]
    return " / ".join(f"{value:,.{digits}f}" for value in shown)


def ratio(ours: Sequence[float | None], theirs: Sequence[float | None]) -> str:
    """The median of the ratios, round by round.

    >>> ratio([2.0, 3.0, 8.0], [1.0, 2.0, 4.0]), ratio([1.0], [None])
    ('2.00', '-')
    """
    found = [a / b for a, b in zip(ours, theirs, strict=True) if a is not None and b]
    return f"{statistics.median(found):.2f}" if found else "-"


def comparison(
    title: str, programs: Sequence[str], rival: str | None, figures: Sequence[Figure], runs: Sequence[object]
) -> str:
    """A table with a column for each program, and for each but the rival one with the ratio to the rival's.

    A run names its `program` and has the figures as attributes; None is a figure that it did not come to.
    """
    by_name = {name: [run for run in runs if getattr(run, "program", None) == name] for name in programs}
    ours = [name for name in programs if name != rival] if rival else []
    lines = {}
    for figure in figures:
        values = {name: [getattr(run, figure.field) for run in by_name[name]] for name in programs}
        cells = [spread(values[name], figure.digits) for name in programs]
        if figure.beside:
            beside = [spread([getattr(r, figure.beside) for r in by_name[name]], figure.digits) for name in programs]
            cells = [f"{cell} ({other})" for cell, other in zip(cells, beside, strict=True)]
        lines[figure.title] = cells + [
            ratio(values[n], values[rival]) if figure.compared else "" for n in ours if rival
        ]
    return table(title, [*programs, *(f"ratio, {name}" for name in ours)], lines)


def table(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """A table in Markdown.

    >>> print(table("mix", ["ours"], {"rows": ["3"]}))
    | mix | ours |
    |---|---|
    | rows | 3 |
    """
    lines = [[title, *columns], *([name, *cells] for name, cells in rows.items())]
    drawn = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([drawn[0], "|---" * len(lines[0]) + "|", *drawn[1:]])
