"""Windows in shards: the rows of window_rows.py whatever the shards, ticks and merges, in any order, over crashes."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntbeam.schemas.clock import SECOND
from huntbeam.schemas.window import Counter
from huntbeam.transforms.state import StateError
from huntbeam.transforms.window_rows import Timing
from huntbeam.transforms.window_shard import HEAD, Brought, Head, WindowShard, pack, shard_of, tick
from tests.conftest import examples
from tests.transforms.test_window_rows import (
    CLOSE,
    COUNTERS,
    END,
    GRACE,
    LATENESS,
    NOON,
    ONE,
    SIZE,
    TIMING,
    Crash,
    Driver,
    Event,
    Out,
    count,
    crashes,
    event,
    events,
    expected,
    readings,
    stream,
    timings,
    valid,
)


@dataclass
class Cell:
    """window_shard.Cell in memory."""

    head_: bytes | None = None
    entries: list[bytes] = field(default_factory=list)
    due: int | None = None
    read: int = 0  # bytes

    def head(self) -> bytes | None:
        return self.head_

    def keep(self, head: bytes | None) -> None:
        self.head_ = head

    def log(self) -> Sequence[bytes]:
        self.read += sum(map(len, self.entries))
        return list(self.entries)

    def add(self, entry: bytes) -> None:
        self.entries.append(entry)

    def replace(self, entries: Sequence[bytes]) -> None:
        self.entries = list(entries)

    def set_due(self, at: int) -> None:
        self.due = at

    def empty(self) -> bool:
        return self.head_ is None and not self.entries and self.due is None


class Shards(Driver):
    """The same runner in miniature, with a timer a shard."""

    SHARDS = 2

    def __init__(self, timing: Timing, counters: Sequence[Counter] = COUNTERS) -> None:
        super().__init__(timing, counters)
        self.shard = WindowShard(self.core)
        self.state: dict[tuple[int, int], Cell] = {}  # type: ignore[assignment]

    def bundle(self, events: Iterable[Event]) -> None:
        shards: dict[tuple[int, int], Brought] = {}
        for group, parts in self.counted(events).items():
            shards.setdefault(shard_of(group, self.SHARDS), []).append((group, parts))
        for place, brought in shards.items():
            first = min(one.a for _, parts in brought for one in parts)
            self.shard.on_brought(self.state.setdefault(place, Cell()), place[0], first, pack(brought))

    def advance(self, watermark: int) -> None:
        due = [(cell.due, place) for place, cell in self.state.items() if cell.due is not None]
        heapq.heapify(due)
        while due and due[0][0] <= watermark:
            at, place = heapq.heappop(due)
            cell = self.state[place]
            cell.due = None
            for out in self.shard.on_due(cell, at):
                self.put_out(at, out)
            if cell.due is not None:
                heapq.heappush(due, (cell.due, place))


@settings(max_examples=examples(150), deadline=None)
@given(events(), timings, readings, st.sampled_from([0, GRACE, LATENESS]), crashes)
def test_rows_are_those_of_the_rules_whatever_the_order_of_reading(
    found: list[Event], timing: Timing, reading: list[int], skew: int, crash: Crash | None
) -> None:
    driver = stream(found, timing, reading, skew, crash, kind=Shards)
    assert valid(driver.out) == expected(found, timing)
    assert all(cell.empty() for cell in driver.state.values())  # type: ignore[attr-defined]


@settings(max_examples=examples(200), deadline=None)
@given(events(), timings, readings, crashes, st.sampled_from([0, 300]))
def test_rows_do_not_depend_on_when_parts_are_merged(
    found: list[Event], timing: Timing, reading: list[int], crash: Crash | None, scraps: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huntbeam.transforms.window_shard.SCRAPS", scraps)
        patch.setattr("huntbeam.transforms.window_shard.ENTRY_ROWS", 1)
        in_order = stream(found, timing, reading, 0, crash, kind=Shards)
        skewed = stream(found, timing, reading, LATENESS, crash, kind=Shards)
    assert valid(in_order.out) == expected(found, timing)
    shown = valid(Out(at, msgspec.structs.replace(one, late_count=0)) for at, one in skewed.out)
    assert shown == [msgspec.structs.replace(one, late_count=0) for one in expected(found, timing)]


@settings(max_examples=examples(200), deadline=None)
@given(events(spread=SIZE), timings, readings, crashes)
def test_stream_equals_replay_when_a_windows_events_come_in_time(
    found: list[Event], timing: Timing, reading: list[int], crash: Crash | None
) -> None:
    shown = valid(stream(found, timing, reading, LATENESS, crash, kind=Shards).out)
    plain = [msgspec.structs.replace(one, generation=None, late_count=0) for one in shown]
    assert plain == count([e.row for e in found], COUNTERS, SIZE)


@settings(max_examples=examples(200), deadline=None)
@given(events(spread=SIZE))
def test_a_row_is_first_put_out_at_the_tick_after_its_time(found: list[Event]) -> None:
    def first(driver: Driver) -> dict[str, int]:
        return {out.row.event_uid: out.at for out in reversed(driver.out)}

    step = tick(TIMING)
    exact = first(stream(found, TIMING))
    assert first(stream(found, TIMING, kind=Shards)) == {uid: -(-at // step) * step for uid, at in exact.items()}


def test_ticks_are_a_sixth_of_the_grace_or_a_third_of_an_early_firing() -> None:
    assert tick(TIMING) == 10 * SECOND
    assert tick(msgspec.structs.replace(TIMING, early=6 * SECOND)) == 2_000
    assert tick(msgspec.structs.replace(TIMING, grace=0)) == 1


def test_rows_of_a_shard_are_put_out_together_and_read_once() -> None:
    driver = Shards(TIMING, ONE)
    driver.bundle([event(NOON + number, host=f"ws-{number}") for number in range(100)])
    driver.advance(CLOSE)
    assert driver.out == []
    driver.advance(CLOSE + tick(TIMING))
    assert len(driver.out) == 100
    assert len({out.at for out in driver.out}) == 1


def test_what_a_bundle_brings_is_not_read() -> None:
    driver = Shards(TIMING, ONE)
    for number in range(50):
        driver.bundle([event(NOON + number, host=f"ws-{n}") for n in range(20)])
    assert sum(cell.read for cell in driver.state.values()) == 0


def test_rows_that_have_ended_are_forgotten_unread() -> None:
    driver = Shards(TIMING, ONE)
    driver.bundle([event(NOON + number, host=f"ws-{number}") for number in range(100)])
    driver.advance(CLOSE + tick(TIMING))
    read = [cell.read for cell in driver.state.values()]
    driver.advance(CLOSE + LATENESS + GRACE + tick(TIMING))
    assert all(cell.empty() for cell in driver.state.values())
    assert [cell.read for cell in driver.state.values()] == read


def test_a_log_is_merged_when_too_much_of_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huntbeam.transforms.window_shard.SCRAPS", 4_096)
    driver = Shards(TIMING, ONE)
    written = largest = 0
    for number in range(2_000):
        driver.bundle([event(NOON + number)])
        (cell,) = driver.state.values()
        written += len(cell.entries[-1])
        largest = max(largest, sum(map(len, cell.entries)))
    assert written > 20 * 4_096
    assert largest < 3 * 4_096
    assert cell.read < 3 * written


def test_a_timer_without_state_does_nothing() -> None:
    assert list(Shards(TIMING).shard.on_due(Cell(), END)) == []


def test_state_of_another_version_is_refused() -> None:
    cell = Cell(head_=b"\x09" + HEAD.pack(Head())[1:])
    with pytest.raises(StateError, match="Head has version 09"):
        list(Shards(TIMING).shard.on_due(cell, END))
