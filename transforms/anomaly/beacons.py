"""Beacons: a process that connects to a destination at regular intervals, in a tumbling hour of event time.

Pure: of all connects of a replay, and of one hour's as they come in a stream (keyed_log.py). The variation is the
standard deviation of the gaps between connects by their mean; both are compared squared, in whole numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from math import sqrt
from typing import NamedTuple

import msgspec

from huntbeam.schemas import uid
from huntbeam.schemas.anomaly import Anomaly, Beacon
from huntbeam.schemas.clock import HOUR, MINUTE, instant, millis
from huntbeam.schemas.sysmon import NetworkConnect
from huntbeam.transforms.anomaly.evaluate import found
from huntbeam.transforms.keyed_log import Entry, Evaluation, KeyedLog
from huntbeam.transforms.revisions import Shown, mark, revised
from huntbeam.transforms.state import Versioned
from huntbeam.transforms.windows import Value

KEY = ("host", "process_path", "dst_ip_addr", "dst_port")
CONNECTS = 10_000  # of an hour that are looked at, the earliest: more is no beacon but a stream


class Hour(NamedTuple):
    """Whose connects, to where, and in which hour: the values of KEY, the host in lower case, and the hour's start."""

    values: tuple[Value, ...]
    start: int


class Connect(msgspec.Struct, frozen=True, array_like=True):
    """A connect and when it came."""

    a: int
    time: int
    event_uid: str


class HourState(msgspec.Struct, array_like=True):
    """What is known of an hour."""

    connects: list[Connect] = []
    shown: dict[str, Shown] = {}  # by rule id


ENTRY: Versioned[Entry[HourState, Connect]] = Versioned(1, Entry[HourState, Connect])


def hour(row: NetworkConnect) -> Hour | None:
    """The hour that a connect is of; none without an event time."""
    if row.event_date_creation is None:
        return None
    host = row.host.lower() if row.host else row.host
    at = millis(row.event_date_creation)
    return Hour((host, row.process_path, row.dst_ip_addr, row.dst_port), at - at % HOUR)


def connect(a: int, row: NetworkConnect) -> Connect:
    """A row that has an hour, as it is brought to it."""
    return Connect(a, millis(row.event_date_creation or ""), row.event_uid)


def judge(rule: Beacon, of: Hour, connects: Iterable[Connect]) -> tuple[bool, Anomaly | None]:
    """Whether the connects of an hour are a beacon, and its row; no row without a gap."""
    times = [one.time for one in _distinct(connects)[:CONNECTS]]
    gaps = [b - a for a, b in pairwise(times)]
    total, squares = sum(gaps), sum(gap * gap for gap in gaps)
    if not total:
        return False, None
    spread = len(gaps) * squares - total * total  # the variation's square times that of the total
    start = instant(of.start)
    row = found(
        rule,
        uid.beacon(rule.id, start, of.values),
        times[0],
        dict(zip(KEY, of.values, strict=True)),
        window=(start, instant(of.start + HOUR)),
        measure="variation",
        value=sqrt(spread) / total,
        expected=rule.variation,
        history=len(times),
    )
    regular = spread <= Fraction(str(rule.variation)) ** 2 * total * total
    return regular and len(times) >= rule.connects, row


def beacons(rules: Sequence[Beacon], rows: Iterable[NetworkConnect]) -> Iterator[Anomaly]:
    """Replay: the beacons of all connects, which come in any order and more than once."""
    hours: dict[Hour, list[Connect]] = {}
    for row in rows:
        of = hour(row)
        if of is not None:
            hours.setdefault(of, []).append(connect(0, row))
    for of, connects in hours.items():
        for rule in rules:
            holds, found_row = judge(rule, of, connects)
            if holds and found_row is not None:
                yield found_row


class BeaconCore(msgspec.Struct, frozen=True):
    """keyed_log.Core of an hour's connects. Waits are in milliseconds of the stream's clock."""

    rules: tuple[Beacon, ...]
    wait: int = 5 * MINUTE
    allowed_lateness: int = HOUR
    most: int = CONNECTS

    def log(self) -> KeyedLog[Hour, HourState, Connect, Anomaly]:
        """What an hour does."""
        return KeyedLog(self, ENTRY)

    def evaluate(
        self, key: Hour, state: HourState | None, brought: list[Connect], now: int
    ) -> Evaluation[Anomaly, HourState]:
        """The beacons that changed. An hour is forgotten when no connect came for an hour and the lateness."""
        state = state or HourState()
        state.connects = _distinct([*state.connects, *brought])[: self.most]
        end = max(one.a for one in state.connects) + HOUR + self.allowed_lateness + 1
        if end <= now:
            return Evaluation([], None)
        rows = []
        for rule in self.rules:
            holds, row = judge(rule, key, state.connects)
            shown = revised(state.shown.get(rule.id), mark(row) if holds and row is not None else None)
            if shown is not None and row is not None:
                state.shown[rule.id] = shown
                rows.append(msgspec.structs.replace(row, revision=shown.revision, retracted=shown.retracted))
        return Evaluation(rows, state, len(state.connects), end)

    def shrink(
        self, _key: Hour, state: HourState | None, brought: list[Connect]
    ) -> tuple[Evaluation[Anomaly, HourState], list[Connect]]:
        """The earliest connects. A copy of one that is known says no more than that it came again."""
        state = state or HourState()
        known = {one.event_uid for one in state.connects}
        again = [one for one in brought if one.event_uid in known]
        waiting = _distinct(one for one in brought if one.event_uid not in known)
        state.connects = _distinct([*state.connects, *again])
        fitting = {one.event_uid for one in _distinct([*state.connects, *waiting])[: self.most]}
        state.connects = [one for one in state.connects if one.event_uid in fitting]
        return Evaluation([], state, len(state.connects)), [one for one in waiting if one.event_uid in fitting]


def _distinct(connects: Iterable[Connect]) -> list[Connect]:
    """Each connect once, as it came last, by event time."""
    last: dict[str, Connect] = {}
    for one in connects:
        known = last.get(one.event_uid)
        if known is None or one.a > known.a:
            last[one.event_uid] = one
    return sorted(last.values(), key=lambda one: (one.time, one.event_uid))
