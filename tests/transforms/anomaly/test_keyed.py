"""Anomalies of the stream against replay: window rows in any order, with late copies, generations and crashes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from huntbeam.schemas.anomaly import Anomaly, Deviation
from huntbeam.schemas.clock import MINUTE
from huntbeam.schemas.window import WindowCount
from huntbeam.transforms.anomaly.evaluate import WindowRule, evaluate_all, row_key
from huntbeam.transforms.anomaly.keyed import ENTRY, AnomalyCore, ArrivedRow, KeyState, arrived
from tests.conftest import examples
from tests.transforms.anomaly.test_evaluate import SIZE, counts, deviation, row, rules, threshold
from tests.transforms.keyed import NOON, Brought, Cell, Crash, Driver, stream, valid

LATENESS = 10 * MINUTE
Came = tuple[int, WindowCount, int]  # arrival, row, partition


def core(asked: Sequence[WindowRule], most: int = 5_000) -> AnomalyCore:
    return AnomalyCore(tuple(asked), SIZE, LATENESS, most=most)


def run(asked: Sequence[WindowRule], came: Sequence[Came], *how: Any, most: int = 5_000, **watch: Any) -> Driver:
    found = [Brought(row_key(one), arrived(NOON + a, one), partition) for a, one, partition in came]
    return stream(Driver(core(asked, most).log(), **watch), found, *how)


def plain(rows: Sequence[Anomaly]) -> list[Anomaly]:
    return sorted((msgspec.structs.replace(one, revision=0) for one in rows), key=lambda one: one.event_uid)


def premise(asked: Sequence[WindowRule], came: Sequence[Came]) -> bool:
    """Rows of windows that are in each other's baseline arrive within the time for which rows are kept."""
    keep, reach = core(asked).keep, core(asked).reach
    items = [(a, row_key(one), arrived(0, one).start) for a, one, _ in came]
    return all(abs(a - b) <= keep for a, k, s in items for b, other, t in items if k == other and abs(s - t) <= reach)


@st.composite
def arrivals(draw: st.DrawFn) -> list[Came]:
    """Windows of keys as a stream puts them out: in time, late, ahead, again with more, in generations."""
    came: list[Came] = []
    for _ in range(draw(st.integers(0, 16))):
        number, host = draw(st.integers(0, 12)), draw(st.sampled_from(["ws-7", "WS-7", "ws-8"]))
        clock = draw(st.sampled_from([0, 0, 8640, -8640]))
        count, ports = draw(counts), draw(st.integers(0, 3))
        generation = draw(st.sampled_from([None, None, 0, 1]))
        late = draw(st.sampled_from([0, 0, 1, MINUTE, LATENESS]))
        partition = draw(st.integers(0, 1))
        at = number * SIZE + late
        came.append((at, row(clock + number, count, ports, host, generation), partition))
        if draw(st.booleans()):
            more = row(clock + number, count + draw(st.integers(0, 2)), ports, host, generation)
            came.append((at + draw(st.sampled_from([0, 1, MINUTE])), more, partition))
    return came


asked = st.lists(rules, min_size=1, max_size=2).map(
    lambda found: [msgspec.structs.replace(rule, id=f"r-{n}") for n, rule in enumerate(found)]
)
readings = st.lists(st.integers(0, 11), max_size=30)
skews = st.sampled_from([0, MINUTE, 10 * SIZE])
crashes = st.none() | st.builds(Crash, st.integers(0, 12), st.integers(0, 12), readings)


@settings(max_examples=examples(400), deadline=None)
@given(asked, arrivals(), readings, skews, crashes)
def test_stream_equals_replay_in_any_order_of_reading(
    asked: list[WindowRule], came: list[Came], reading: list[int], skew: int, crash: Crash | None
) -> None:
    assume(premise(asked, came))
    driver = run(asked, came, reading, skew, crash)
    assert plain(valid(driver.out)) == plain(list(evaluate_all(asked, [one for _, one, _ in came], SIZE)))
    assert not driver.cells


@settings(max_examples=examples(200), deadline=None)
@given(asked, arrivals(), readings, skews, crashes)
def test_rows_depend_neither_on_the_order_of_reading_nor_on_a_crash(
    asked: list[WindowRule], came: list[Came], reading: list[int], skew: int, crash: Crash | None
) -> None:
    once = {msgspec.json.encode(out) for out in run(asked, came, reading, skew, crash).out}
    assert once == {msgspec.json.encode(out) for out in run(asked, came).out}


def kept(cell: Cell) -> tuple[list[ArrivedRow], KeyState]:
    logged = [ENTRY.unpack(entry) for entry in cell.entries]
    state = next((entry.state for entry in logged if entry.state is not None), KeyState())
    return [*state.kept, *(one for entry in logged for one in entry.brought)], state


@settings(max_examples=examples(100), deadline=None)
@given(asked, arrivals(), readings, skews, st.integers(1, 8))
def test_a_key_keeps_a_bounded_number_of_rows(
    asked: list[WindowRule], came: list[Came], reading: list[int], skew: int, most: int
) -> None:
    def watch(cell: Cell) -> None:
        rows, state = kept(cell)
        assert len(rows) <= most + most // 8
        windows = {one.start for one in state.kept}
        assert all(shown.keys() <= windows for shown in state.shown.values())

    assert not run(asked, came, reading, skew, most=most, watch=watch).cells


def told(came: Sequence[Came], *rules: WindowRule) -> list[tuple[int, float | None, int, bool]]:
    return [(at - NOON, one.value, one.revision, one.retracted) for at, one in run(rules, came).out]


def test_a_row_is_judged_as_soon_as_it_is_put_out_and_again_when_it_changes() -> None:
    came = [(0, row(0, 6), 0), (MINUTE, row(0, 6), 0), (2 * MINUTE, row(0, 8), 0)]
    assert told(came, threshold(5)) == [(1, 6, 0, False), (2 * MINUTE + 1, 8, 1, False)]


def test_a_late_row_before_it_takes_an_anomaly_back() -> None:
    came = [(0, row(0, 1), 0), (2 * SIZE, row(2, 3), 0), (2 * SIZE + 1, row(1, 9), 0)]
    assert told(came, deviation(windows=2)) == [
        (2 * SIZE + 1, 3, 0, False),
        (2 * SIZE + 2, 9, 0, False),
        (2 * SIZE + 2, 3, 1, True),
    ]


def test_a_window_whose_baseline_was_given_up_in_part_is_not_judged_anew() -> None:
    """5 was usual, by 9 and 1. The 9 is forgotten, and by 1 alone 6 would be an anomaly."""
    rule = deviation(factor=0.01, windows=2)
    keep = core([rule]).keep
    came = [(0, row(0, 9), 0), (keep, row(1, 1), 0), (keep, row(2, 5), 0)]
    later = [(keep + 1, row(8640), 0), (keep + 2, row(2, 6), 0)]
    assert told([*came, *later], rule) == []


def test_a_key_that_goes_on_for_ever_keeps_the_rows_of_its_baseline() -> None:
    rule, most = deviation(windows=6), 0

    def watch(cell: Cell) -> None:
        nonlocal most
        rows, state = kept(cell)
        most = max(most, len(rows), *(len(shown) for shown in state.shown.values()))

    assert isinstance(rule, Deviation)
    run([rule], [(n * SIZE, row(n, 1 + n % 5), 0) for n in range(100)], watch=watch)
    assert most <= core([rule]).keep // SIZE + 2
