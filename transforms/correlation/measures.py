"""What each type of correlation looks at, over a window that slides through a group's events.

Everything is exact: floats become fractions, so that what left the window leaves no trace of rounding in it, and the
stream, which sees other windows on its way, comes to what replay comes to.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple, Protocol

from huntbeam.schemas.correlation import Bound, Correlation, CorrelationType, Operator

Exact = int | Fraction


class Event(NamedTuple):
    """An event of a group; sorting puts events in the group's order, since no two have one uid."""

    time: int
    uid: str
    rules: frozenset[str]
    value: str | Exact | float | None


class Measure(Protocol):
    """The window: events enter it in the group's order and leave it in the same."""

    def enter(self, event: Event, /) -> None: ...  # noqa: D102
    def leave(self, event: Event, /) -> None: ...  # noqa: D102

    def holds(self) -> bool:
        """Whether the condition holds on what is in the window."""


def measure(correlation: Correlation, events: Iterable[Event]) -> Measure:
    """An empty window for these events."""
    test = _Test(correlation.bounds)
    match correlation.type:
        case CorrelationType.EVENT_COUNT:
            return _EventCount(test)
        case CorrelationType.VALUE_COUNT:
            return _ValueCount(test)
        case CorrelationType.TEMPORAL:
            return _Rules(test)
        case CorrelationType.TEMPORAL_ORDERED:
            return _Ordered([reference.rule for reference in correlation.references])
        case CorrelationType.VALUE_SUM:
            return _Sum(test)
        case CorrelationType.VALUE_AVG:
            return _Average(test)
        case CorrelationType.VALUE_PERCENTILE:
            return _Percentile(test, events, correlation.percentile or 0)
        case CorrelationType.VALUE_MEDIAN:
            return _Median(test, events)


_OPERATORS: dict[Operator, Callable[[Exact, Exact], bool]] = {
    Operator.GT: operator.gt,
    Operator.GTE: operator.ge,
    Operator.LT: operator.lt,
    Operator.LTE: operator.le,
    Operator.EQ: operator.eq,
    Operator.NEQ: operator.ne,
}


class _Test:
    """Whether a share of something is within all bounds; multiplied out, as dividing is dear."""

    def __init__(self, bounds: Sequence[Bound]) -> None:
        self._bounds = [(_OPERATORS[b.operator], _exact(b.threshold)) for b in bounds]

    def __call__(self, value: Exact, parts: int = 1) -> bool:
        return all(compare(value, threshold * parts) for compare, threshold in self._bounds)


def _exact(threshold: float) -> Exact:
    return Fraction(threshold) if isinstance(threshold, float) else threshold


class _EventCount:
    def __init__(self, test: _Test) -> None:
        self._test = test
        self._events = 0

    def enter(self, _: Event, /) -> None:
        self._events += 1

    def leave(self, _: Event, /) -> None:
        self._events -= 1

    def holds(self) -> bool:
        return self._test(self._events)


class _Distinct:
    """How many different things are in the window."""

    def __init__(self, test: _Test) -> None:
        self._test = test
        self._times: Counter[object] = Counter()

    def enter(self, event: Event) -> None:
        for thing in self.things(event):
            self._times[thing] += 1

    def leave(self, event: Event) -> None:
        for thing in self.things(event):
            self._times[thing] -= 1
            if not self._times[thing]:
                del self._times[thing]

    def holds(self) -> bool:
        return self._test(len(self._times))

    def things(self, event: Event) -> Iterable[object]:
        raise NotImplementedError


class _ValueCount(_Distinct):
    def things(self, event: Event) -> Iterable[object]:
        return () if event.value is None else (event.value,)


class _Rules(_Distinct):
    def things(self, event: Event) -> Iterable[object]:
        return event.rules


class _Ordered:
    """The latest start of events, one after the other, that match the first so many rules in their order."""

    def __init__(self, rules: Sequence[str]) -> None:
        self._rules = rules
        self._starts: list[int | None] = [None] * len(rules)

    def enter(self, event: Event) -> None:
        starts = self._starts
        for place in range(len(starts) - 1, -1, -1):  # backwards: an event takes one place of a sequence
            if self._rules[place] in event.rules:
                start = starts[place - 1] if place else event.time
                if start is not None:
                    starts[place] = start

    def leave(self, event: Event) -> None:
        self._starts = [None if start is None or start <= event.time else start for start in self._starts]

    def holds(self) -> bool:
        return self._starts[-1] is not None


class _Sum:
    """Of no values there is no sum, so that no condition holds on it."""

    def __init__(self, test: _Test) -> None:
        self._test = test
        self._sum: Exact = 0
        self._values = 0

    def enter(self, event: Event) -> None:
        value = _number(event)
        if value is not None:
            self._sum += value
            self._values += 1

    def leave(self, event: Event) -> None:
        value = _number(event)
        if value is not None:
            self._sum -= value
            self._values -= 1

    def holds(self) -> bool:
        return self._values > 0 and self._test(self._sum)


class _Average(_Sum):
    def holds(self) -> bool:
        return self._values > 0 and self._test(self._sum, self._values)


class _Ranked:
    """Values in their order: a Fenwick tree over all that will ever enter, as they are known beforehand."""

    def __init__(self, test: _Test, events: Iterable[Event]) -> None:
        self._test = test
        self._sorted = sorted({value for value in map(_number, events) if value is not None})
        self._place = {value: place for place, value in enumerate(self._sorted, 1)}
        self._tree = [0] * (len(self._sorted) + 1)
        self._values = 0

    def enter(self, event: Event) -> None:
        self._add(event, 1)

    def leave(self, event: Event) -> None:
        self._add(event, -1)

    def _add(self, event: Event, times: int) -> None:
        value = _number(event)
        if value is None:
            return
        self._values += times
        tree, place = self._tree, self._place[value]
        while place < len(tree):
            tree[place] += times
            place += place & -place

    def value(self, rank: int) -> Exact:
        """The value that so many of the window's values, itself included, do not exceed: 1 is the smallest."""
        tree, place = self._tree, 0
        step = 1 << (len(tree) - 1).bit_length()
        while step:
            following = place + step
            if following < len(tree) and tree[following] < rank:
                place, rank = following, rank - tree[following]
            step >>= 1
        return self._sorted[place]


class _Percentile(_Ranked):
    """Nearest rank: the smallest value that at least so many percent of the values do not exceed."""

    def __init__(self, test: _Test, events: Iterable[Event], percentile: int) -> None:
        super().__init__(test, events)
        self._percentile = percentile

    def holds(self) -> bool:
        rank = max(1, -(-self._percentile * self._values // 100))
        return self._values > 0 and self._test(self.value(rank))


class _Median(_Ranked):
    def holds(self) -> bool:
        middle = self._values + 1
        return self._values > 0 and self._test(self.value(middle // 2) + self.value((middle + 1) // 2), 2)


def _number(event: Event) -> Exact | None:
    return event.value if isinstance(event.value, int | Fraction) else None
