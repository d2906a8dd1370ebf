"""Anomalies of the stream: the window rows of one counter and key, judged as they are put out. Pure (keyed_log.py).

A row that changes is judged anew, and so are the windows after it whose baseline it is in; what no longer holds is
taken back. So the final rows come to what replay makes of them, in whatever order they came, when the rows of windows
that are in each other's baseline arrive within the time for which rows are kept. Then, when a row is given up, all
those are there: the windows whose baseline it is in are settled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from huntbeam.schemas.anomaly import Anomaly, Deviation
from huntbeam.schemas.clock import HOUR, MINUTE, millis
from huntbeam.schemas.window import WindowCount
from huntbeam.transforms.anomaly.evaluate import (
    CounterKey,
    Part,
    Window,
    WindowRule,
    anomaly,
    better,
    judge,
    row_part,
    window,
)
from huntbeam.transforms.keyed_log import Entry, Evaluation, KeyedLog, any_between
from huntbeam.transforms.revisions import Shown, mark, revised
from huntbeam.transforms.state import Versioned

ROWS = 5_000  # of a key; the windows of a week are 2,016


class ArrivedRow(msgspec.Struct, array_like=True):
    """One generation of a window of a key, and when it came."""

    a: int
    start: int
    part: Part
    settled: bool = False  # nothing that the window is judged by can change any more


class KeyState(msgspec.Struct, array_like=True):
    """What is known of a key."""

    kept: list[ArrivedRow] = []
    shown: dict[str, dict[int, Shown]] = {}  # rule id -> start of the window


ENTRY: Versioned[Entry[KeyState, ArrivedRow]] = Versioned(1, Entry[KeyState, ArrivedRow])


def arrived(a: int, row: WindowCount) -> ArrivedRow:
    """A row as it is brought to its key (anomalies.row_key)."""
    return ArrivedRow(a, millis(row.window_start), row_part(row))


class AnomalyCore(msgspec.Struct, frozen=True):
    """keyed_log.Core of a key's window rows."""

    rules: tuple[WindowRule, ...]
    size: int = 5 * MINUTE
    allowed_lateness: int = HOUR  # of windows; what is late makes their rows come late
    wait: int = 0
    most: int = ROWS

    def log(self) -> KeyedLog[CounterKey, KeyState, ArrivedRow, Anomaly]:
        """What a key does."""
        return KeyedLog(self, ENTRY)

    @property
    def reach(self) -> int:
        """How long before its own start a window's baseline begins."""
        return self.size * max((rule.windows for rule in self.rules if isinstance(rule, Deviation)), default=0)

    @property
    def keep(self) -> int:
        """How long a row is kept after it arrived."""
        return self.reach + self.size + 2 * self.allowed_lateness

    def evaluate(
        self, key: CounterKey, state: KeyState | None, brought: list[ArrivedRow], now: int
    ) -> Evaluation[Anomaly, KeyState]:
        """The anomalies that changed, and what is still to be known of the key at `now`."""
        state = state or KeyState()
        kept, changed = _taken_up(state.kept, brought)
        rows = self._judged(key, state, kept, changed)
        gone = {start for start, a in _ages(kept).items() if a + self.keep < now}
        return Evaluation(rows, *self._left(state, kept, gone))

    def shrink(
        self, _key: CounterKey, state: KeyState | None, brought: list[ArrivedRow]
    ) -> tuple[Evaluation[Anomaly, KeyState], list[ArrivedRow]]:
        """The latest rows. Of the copies of a row that wait to be judged the first and the best are enough."""
        copies: dict[tuple[int, int | None], list[ArrivedRow]] = {}
        for one in sorted(brought, key=_recency):
            copies.setdefault((one.start, one.part.generation), []).append(one)
        waiting = sorted((one for c in copies.values() for one in _first_and_best(c)), key=_recency)
        waiting = waiting[max(0, len(waiting) - self.most) :]
        state = state or KeyState()
        over = len(state.kept) + len(waiting) - self.most
        oldest = sorted(_ages(state.kept).items(), key=lambda found: (found[1], found[0]))
        gone = {start for start, _ in oldest[: max(0, over)]}  # each has a row or more
        return Evaluation([], *self._left(state, state.kept, gone)), waiting

    def _judged(
        self, key: CounterKey, state: KeyState, kept: Sequence[ArrivedRow], changed: Sequence[int]
    ) -> list[Anomaly]:
        windows, settled = _windows(kept), {one.start for one in kept if one.settled}
        rows = []
        for rule in self.rules:
            if rule.counter != key.counter:
                continue
            shown = state.shown.setdefault(rule.id, {})
            for present in windows:
                if present.start in settled or not any_between(changed, present.start - self.reach, present.start):
                    continue
                judgement = judge(rule, present, windows, self.size)
                row = anomaly(rule, key, present, judgement, self.size)
                now_shown = revised(shown.get(present.start), mark(row) if judgement.holds else None)
                if now_shown is not None:
                    shown[present.start] = now_shown
                    rows.append(
                        msgspec.structs.replace(row, revision=now_shown.revision, retracted=now_shown.retracted)
                    )
        return rows

    def _left(
        self, state: KeyState, kept: Sequence[ArrivedRow], gone: set[int]
    ) -> tuple[KeyState | None, int, int | None]:
        """The state without the windows that are gone; those that looked back at them are settled."""
        left = [one for one in kept if one.start not in gone]
        if not left:
            return None, 0, None
        times = sorted(gone)
        for one in left:
            one.settled = one.settled or any_between(times, one.start - self.reach, one.start)
        open_ = {one.start for one in left if not one.settled}
        state.kept = left
        state.shown = {
            rule: {start: shown for start, shown in of_rule.items() if start in open_}
            for rule, of_rule in state.shown.items()
        }
        return state, len(left), max(one.a for one in left) + self.keep + 1


def _recency(one: ArrivedRow) -> tuple[int, int, int]:
    return one.a, one.start, one.part.count


def _first_and_best(copies: Sequence[ArrivedRow]) -> Sequence[ArrivedRow]:
    best = max(copies, key=lambda one: one.part.count)
    return (copies[0],) if best is copies[0] else (copies[0], best)


def _taken_up(kept: Iterable[ArrivedRow], brought: Iterable[ArrivedRow]) -> tuple[list[ArrivedRow], list[int]]:
    """Each row in its valid copy, and the windows that are others than before, by start."""
    found = {(one.start, one.part.generation): one for one in kept}
    changed = set()
    for one in sorted(brought, key=_recency):
        known = found.get((one.start, one.part.generation))
        part = one.part if known is None else better(known.part, one.part)
        if known is None or part != known.part:
            changed.add(one.start)
        a, settled = (one.a, False) if known is None else (max(known.a, one.a), known.settled)
        found[one.start, one.part.generation] = ArrivedRow(a, one.start, part, settled)
    return list(found.values()), sorted(changed)


def _ages(kept: Iterable[ArrivedRow]) -> dict[int, int]:
    """The last arrival of each window: it is kept or given up with all its generations."""
    ages: dict[int, int] = {}
    for one in kept:
        ages[one.start] = max(one.a, ages.get(one.start, one.a))
    return ages


def _windows(kept: Iterable[ArrivedRow]) -> list[Window]:
    parts: dict[int, list[Part]] = {}
    for one in kept:
        parts.setdefault(one.start, []).append(one.part)
    return [window(start, of_window) for start, of_window in sorted(parts.items())]
