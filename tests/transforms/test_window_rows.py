"""Window rows of the stream: against rules 11 to 13 word by word, in any order, with skew, late timers and crashes."""

from __future__ import annotations

import copy
import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntbeam.schemas.clock import DAY, HOUR, MINUTE, SECOND, instant, millis
from huntbeam.schemas.window import NETWORK_DESTINATION, Counter, WindowCount
from huntbeam.transforms.window_rows import KeyedRows, Part, PutOut, Row, Timing, part
from huntbeam.transforms.windows import Counting, Finisher, Group
from tests.conftest import examples
from tests.transforms.test_windows import Row as Counted
from tests.transforms.test_windows import count, row

TIMING = Timing(size=5 * MINUTE, grace=MINUTE, allowed_lateness=10 * MINUTE)
SIZE, GRACE, LATENESS = TIMING.size, TIMING.grace, TIMING.allowed_lateness
EARLY = msgspec.structs.replace(TIMING, early=30 * SECOND)
NOON = 1_800_000_000_000  # a window begins here
CLOSE = NOON + SIZE + GRACE  # and is put out here, when its first event came in time
END = NOON + 400 * DAY
COUNTERS = (NETWORK_DESTINATION, Counter(name="by_host", event_id=3, key=("host",), distinct=("src_port",)))
ONE = COUNTERS[1:]


@dataclass(frozen=True)
class Event:
    """A row and when it came."""

    a: int
    row: Counted
    partition: int = 0


def event(a: int, time: int = NOON, port: int = 1, host: str = "ws-7", partition: int = 0) -> Event:
    shaped = msgspec.structs.replace(_connect(), event_date_creation=instant(time), src_port=port, host=host)
    return Event(a, shaped, partition)


@cache
def _connect() -> Counted:
    return row()


class Out(NamedTuple):
    """A row, and where the timer stood that put it out."""

    at: int
    row: WindowCount


class Driver:
    """A runner in miniature: bundles of events, a timer a row, snapshots."""

    def __init__(self, timing: Timing, counters: Sequence[Counter] = COUNTERS) -> None:
        self.counters = counters
        self.core = KeyedRows(Finisher(counters, timing.size), timing)
        self.state: dict[Group, Row] = {}
        self.out: list[Out] = []
        self.late = 0

    def bundle(self, events: Iterable[Event]) -> None:
        for group, parts in self.counted(events).items():
            self.state[group] = self.core.on_parts(self.state.get(group), group, parts)

    def counted(self, events: Iterable[Event]) -> dict[Group, list[Part]]:
        brought: dict[Group, list[Part]] = {}
        for one in events:
            counting = Counting(self.counters, self.core.timing.size)
            counting.add([one.row])
            for counted in counting.take():
                brought.setdefault(counted.group(), []).append(part(one.a, counted))
        return brought

    def advance(self, watermark: int) -> None:
        """Fires every timer up to the watermark, in time order, those that timers set included."""
        due = [(self.core.due(one, group), group) for group, one in self.state.items()]
        heapq.heapify(due)
        while due and due[0][0] <= watermark:
            at, group = heapq.heappop(due)
            one = self.state[group]
            for out in self.core.on_due(one, group, at):
                self.put_out(at, out)
            if one.parts:
                heapq.heappush(due, (self.core.due(one, group), group))
            else:
                del self.state[group]

    def put_out(self, at: int, out: PutOut) -> None:
        self.out.append(Out(at, out.row))
        self.late += out.newly_late


class Crash(NamedTuple):
    """State is saved after so many bundles, lost after so many more, and restored; then `reading` goes on."""

    saved: int
    lost: int
    reading: list[int]


def stream(
    events: Sequence[Event],
    timing: Timing = TIMING,
    reading: Sequence[int] = (),
    skew: int = 0,
    crash: Crash | None = None,
    counters: Sequence[Counter] = COUNTERS,
    kind: type[Driver] = Driver,
) -> Driver:
    """Runs a core. Each number of `reading` says which partition is read, how much, and whether timers fire."""
    driver = kind(timing, counters)
    left = {
        p: sorted((e for e in events if e.partition == p), key=lambda e: e.a) for p in {e.partition for e in events}
    }
    choices = [*reading, *[0] * len(events)]
    saved: tuple[Any, ...] = ()
    bundles = 0
    while any(left.values()):
        if crash and bundles == crash.saved:
            saved = copy.deepcopy((left, driver.state))
        if crash and bundles == crash.saved + crash.lost:
            left, driver.state = copy.deepcopy(saved)
            choices, crash = [*crash.reading, *[0] * len(events)], None
            continue
        choice = choices.pop(0)
        driver.bundle(read(left, choice, skew))
        bundles += 1
        if choice % 3 < 2 and any(left.values()):  # else the timers are late
            driver.advance(min(q[0].a for q in left.values() if q))
    driver.advance(END)
    return driver


def read(left: dict[int, list[Event]], choice: int, skew: int) -> list[Event]:
    """Takes the next events of a partition; none is read more than `skew` before what is left of another."""
    slowest = min(queue[0].a for queue in left.values() if queue)
    allowed = [queue for _, queue in sorted(left.items()) if queue and queue[0].a <= slowest + skew]
    queue = allowed[choice % len(allowed)]
    taken = [queue.pop(0)]
    while choice >= 6 and queue and queue[0].a <= slowest + skew:
        taken.append(queue.pop(0))
    return taken


# What the rules say ---------------------------------------------------------------------------------------------------


def groups(events: Iterable[Event], counter: Counter) -> list[list[Event]]:
    """The events of each row of one counter, by arrival."""
    found: dict[str, list[Event]] = {}
    for one in sorted(events, key=lambda e: e.a):
        (made,) = count([one.row], (counter,), SIZE)
        found.setdefault(made.event_uid, []).append(one)
    return list(found.values())


def closing(first: Event, timing: Timing) -> int:
    """Rule 11's c, word by word."""
    window_end = (millis(first.row.event_date_creation or "") // timing.size + 1) * timing.size
    if first.a < window_end <= first.a + timing.size:
        return timing.grace + window_end
    return timing.grace + first.a + timing.size


def generations(members: Sequence[Event], timing: Timing) -> list[list[Event]]:
    """Rule 13's, of the events of one row by arrival."""
    found: list[list[Event]] = []
    for one in members:
        if not found or one.a > closing(found[-1][0], timing) + timing.allowed_lateness:
            found.append([])
        found[-1].append(one)
    return found


def naive(members: Sequence[Event], timing: Timing, counter: Counter, until: int = END) -> WindowCount:
    """The row of one generation: what replay makes of its events that came up to `until`."""
    (made,) = count([e.row for e in members if e.a <= until], (counter,), timing.size)
    late = sum(closing(members[0], timing) < e.a <= until for e in members)
    generation = (members[0].a - millis(made.window_start)) // timing.allowed_lateness
    return msgspec.structs.replace(made, generation=generation, late_count=late)


def expected(events: Sequence[Event], timing: Timing) -> list[WindowCount]:
    return ordered(
        naive(generation, timing, counter)
        for counter in COUNTERS
        for members in groups(events, counter)
        for generation in generations(members, timing)
    )


def expected_times(members: Sequence[Event], timing: Timing, before: int = 0) -> list[int]:
    """When one generation is put out, if every event is read and every timer fires in time.

    `before` is when the state of the generation before it ends: early rows wait for that.
    """
    c = closing(members[0], timing)
    times: list[int] = []
    for one in members:
        if one.a <= c and timing.early is not None and (not times or one.a > times[-1]):
            times.append(min(max(one.a + timing.early, before), c))
    if not times or any(times[-1] < e.a <= c for e in members):
        times.append(c)
    for one in members:
        if one.a > max(c, times[-1]):
            times.append(one.a + timing.grace)
    return times


def expected_out(members: Sequence[Event], timing: Timing, counter: Counter) -> list[Out]:
    out, before = [], 0
    for generation in generations(members, timing):
        times = expected_times(generation, timing, before)
        out += [Out(at + 1, naive(generation, timing, counter, at)) for at in times]
        before = closing(generation[0], timing) + timing.allowed_lateness + timing.grace
    return out


def ordered(rows: Iterable[WindowCount]) -> list[WindowCount]:
    return sorted(rows, key=lambda one: (one.event_uid, one.generation))


def valid(out: Iterable[Out]) -> list[WindowCount]:
    """Of the copies of a row those with the highest count, as readers take them.

    These do not differ. Copies before them may: after a crash as many events are read in another order.
    """
    copies: dict[tuple[str, int | None], list[WindowCount]] = {}
    for _, one in out:
        copies.setdefault((one.event_uid, one.generation), []).append(one)
    best = []
    for rows in copies.values():
        most = max(one.count for one in rows)
        first, *others = [one for one in rows if one.count == most]
        assert all(one == first for one in others)
        best.append(first)
    return ordered(best)


# Properties -----------------------------------------------------------------------------------------------------------


@st.composite
def events(draw: st.DrawFn, spread: int = HOUR) -> list[Event]:
    """Events of a few windows up to 30 days off, a few of them more than once."""
    steps = st.sampled_from([0, 1, GRACE, SIZE, SIZE + GRACE, LATENESS, LATENESS + SIZE + GRACE])
    near = st.lists(steps, max_size=3).map(lambda steps: min(sum(steps), spread)) | st.integers(0, spread)
    windows = draw(st.lists(st.sampled_from([-30 * DAY, -SIZE, 0, SIZE, HOUR, 30 * DAY]), min_size=1, max_size=3))
    found = []
    for _ in range(draw(st.integers(1, 14))):
        time = NOON + draw(st.sampled_from(windows)) + draw(st.integers(0, SIZE - 1))
        port, host = draw(st.integers(0, 3)), draw(st.sampled_from(["ws-7", "WS-7"]))
        arrivals = draw(st.lists(st.tuples(near, st.integers(-1, 1), st.integers(0, 1)), min_size=1, max_size=2))
        found += [event(NOON + at + shift, time, port, host, partition) for at, shift, partition in arrivals]
    return found


readings = st.lists(st.integers(0, 11), max_size=30)
timings = st.sampled_from([TIMING, EARLY, msgspec.structs.replace(TIMING, early=1)])
crashes = st.none() | st.builds(Crash, st.integers(0, 12), st.integers(0, 12), readings)


@settings(max_examples=examples(200), deadline=None)
@given(events(), timings, readings, st.sampled_from([0, GRACE, HOUR]), crashes)
def test_rows_are_those_of_the_rules_whatever_the_order_of_reading(
    found: list[Event], timing: Timing, reading: list[int], skew: int, crash: Crash | None
) -> None:
    driver = stream(found, timing, reading, skew, crash)
    assert valid(driver.out) == expected(found, timing)
    assert not driver.state


@settings(max_examples=examples(200), deadline=None)
@given(events(), timings, readings, crashes)
def test_generations_add_up_to_replay(
    found: list[Event], timing: Timing, reading: list[int], crash: Crash | None
) -> None:
    sums: dict[str, list[WindowCount]] = {}
    for one in valid(stream(found, timing, reading, HOUR, crash).out):
        sums.setdefault(one.event_uid, []).append(one)
    replay = {one.event_uid: one for one in count([e.row for e in found], COUNTERS, SIZE)}
    assert sums.keys() == replay.keys()
    for event_uid, rows in sums.items():
        whole = replay[event_uid]
        assert sum(one.count for one in rows) == whole.count
        assert min(one.first_seen for one in rows) == whole.first_seen
        assert max(one.last_seen for one in rows) == whole.last_seen
        assert min(str(one.key["host"]) for one in rows) == whole.key["host"]
        most = {name: sum(one.distinct[name] for one in rows) for name in whole.distinct}
        assert all(max(one.distinct[n] for one in rows) <= whole.distinct[n] <= most[n] for n in most)


@settings(max_examples=examples(200), deadline=None)
@given(events(spread=SIZE), timings, readings, crashes)
def test_stream_equals_replay_when_a_windows_events_come_in_time(
    found: list[Event], timing: Timing, reading: list[int], crash: Crash | None
) -> None:
    shown = valid(stream(found, timing, reading, LATENESS, crash).out)
    plain = [msgspec.structs.replace(one, generation=None, late_count=0) for one in shown]
    assert plain == count([e.row for e in found], COUNTERS, SIZE)


@settings(max_examples=examples(200), deadline=None)
@given(events(), timings)
def test_each_row_is_put_out_when_the_rules_say_and_not_more_often(found: list[Event], timing: Timing) -> None:
    driver = stream(found, timing, counters=ONE)
    in_time = [one for members in groups(found, ONE[0]) for one in expected_out(members, timing, ONE[0])]
    by_time = sorted(in_time, key=lambda out: (out.row.event_uid, out.at))
    assert sorted(driver.out, key=lambda out: (out.row.event_uid, out.at)) == by_time
    assert driver.late == sum(one.late_count for one in valid(driver.out))


@settings(max_examples=examples(200), deadline=None)
@given(events(), timings, readings)
def test_late_timers_make_fewer_rows_never_more_and_none_without_a_change(
    found: list[Event], timing: Timing, reading: list[int]
) -> None:
    driver = stream(found, timing, reading, GRACE)
    copies: dict[tuple[str, int | None], list[int]] = {}
    for _, one in driver.out:
        copies.setdefault((one.event_uid, one.generation), []).append(one.count)
    for counts in copies.values():
        assert counts == sorted(set(counts))
    for one in valid(driver.out):
        if timing.early is None:
            assert len(copies[one.event_uid, one.generation]) <= 1 + one.late_count
    assert driver.late == sum(one.late_count for one in valid(driver.out))


# Examples -------------------------------------------------------------------------------------------------------------


def puts(*events: Event, timing: Timing = TIMING) -> list[tuple[int, int, int, int | None]]:
    """When the one row was put out, its count, its late_count and its generation."""
    driver = stream(events, timing, counters=ONE)
    return [(at, one.count, one.late_count, one.generation) for at, one in driver.out]


@pytest.mark.parametrize(
    ("a0", "expected_closing"),
    [
        (NOON, CLOSE),
        (NOON + SIZE - 1, CLOSE),
        (NOON + SIZE, NOON + 2 * SIZE + GRACE),  # the window is over: it waits as long as a window
        (NOON - 1, NOON - 1 + SIZE + GRACE),  # a clock ahead: the stream's does not come to the window's end
        (NOON - 30 * DAY, NOON - 30 * DAY + SIZE + GRACE),
        (NOON + 30 * DAY, NOON + 30 * DAY + SIZE + GRACE),
    ],
)
def test_when_a_row_is_put_out(a0: int, expected_closing: int) -> None:
    assert TIMING.closing(NOON, a0) == expected_closing == closing(event(a0), TIMING)
    assert puts(event(a0))[0][0] == expected_closing + 1


def test_a_row_is_put_out_by_the_clock_alone_and_forgotten_when_its_state_ends() -> None:
    driver = Driver(TIMING, ONE)
    driver.bundle([event(NOON)])
    driver.advance(CLOSE)
    assert driver.out == []
    driver.advance(CLOSE + 1)
    assert [one.count for _, one in driver.out] == [1]
    driver.advance(CLOSE + LATENESS + GRACE)
    assert len(driver.state) == 1
    driver.advance(CLOSE + LATENESS + GRACE + 1)
    assert (driver.state, len(driver.out)) == ({}, 1)


def test_an_event_at_the_closing_is_in_time_and_one_after_it_late() -> None:
    assert puts(event(NOON), event(CLOSE)) == [(CLOSE + 1, 2, 0, 0)]
    assert puts(event(NOON), event(CLOSE + 1)) == [(CLOSE + 1, 1, 0, 0), (CLOSE + 1 + GRACE + 1, 2, 1, 0)]


def test_one_further_putting_out_is_for_all_that_are_late_within_the_grace() -> None:
    late = [event(CLOSE + 1), event(CLOSE + 2), event(CLOSE + 1 + GRACE), event(CLOSE + 2 + GRACE)]
    assert puts(event(NOON), *late) == [
        (CLOSE + 1, 1, 0, 0),
        (CLOSE + 2 + GRACE, 4, 3, 0),
        (CLOSE + 3 + 2 * GRACE, 5, 4, 0),
    ]


def test_an_event_after_the_allowed_lateness_begins_a_generation() -> None:
    last = CLOSE + LATENESS
    assert puts(event(NOON), event(last)) == [(CLOSE + 1, 1, 0, 0), (last + GRACE + 1, 2, 1, 0)]
    again = last + 1 + SIZE + GRACE
    assert puts(event(NOON), event(last + 1)) == [(CLOSE + 1, 1, 0, 0), (again + 1, 1, 0, 1)]


def test_what_is_due_of_a_generation_is_put_out_before_the_next_though_its_timer_is_late() -> None:
    driver = Driver(TIMING, ONE)
    driver.bundle([event(CLOSE + LATENESS + 1), event(CLOSE + LATENESS), event(CLOSE + HOUR), event(NOON)])
    driver.advance(END)
    shown = [(one.count, one.late_count, one.generation) for _, one in driver.out]
    assert shown == [(2, 1, 0), (1, 0, 1), (1, 0, 6)]


def test_of_events_read_out_of_order_the_smallest_arrival_counts() -> None:
    driver = Driver(TIMING, ONE)
    late = NOON + 3 * SIZE
    driver.bundle([event(late)])
    driver.bundle([event(late - SIZE)])
    driver.advance(late + GRACE)
    assert driver.out == []
    driver.advance(late + GRACE + 1)
    assert [(one.count, one.late_count) for _, one in driver.out] == [(2, 0)]


def test_what_was_read_before_an_earlier_generation_is_not_lost() -> None:
    driver = Driver(TIMING, ONE)
    driver.bundle([event(NOON + HOUR)])
    driver.bundle([event(NOON)])
    driver.advance(END)
    assert [(one.count, one.generation) for _, one in driver.out] == [(1, 0), (1, 6)]


def test_an_event_that_comes_behind_the_clock_does_not_change_the_generation() -> None:
    driver = Driver(TIMING, ONE)
    late = NOON + 5 * LATENESS
    driver.bundle([event(late)])
    driver.advance(late + SIZE + GRACE + 1)
    driver.bundle([event(late - 2 * LATENESS)])
    driver.advance(END)
    assert [(one.count, one.generation) for _, one in driver.out] == [(1, 5), (2, 5)]


def test_a_new_generation_never_takes_the_number_of_the_old() -> None:
    driver = Driver(TIMING, ONE)
    end = CLOSE + LATENESS
    driver.bundle([event(NOON), event(end + 1)])
    driver.advance(end + GRACE + 1)
    driver.bundle([event(NOON)])  # long after its time: it is counted where the row is now
    driver.advance(END)
    assert [(one.count, one.generation) for _, one in driver.out] == [(1, 0), (2, 1)]


def test_early_rows() -> None:
    early = 30 * SECOND
    assert puts(event(NOON), event(NOON + 1), event(CLOSE - 1), timing=EARLY) == [
        (NOON + early + 1, 2, 0, 0),
        (CLOSE + 1, 3, 0, 0),
    ]
    assert puts(event(NOON), timing=EARLY) == [(NOON + early + 1, 1, 0, 0)]  # unchanged at the closing
    assert puts(event(NOON), event(CLOSE + 1), timing=EARLY)[1:] == [(CLOSE + GRACE + 2, 2, 1, 0)]


def test_an_early_row_just_before_the_closing_leaves_the_last_millisecond_its_events() -> None:
    found = [event(CLOSE - 1 - 30 * SECOND), event(CLOSE)]
    assert puts(event(NOON), *found, timing=EARLY)[1:] == [(CLOSE, 2, 0, 0), (CLOSE + 1, 3, 0, 0)]


def test_a_timer_that_nothing_is_left_for_does_nothing() -> None:
    driver = Driver(TIMING, ONE)
    driver.bundle([event(NOON)])
    ((group, one),) = driver.state.items()
    assert list(driver.core.on_due(one, group, NOON)) == []
    assert driver.core.due(one, group) == CLOSE + 1


@pytest.mark.parametrize(("step", "left"), [(1, 1), (2 * LATENESS, 300)])  # one generation, and each part its own
def test_merged_parts_are_one_for_each_generation(step: int, left: int) -> None:
    driver = Driver(TIMING, ONE)
    driver.bundle([event(NOON + number * step, port=number) for number in range(300)])
    ((group, one),) = driver.state.items()
    driver.core.merge(one, group)
    assert len(one.parts) == left
    driver.advance(END)
    assert len(driver.out) == left
    assert driver.out[0].row.distinct == {"src_port": 300 // left}
