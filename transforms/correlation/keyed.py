"""Correlations of the stream: the alerts of one group, put out again as they change. The pure core (keyed_log.py).

Hits are kept for the timespan and the allowed lateness after they arrived. What replay finds is found when events of a
group within one timespan of each other arrive within that time. Then, when an event is given up, everything within a
timespan of it is there: the windows that hold it change no more. So the events whose windows these are become settled,
and the satisfied of them are kept as runs, which need neither hits nor windows. Such a run is itself given up when no
hit is left within a timespan of it, since nothing can then be linked to it; its alert is final.

A hit is taken back by one of a later arrival that is retracted, as alerts are which are events to a correlation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from huntbeam.schemas.clock import HOUR, MINUTE, SECOND
from huntbeam.schemas.correlation import Correlation, CorrelationAlert, Group, GroupKey, Hit
from huntbeam.transforms.correlation.evaluate import (
    Mark,
    Run,
    alert,
    alert_uid,
    gathered,
    link,
    merged,
    satisfied,
)
from huntbeam.transforms.correlation.known import Known
from huntbeam.transforms.keyed_log import Entry, Evaluation, KeyedLog, any_between
from huntbeam.transforms.revisions import Shown, mark, revised
from huntbeam.transforms.state import Versioned

HITS = 10_000  # of a group
PATIENCE = 10 * MINUTE  # until a correlation that is not in force is given up


class Arrived(msgspec.Struct, array_like=True):
    """A hit and when it came."""

    a: int
    hit: Hit
    revision: int = 0  # of an alert that is a hit
    retracted: bool = False
    settled: bool = False  # whether its event is satisfied can change no more, and is known from the runs


class Alerted(msgspec.Struct, frozen=True, array_like=True):
    """An alert that was put out, and the time of its run's first satisfied event."""

    time: int
    shown: Shown


class Lost(msgspec.Struct, frozen=True, array_like=True):
    """Between which event times hits were given up for want of room, and the arrival of the last of them."""

    start: int
    end: int
    a: int


class GroupState(msgspec.Struct, array_like=True):
    """What is known of a group."""

    kept: list[Arrived] = []
    runs: list[Run] = []  # of settled events
    alerts: dict[str, Alerted] = {}
    lost: Lost | None = None


ENTRY: Versioned[Entry[GroupState, Arrived]] = Versioned(1, Entry[GroupState, Arrived])


class CorrelationCore(msgspec.Struct, frozen=True):
    """keyed_log.Core of a group's hits. Waits are in milliseconds of the stream's clock.

    Which correlation a group is of is asked each time: a job may be given other rules. Hits of one that is not in force
    are kept for a while, since not all workers of a job have new rules at the same moment; then they are forgotten.
    """

    known: Known
    wait: int = 30 * SECOND
    allowed_lateness: int = HOUR
    most: int = HITS

    def log(self) -> KeyedLog[GroupKey, GroupState, Arrived, CorrelationAlert]:
        """What a group does."""
        return KeyedLog(self, ENTRY)

    def evaluate(
        self, key: GroupKey, state: GroupState | None, brought: list[Arrived], now: int
    ) -> Evaluation[CorrelationAlert, GroupState]:
        """The alerts that changed, and what is still to be known of the group at `now`."""
        correlation = self.known.find(key.rule_id, key.version)
        if correlation is None:
            return self._put_aside(state or GroupState(), brought, now)
        look = _Look(self, correlation, state or GroupState(), brought)
        rows = look.put_out(key.group)
        look.give_up(now, self.most)
        look.forget(key.group)
        return look.evaluation(rows)

    def shrink(
        self, key: GroupKey, state: GroupState | None, brought: list[Arrived]
    ) -> tuple[Evaluation[CorrelationAlert, GroupState], list[Arrived]]:
        """The latest hits. Of the copies of a hit that wait to be evaluated the first and the last are enough.

        Runs stay: what waits may be near them, and an alert whose run is missing would be taken back.
        """
        copies: dict[tuple[str, str], list[Arrived]] = {}
        for one in sorted(brought, key=_recency):
            copies.setdefault((one.hit.event_uid, one.hit.rule), []).append(one)
        waiting = sorted((one for c in copies.values() for one in (c if len(c) < 3 else (c[0], c[-1]))), key=_recency)
        over = waiting[: max(0, len(waiting) - self.most)]
        correlation = self.known.find(key.rule_id, key.version)
        if correlation is None:
            return Evaluation([], state, 0 if state is None else len(state.kept)), waiting[len(over) :]
        look = _Look(self, correlation, state or GroupState(), [])
        look.lose(over)
        look.give_up(None, self.most - len(waiting) + len(over))
        return look.evaluation([]), waiting[len(over) :]

    def _put_aside(
        self, state: GroupState, brought: list[Arrived], now: int
    ) -> Evaluation[CorrelationAlert, GroupState]:
        """Of a correlation that is not in force; `shrink` does not look at what is kept of it, so it is cut here."""
        kept = [one for one in _newest(state.kept, brought) if one.a + PATIENCE >= now]
        state.kept = sorted(kept, key=_recency)[-self.most :]
        if not kept:
            return Evaluation([], None)
        return Evaluation([], state, len(state.kept), now + self.wait + 1)


def _recency(one: Arrived) -> tuple[int, int, int, str, str]:
    return one.a, one.revision, one.hit.time_ms, one.hit.event_uid, one.hit.rule


class _Look:
    """A group while it is evaluated once."""

    def __init__(
        self, core: CorrelationCore, correlation: Correlation, state: GroupState, brought: Iterable[Arrived]
    ) -> None:
        self._core = core
        self._correlation = correlation
        self._span = correlation.timespan_ms
        self._state = state
        self._kept = _newest(state.kept, brought)
        self._settled = {one.hit.event_uid for one in self._kept if one.settled}
        self._events = merged(correlation, [one.hit for one in self._kept if not one.retracted])
        found = satisfied(correlation, self._events)
        self._open = [run for run in found if run.first.uid not in self._settled]

    def put_out(self, group: Group) -> list[CorrelationAlert]:
        """The rows that changed: first those that are taken back."""
        correlation, alerts = self._correlation, self._state.alerts
        present = {}
        for run in link([*self._state.runs, *self._open], self._span):
            row = alert(correlation, group, self._flagged(gathered(run, self._events, self._span)))
            present[row.event_uid] = run.first.time, row
        rows = []
        for event_uid, known in alerts.items():
            shown = None if event_uid in present else revised(known.shown, None)
            if shown is not None:
                alerts[event_uid] = Alerted(known.time, shown)
                rows.append(self._taken_back(group, event_uid, alerts[event_uid]))
        for event_uid, (time, row) in present.items():
            shown = revised(alerts[event_uid].shown if event_uid in alerts else None, mark(row))
            if shown is not None:
                alerts[event_uid] = Alerted(time, shown)
                rows.append(msgspec.structs.replace(row, revision=shown.revision))
        return rows

    def give_up(self, now: int | None, room: int) -> None:
        """Hits whose time is over at `now`, and the oldest of those beyond `room`."""
        ages: dict[str, int] = {}
        for one in self._kept:
            ages[one.hit.event_uid] = max(one.a, ages.get(one.hit.event_uid, one.a))
        keep = self._span + self._core.allowed_lateness
        gone = {event_uid for event_uid, a in ages.items() if now is not None and a + keep < now}
        left = [one for one in self._kept if one.hit.event_uid not in gone]
        if len(left) > room:
            left.sort(key=lambda one: (ages[one.hit.event_uid], one.hit.event_uid))
            over = {one.hit.event_uid for one in left[: len(left) - room]}  # of an event all hits go, or none
            self.lose([one for one in left if one.hit.event_uid in over])
            gone |= over
        if gone:
            self._settle(gone)
            self._kept = [one for one in self._kept if one.hit.event_uid not in gone]
        lost = self._state.lost
        if lost is not None and now is not None and lost.a + keep < now:
            self._state.lost = None

    def lose(self, over: Sequence[Arrived]) -> None:
        """Notes that hits are given up before their time."""
        if over:
            times, last, lost = [one.hit.time_ms for one in over], max(one.a for one in over), self._state.lost
            if lost is not None:
                times, last = [*times, lost.start, lost.end], max(last, lost.a)
            self._state.lost = Lost(min(times), max(times), last)

    def forget(self, group: Group) -> None:
        """Runs that nothing can be linked to any more, and alerts that can change no more.

        Taken back, an alert returns when its run's first event again has no satisfied one before it.
        """
        state, times = self._state, sorted(one.hit.time_ms for one in self._kept)
        state.runs = [
            run for run in state.runs if any_between(times, run.first.time - self._span, run.last + self._span)
        ]
        runs = link([*state.runs, *self._open], self._span)
        present = {alert_uid(self._correlation, group, run) for run in runs}
        back = sorted((one.time, u) for u, one in state.alerts.items() if u not in present)
        near = {u for time, u in back[-self._core.most :] if any_between(times, time - self._span, time)}
        state.alerts = {u: one for u, one in state.alerts.items() if u in present or u in near}

    def evaluation(self, rows: list[CorrelationAlert]) -> Evaluation[CorrelationAlert, GroupState]:
        """What is left of the group."""
        state = self._state
        arrivals = [one.a for one in self._kept] + ([] if state.lost is None else [state.lost.a])
        if not arrivals:
            return Evaluation(rows, None)
        for one in self._kept:
            one.settled = one.hit.event_uid in self._settled
        state.kept = self._kept
        end = max(arrivals) + self._span + self._core.allowed_lateness + 1
        return Evaluation(rows, state, len(self._kept), end)

    def _settle(self, gone: set[str]) -> None:
        """Settles the events in whose windows something is that goes, and counts what goes as part of their runs."""
        going = [event for event in self._events if event.uid in gone]
        times = [event.time for event in going]
        now_settled = {
            event.uid
            for event in self._events
            if event.uid not in self._settled and any_between(times, event.time - self._span + 1, event.time)
        }
        runs = [run for run in self._open if run.first.uid in now_settled]
        self._open = [run for run in self._open if run.first.uid not in now_settled]
        self._settled |= now_settled
        linked = link([*self._state.runs, *runs], self._span)
        self._state.runs = [self._flagged(gathered(run, going, self._span)) for run in linked]

    def _flagged(self, run: Run) -> Run:
        lost = self._state.lost
        if lost is None or lost.end <= run.first.time - self._span or run.last + self._span < lost.start:
            return run
        return msgspec.structs.replace(run, truncated=True)

    def _taken_back(self, group: Group, event_uid: str, known: Alerted) -> CorrelationAlert:
        row = alert(self._correlation, group, Run(Mark(known.time, ""), known.time))
        return msgspec.structs.replace(row, event_uid=event_uid, revision=known.shown.revision, retracted=True)


def _newest(kept: Iterable[Arrived], brought: Iterable[Arrived]) -> list[Arrived]:
    """Each hit as it came last."""
    found: dict[tuple[str, str], Arrived] = {}
    for one in (*kept, *brought):
        place = one.hit.event_uid, one.hit.rule
        other = found.get(place)
        if other is not None:
            first, one = sorted((other, one), key=_recency)
            one.settled = one.settled or first.settled
        found[place] = one
    return list(found.values())
