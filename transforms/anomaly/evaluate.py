"""Anomalies in window rows: a row against a threshold, or against its key's own windows before. The pure evaluator.

docs/semantics.md, "Anomalies". The baseline of a window is what the same counter and key had in the `windows` windows
before it, by their start: from the first of these in which the key was seen on, an absent window counting 0. All sums
are of whole numbers, so that a baseline is the same in whatever order its rows came.

Of the copies of a row the one with the highest count is valid. Counts of a stream's generations are added, as readers
add them; of their distinct values, which may be the same, the most of one generation is taken.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from math import sqrt
from typing import NamedTuple

import msgspec

from huntbeam.schemas import uid
from huntbeam.schemas.anomaly import COUNT, DISTINCT, SUM, Anomaly, AnomalyRule, Deviation, Method, Ratio, Threshold
from huntbeam.schemas.clock import instant, millis
from huntbeam.schemas.window import WindowCount
from huntbeam.transforms.windows import Value

NORMAL = 1.4826  # a normal distribution's stddev is so many median absolute deviations

WindowRule = Threshold | Deviation | Ratio


class CounterKey(NamedTuple):
    """A counter and one of its keys: names and values of the key columns, the host in lower case."""

    counter: str
    names: tuple[str, ...]
    values: tuple[Value, ...]

    def shown(self) -> dict[str, Value]:
        """The key as rows show it."""
        return dict(zip(self.names, self.values, strict=True))


class Part(msgspec.Struct, frozen=True, array_like=True):
    """One generation of a window of a key; replay has one, without a number."""

    generation: int | None
    count: int
    distinct: dict[str, int]
    first: int  # event time of the earliest event
    sums: dict[str, int] = {}


class Window(msgspec.Struct, frozen=True):
    """A window of a key."""

    start: int
    count: int
    distinct: dict[str, int]
    first: int
    sums: dict[str, int] = {}

    def value(self, measure: str) -> int:
        """What a rule looks at."""
        if measure.startswith(SUM):
            return self.sums.get(measure.removeprefix(SUM), 0)
        return self.count if measure == COUNT else self.distinct.get(measure.removeprefix(DISTINCT), 0)


class Judgement(NamedTuple):
    """What a rule makes of a window; `expected` is null where there is too little history."""

    holds: bool
    value: float | None
    expected: float | None = None
    deviation: float | None = None
    history: int | None = None


def row_key(row: WindowCount) -> CounterKey:
    """Whose row it is."""
    values = (value.lower() if n == "host" and isinstance(value, str) else value for n, value in row.key.items())
    return CounterKey(row.counter, tuple(row.key), tuple(values))


def row_part(row: WindowCount) -> Part:
    """What is looked at of a row."""
    return Part(row.generation, row.count, row.distinct, millis(row.first_seen), row.sums or {})


def better(a: Part, b: Part) -> Part:
    """Of two copies of a row the valid one."""
    return max(
        a, b, key=lambda part: (part.count, sorted(part.distinct.items()), sorted(part.sums.items()), -part.first)
    )


def window(start: int, parts: Sequence[Part]) -> Window:
    """The window of some generations, of each its valid copy."""
    distinct = {name: max(part.distinct.get(name, 0) for part in parts) for part in parts for name in part.distinct}
    sums = {name: sum(part.sums.get(name, 0) for part in parts) for part in parts for name in part.sums}
    return Window(start, sum(part.count for part in parts), distinct, min(part.first for part in parts), sums)


def judge(rule: WindowRule, present: Window, before: Sequence[Window], size_ms: int) -> Judgement:
    """A window by a rule. `before` are windows of the key by their start; those that are not before it are not read."""
    value = present.value(rule.measure)
    if isinstance(rule, Ratio):
        return _ratio(rule, value, present.value(rule.by))
    if isinstance(rule, Threshold):
        return Judgement(value > rule.above, value, rule.above)
    start = bisect_left(before, present.start - rule.windows * size_ms, key=_start)
    stop = bisect_left(before, present.start, key=_start)
    known = [past.value(rule.measure) for past in before[start:stop]]
    history = sum(past > 0 for past in known)
    if history < rule.min_history:
        return Judgement(False, value, history=history)
    known += [0] * ((present.start - before[start].start) // size_ms - len(known))
    expected, unit = _mean_stddev(known) if rule.method is Method.MEAN_STDDEV else _median_mad(known)
    holds = value > expected + rule.factor * unit and value > rule.above
    return Judgement(holds, value, expected, (value - expected) / unit if unit else None, history)


def _ratio(rule: Ratio, value: int, by: int) -> Judgement:
    return Judgement(value > rule.above * by and value >= rule.at_least, value / by if by else None, rule.above)


def _start(past: Window) -> int:
    return past.start


def _mean_stddev(values: Sequence[int]) -> tuple[float, float]:
    n, total = len(values), sum(values)
    return total / n, sqrt(n * sum(value * value for value in values) - total * total) / n


def _median_mad(values: Sequence[int]) -> tuple[float, float]:
    """In halves and quarters, which are whole numbers until the end."""
    twice = _twice_median(values)
    return twice / 2, NORMAL * _twice_median([abs(2 * value - twice) for value in values]) / 4


def _twice_median(values: Sequence[int]) -> int:
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]


def anomaly(rule: WindowRule, key: CounterKey, present: Window, judgement: Judgement, size_ms: int) -> Anomaly:
    """The row of what a rule finds in a window."""
    start = instant(present.start)
    return found(
        rule,
        uid.anomaly(rule.id, uid.window(key.counter, size_ms, start, key.values)),
        present.first,
        key.shown(),
        counter=key.counter,
        window=(start, instant(present.start + size_ms)),
        measure=f"{rule.measure}/{rule.by}" if isinstance(rule, Ratio) else rule.measure,
        value=None if judgement.value is None else float(judgement.value),
        expected=judgement.expected,
        deviation=judgement.deviation,
        history=judgement.history,
    )


def found(
    rule: AnomalyRule,
    event_uid: str,
    time: int,
    key: dict[str, Value],
    *,
    counter: str | None = None,
    window: tuple[str, str] | None = None,
    measure: str | None = None,
    value: float | None = None,
    expected: float | None = None,
    deviation: float | None = None,
    history: int | None = None,
) -> Anomaly:
    """The row of what a rule finds, as replay puts it out."""
    start, end = window or (None, None)
    return Anomaly(
        time=instant(time),
        event_uid=event_uid,
        revision=0,
        retracted=False,
        rule_id=rule.id,
        title=rule.name,
        severity=rule.severity.value,
        attack=list(rule.tags),
        text=rule.text,
        kind=str(rule.__struct_config__.tag),
        counter=counter,
        window_start=start,
        window_end=end,
        key=key,
        measure=measure,
        value=value,
        expected=expected,
        deviation=deviation,
        history=history,
    )


def evaluate(rule: WindowRule, row: WindowCount, past: Iterable[WindowCount], size_ms: int) -> Anomaly | None:
    """A row against the final rows of its counter and key, which may come in any order; others are not read."""
    key, start = row_key(row), millis(row.window_start)
    before = [one for one in past if row_key(one) == key and one.window_start < row.window_start]
    present = window(start, [row_part(row)])
    judgement = judge(rule, present, _windows(before), size_ms)
    return anomaly(rule, key, present, judgement, size_ms) if judgement.holds else None


def evaluate_all(rules: Sequence[WindowRule], rows: Iterable[WindowCount], size_ms: int) -> Iterator[Anomaly]:
    """Replay: the anomalies of all final rows, which come in any order and may hold copies and generations."""
    by_key: dict[CounterKey, list[WindowCount]] = {}
    looked_at = {rule.counter for rule in rules}
    for row in rows:
        if row.counter in looked_at:
            by_key.setdefault(row_key(row), []).append(row)
    for key, of_key in by_key.items():
        windows = _windows(of_key)
        for rule in rules:
            if rule.counter == key.counter:
                for present in windows:
                    judgement = judge(rule, present, windows, size_ms)
                    if judgement.holds:
                        yield anomaly(rule, key, present, judgement, size_ms)


def _windows(rows: Iterable[WindowCount]) -> list[Window]:
    parts: dict[int, dict[int | None, Part]] = {}
    for row in rows:
        of_window, part = parts.setdefault(millis(row.window_start), {}), row_part(row)
        of_window[part.generation] = better(part, of_window.get(part.generation, part))
    return [window(start, list(of_window.values())) for start, of_window in sorted(parts.items())]
