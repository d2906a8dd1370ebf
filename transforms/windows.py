"""Windows: tumbling windows of event time, counted. The pure accumulator (docs/semantics.md, rules 11-13).

Counters are data (schemas/window.py). An accumulator merges commutatively and associatively, so parts of an archive
are counted where they are read, and a stream's parts where they arrive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

import msgspec

from huntbeam.schemas import uid
from huntbeam.schemas.clock import instant, millis
from huntbeam.schemas.record import Kind, columns
from huntbeam.schemas.sysmon import NETWORK_CONNECT, PROCESS_CREATE, NetworkConnect, ProcessCreate, SysmonEvent
from huntbeam.schemas.values import text
from huntbeam.schemas.window import DISTINCT_CAP, SUM_CAP, Counter, WindowCount
from huntbeam.transforms.state import StateError

Value = str | int | None
Group = tuple[str, int, tuple[Value, ...]]  # counter, window start in ms, key values with the host in lower case


class Countable(Protocol):
    """A row that counters look at."""

    @property
    def event_id(self) -> int: ...  # noqa: D102
    @property
    def event_date_creation(self) -> str | None: ...  # noqa: D102


class Accumulator(msgspec.Struct):
    """What is known of one row so far."""

    counter: str
    start: int
    key: tuple[Value, ...]  # as grouped: the host in lower case
    host: str | None  # the smallest spelling met
    count: int
    distinct: list[set[Value]]
    capped: bool
    first: str
    last: str
    sums: list[int] = []

    def group(self) -> Group:
        """What this is the accumulator of."""
        return self.counter, self.start, self.key


def row_type(event_id: int) -> type[ProcessCreate | NetworkConnect | SysmonEvent]:
    """The rows that counters of an event id look at."""
    if event_id == PROCESS_CREATE:
        return ProcessCreate
    return NetworkConnect if event_id == NETWORK_CONNECT else SysmonEvent


def countable(event_id: int) -> dict[str, Kind]:
    """The columns that a counter of an event id may name, and their kinds."""
    kinds = (Kind.TEXT, Kind.INTEGER, Kind.GUID, Kind.IP)
    return {c.name: c.kind for c in columns(row_type(event_id)) if c.kind in kinds}


class _Compiled(NamedTuple):
    name: str
    key: Callable[[Any], tuple[Value, ...]]
    host: int | None  # where in the key the host stands
    distinct: tuple[Callable[[Any], Value], ...]
    where: tuple[tuple[Callable[[Any], Value], frozenset[str | None]], ...]
    sums: tuple[Callable[[Any], int | None], ...]


class Counting:
    """Counts rows into accumulators, by group. Not shared between threads."""

    def __init__(self, counters: Iterable[Counter], size_ms: int) -> None:
        self.size_ms = size_ms
        self.groups: dict[Group, Accumulator] = {}
        self._of: dict[int, list[_Compiled]] = {}
        for counter in counters:
            compiled = _compile(counter)
            for event_id in counter.event_ids:
                self._of.setdefault(event_id, []).append(compiled)

    def add(self, rows: Iterable[Countable]) -> None:
        """Counts rows; one without an event time is in no window."""
        for row in rows:
            time = row.event_date_creation
            if time is not None:
                for counter in self._of.get(row.event_id, ()):
                    self._count(counter, row, time)

    def _count(self, counter: _Compiled, row: Any, time: str) -> None:
        if any(text(get(row)) not in values for get, values in counter.where):
            return
        at = millis(time)
        key, host = counter.key(row), None
        if counter.host is not None:
            host = row.host
            if host:
                key = (*key[: counter.host], host.lower(), *key[counter.host + 1 :])
        group = (counter.name, at - at % self.size_ms, key)
        accumulator = self.groups.get(group)
        if accumulator is None:
            empty: list[set[Value]] = [set() for _ in counter.distinct]
            nothing = [0] * len(counter.sums)
            accumulator = self.groups[group] = Accumulator(*group, host, 0, empty, False, time, time, nothing)
        accumulator.count += 1
        if host is not None and (accumulator.host is None or host < accumulator.host):
            accumulator.host = host
        if time < accumulator.first:
            accumulator.first = time
        elif time > accumulator.last:
            accumulator.last = time
        for values, get in zip(accumulator.distinct, counter.distinct, strict=True):
            value = get(row)
            if value is not None and value not in values:
                if len(values) < DISTINCT_CAP:
                    values.add(value)
                else:
                    accumulator.capped = True
        for place, number in enumerate(counter.sums):
            accumulator.sums[place] = _added(accumulator.sums[place], max(number(row) or 0, 0))

    def take(self) -> list[Accumulator]:
        """What was counted since the last time."""
        taken = list(self.groups.values())
        self.groups = {}
        return taken


def _compile(counter: Counter) -> _Compiled:
    return _Compiled(
        name=counter.name,
        key=_tuple_getter(counter.key),
        host=counter.key.index("host") if "host" in counter.key else None,
        distinct=tuple(attrgetter(name) for name in counter.distinct),
        where=tuple((attrgetter(n), frozenset(text(v) for v in values)) for n, values in counter.where.items()),
        sums=tuple(attrgetter(name) for name in counter.sum),
    )


def _added(a: int, b: int) -> int:
    """Sums of what is not below 0 stop at the cap in any order."""
    return min(a + b, SUM_CAP)


def _tuple_getter(names: Sequence[str]) -> Callable[[Any], tuple[Value, ...]]:
    if len(names) == 1:
        one = attrgetter(names[0])
        return lambda row: (one(row),)
    return attrgetter(*names)


def merge(a: Accumulator, b: Accumulator) -> Accumulator:
    """Two parts of one row as one. `a` takes up `b`."""
    a.count += b.count
    a.first = min(a.first, b.first)
    a.last = max(a.last, b.last)
    a.capped = a.capped or b.capped
    if b.host is not None and (a.host is None or b.host < a.host):
        a.host = b.host
    for ours, theirs in zip(a.distinct, b.distinct, strict=True):
        ours |= theirs
        if len(ours) > DISTINCT_CAP:
            a.capped = True
            ours.intersection_update(sorted(ours, key=str)[:DISTINCT_CAP])
    a.sums = [_added(*pair) for pair in zip(a.sums, b.sums, strict=True)]
    return a


def merge_all(parts: Iterable[Accumulator]) -> Iterable[Accumulator]:
    """All parts of any number of rows, as one accumulator a row."""
    merged: dict[Group, Accumulator] = {}
    for part in parts:
        group = part.group()
        merged[group] = merge(merged[group], part) if group in merged else part
    return merged.values()


class Finisher:
    """Makes the rows of accumulators."""

    def __init__(self, counters: Iterable[Counter], size_ms: int) -> None:
        self.size_ms = size_ms
        self._counters = {counter.name: counter for counter in counters}

    def row(self, accumulator: Accumulator, generation: int | None = None, late_count: int = 0) -> WindowCount:
        """The row; replay puts it out once, without a generation and with nothing late. Raises StateError."""
        counter = self._counters.get(accumulator.counter)
        if counter is None:
            raise StateError(
                f"the state holds rows of the counter {accumulator.counter!r}, which is not among this run's counters: "
                "resume it with the counters it had (--counters)"
            )
        key: dict[str, Value] = dict(zip(counter.key, accumulator.key, strict=True))
        if accumulator.host is not None:
            key["host"] = accumulator.host
        start = instant(accumulator.start)
        return WindowCount(
            counter=counter.name,
            window_start=start,
            window_end=instant(accumulator.start + self.size_ms),
            key=key,
            count=accumulator.count,
            distinct={n: len(v) for n, v in zip(counter.distinct, accumulator.distinct, strict=True)},
            distinct_capped=accumulator.capped,
            first_seen=accumulator.first,
            last_seen=accumulator.last,
            generation=generation,
            late_count=late_count,
            event_uid=uid.window(counter.name, self.size_ms, start, accumulator.key),
            sums=dict(zip(counter.sum, accumulator.sums, strict=True)) or None,
        )
