"""Keys that are there for the first time, or that the baseline has seldom: one alert a key, at its earliest event.

Pure: of all rows of a replay, and of the rows of one key as a stream puts them out (keyed_log.py). A key that no row
had for `first_seen_ttl` is forgotten, and is new when it is there again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from huntbeam.schemas import uid
from huntbeam.schemas.anomaly import Anomaly, FirstSeen, Rare
from huntbeam.schemas.clock import DAY, millis
from huntbeam.schemas.window import WindowCount
from huntbeam.transforms.anomaly.evaluate import CounterKey, found, row_key
from huntbeam.transforms.anomaly.rarity import Judge
from huntbeam.transforms.keyed_log import Entry, Evaluation, KeyedLog
from huntbeam.transforms.revisions import Shown, mark, revised
from huntbeam.transforms.state import Versioned

ITEMS = 1_000  # sightings of a key that may wait unread

SightingRule = FirstSeen | Rare


class RuleKey(NamedTuple):
    """What an alert is of."""

    rule_id: str
    key: CounterKey


class Sighting(msgspec.Struct, frozen=True, array_like=True):
    """The earliest event of a row, and when the row came."""

    a: int
    time: int


class Known(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered of a key."""

    a: int  # last arrival
    time: int  # earliest event
    shown: Shown | None = None


ENTRY: Versioned[Entry[Known, Sighting]] = Versioned(1, Entry[Known, Sighting])


def concerned(rules: Sequence[SightingRule], row: WindowCount, baseline: Judge | None) -> Iterator[RuleKey]:
    """The keys that a row is a sighting of. Without a baseline nothing is rare (rarity.runnable)."""
    for rule in rules:
        if rule.counter == row.counter:
            key = row_key(row)
            if not isinstance(rule, Rare) or _is_rare(rule, key, baseline):
                yield RuleKey(rule.id, key)


def _is_rare(rule: Rare, key: CounterKey, baseline: Judge | None) -> bool:
    return baseline is not None and baseline.prevalence(key, rule.prevalence) <= rule.at_most


def sighting(a: int, row: WindowCount) -> Sighting:
    """A row as it is brought to the keys that it concerns."""
    return Sighting(a, millis(row.first_seen))


def sighted(rule: SightingRule, key: CounterKey, time: int, baseline: Judge | None) -> Anomaly:
    """The row of a key whose earliest event was at `time`."""
    if isinstance(rule, FirstSeen):
        return found(rule, uid.first_seen(rule.id, key.values), time, key.shown(), counter=key.counter)
    return found(
        rule,
        uid.rare(rule.id, key.values),
        time,
        key.shown(),
        counter=key.counter,
        measure=rule.prevalence.value,
        value=float(baseline.prevalence(key, rule.prevalence)) if baseline is not None else None,
        expected=float(rule.at_most),
    )


def sighted_all(
    rules: Sequence[SightingRule], rows: Iterable[WindowCount], baseline: Judge | None = None
) -> Iterator[Anomaly]:
    """Replay: one row a key, of rows in any order."""
    earliest: dict[RuleKey, int] = {}
    for row in rows:
        for place in concerned(rules, row, baseline):
            time = millis(row.first_seen)
            earliest[place] = min(time, earliest.get(place, time))
    by_id = {rule.id: rule for rule in rules}
    for place, time in earliest.items():
        yield sighted(by_id[place.rule_id], place.key, time, baseline)


class SightingCore(msgspec.Struct, frozen=True):
    """keyed_log.Core of what concerns one key. Waits are in milliseconds of the stream's clock."""

    rules: tuple[SightingRule, ...]
    baseline: Judge | None = None
    first_seen_ttl: int = 30 * DAY
    wait: int = 0
    most: int = ITEMS

    def log(self) -> KeyedLog[RuleKey, Known, Sighting, Anomaly]:
        """What a key does. A worker asks once, and then has the baseline."""
        if self.baseline is not None:
            self.baseline.load()
        return KeyedLog(self, ENTRY)

    def evaluate(
        self, key: RuleKey, state: Known | None, brought: list[Sighting], now: int
    ) -> Evaluation[Anomaly, Known]:
        """The key's row when it is new, or was earlier than it seemed."""
        state = _taken_up(state, brought)
        rule = next((rule for rule in self.rules if rule.id == key.rule_id), None)
        if state is None or rule is None or state.a + self.first_seen_ttl < now:
            return Evaluation([], None)
        row = sighted(rule, key.key, state.time, self.baseline)
        shown = revised(state.shown, mark(row))
        rows = [] if shown is None else [msgspec.structs.replace(row, revision=shown.revision)]
        known = msgspec.structs.replace(state, shown=shown or state.shown)
        return Evaluation(rows, known, 1, state.a + self.first_seen_ttl + 1)

    def shrink(
        self, _key: RuleKey, state: Known | None, brought: list[Sighting]
    ) -> tuple[Evaluation[Anomaly, Known], list[Sighting]]:
        """Of the sightings that wait the first to come, the last, and the earliest event are enough."""
        ends = (min(brought, key=_arrival), max(brought, key=_arrival), min(brought, key=lambda one: one.time))
        return Evaluation([], state, 0 if state is None else 1), list(dict.fromkeys(ends))


def _arrival(one: Sighting) -> int:
    return one.a


def _taken_up(state: Known | None, brought: Sequence[Sighting]) -> Known | None:
    for one in brought:
        if state is None:
            state = Known(one.a, one.time)
        else:
            state = Known(max(state.a, one.a), min(state.time, one.time), state.shown)
    return state
