"""Correlations of the stream against replay: in any order of reading, with late timers, crashes and drifted clocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from huntbeam.schemas.clock import DAY, SECOND
from huntbeam.schemas.correlation import Correlation, CorrelationAlert, CorrelationType, GroupKey, Hit
from huntbeam.transforms.correlation.evaluate import evaluate
from huntbeam.transforms.correlation.hits import alert_hits
from huntbeam.transforms.correlation.keyed import ENTRY, PATIENCE, Arrived, CorrelationCore, GroupState
from huntbeam.transforms.correlation.known import FixedCorrelations
from huntbeam.transforms.keyed_log import HEAD, PutOut
from tests.conftest import examples
from tests.transforms.correlation.test_evaluate import GROUP, SPAN, correlation, correlations, hit, values
from tests.transforms.keyed import END, NOON, Brought, Cell, Crash, Driver, stream, valid

LATENESS = 20 * SECOND
KEEP = SPAN + LATENESS
WAIT = 3 * SECOND
PAIR = correlation(CorrelationType.EVENT_COUNT, ("gte", 2))
KEY = GroupKey("c-1", "", GROUP)
FEW = correlation(CorrelationType.EVENT_COUNT, ("lte", 2))


def core(asked: Correlation, most: int = 10_000) -> CorrelationCore:
    return CorrelationCore(FixedCorrelations([asked]), WAIT, LATENESS, most)


def brought(a: int, hit: Hit, partition: int = 0, **others: Any) -> Brought:
    return Brought(KEY, Arrived(NOON + a, hit, **others), partition)


def run(asked: Correlation, found: Sequence[Brought], *how: Any, most: int = 10_000, **watch: Any) -> Driver:
    return stream(Driver(core(asked, most).log(), **watch), found, *how)


def plain(rows: Sequence[CorrelationAlert]) -> list[CorrelationAlert]:
    return sorted((msgspec.structs.replace(row, revision=0) for row in rows), key=lambda row: row.event_uid)


def replay(asked: Correlation, found: Sequence[Brought]) -> list[CorrelationAlert]:
    return plain(evaluate(asked, GROUP, [one.item.hit for one in found]))


def premise(found: Sequence[Brought]) -> bool:
    """Events within one timespan arrive within the time for which events are kept."""
    items = [one.item for one in found]
    return all(abs(x.a - y.a) <= KEEP for x in items for y in items if abs(x.hit.time_ms - y.hit.time_ms) <= SPAN)


# Properties -----------------------------------------------------------------------------------------------------------

STEPS = st.sampled_from([0, 1, SPAN // 2, SPAN - 1, SPAN, SPAN + 1, 2 * SPAN])
NOISE = st.sampled_from([0, 0, WAIT, WAIT + 1, LATENESS // 2, LATENESS - 1, LATENESS])


@st.composite
def arrivals(draw: st.DrawFn, asked: Correlation, most: int = 14) -> list[Brought]:
    """Chains of events whose clock goes along with the stream's, against it, or stands still, up to 30 days off."""
    found: list[Brought] = []
    for chain in range(draw(st.integers(1, 3))):
        clock, direction = chain * 30 * DAY * draw(st.sampled_from([0, 1])), draw(st.sampled_from([1, 1, 1, 0, -1]))
        start, time = draw(st.integers(0, 8 * SPAN)), 0
        for number in range(draw(st.integers(0, most // (chain + 1)))):
            time += draw(STEPS)
            rules = draw(st.lists(st.sampled_from(["one", "two", "three"]), min_size=1, max_size=2, unique=True))
            for rule in rules:
                one = hit(clock + time, f"{chain}-{number:02}", rule, draw(values(asked)))
                for _ in range(draw(st.sampled_from([1, 1, 2]))):
                    a = start + (direction * time) + (20 * SPAN if direction < 0 else 0) + draw(NOISE)
                    found.append(brought(a, one, draw(st.integers(0, 1))))
    return found


@st.composite
def cases(draw: st.DrawFn) -> tuple[Correlation, list[Brought]]:
    asked = draw(correlations())
    return asked, draw(arrivals(asked))


readings = st.lists(st.integers(0, 11), max_size=30)
skews = st.sampled_from([0, WAIT, KEEP, 40 * SPAN])
crashes = st.none() | st.builds(Crash, st.integers(0, 20), st.integers(0, 12), readings)


@settings(max_examples=examples(150), deadline=None)
@given(cases(), readings, skews, crashes)
def test_stream_equals_replay_in_any_order_of_reading(
    case: tuple[Correlation, list[Brought]], reading: list[int], skew: int, crash: Crash | None
) -> None:
    asked, found = case
    assume(premise(found))
    driver = run(asked, found, reading, skew, crash)
    assert plain(valid(driver.out)) == replay(asked, found)
    assert not driver.cells


@settings(max_examples=examples(150), deadline=None)
@given(cases(), readings, skews, crashes)
def test_rows_depend_neither_on_the_order_of_reading_nor_on_a_crash(
    case: tuple[Correlation, list[Brought]], reading: list[int], skew: int, crash: Crash | None
) -> None:
    asked, found = case
    in_order = run(asked, found).out
    once = list(dict.fromkeys(msgspec.json.encode(out) for out in run(asked, found, reading, skew, crash).out))
    assert sorted(once) == sorted(msgspec.json.encode(out) for out in in_order)


@settings(max_examples=examples(150), deadline=None)
@given(cases(), readings)
def test_revisions_count_up_and_nothing_is_put_out_unchanged(
    case: tuple[Correlation, list[Brought]], reading: list[int]
) -> None:
    asked, found = case
    assume(premise(found))
    last: dict[str, CorrelationAlert] = {}
    for _, row in run(asked, found, reading, WAIT).out:
        before = last.get(row.event_uid)
        assert row.revision == (0 if before is None else before.revision + 1)
        assert before is None or msgspec.structs.replace(row, revision=before.revision) != before
        assert not (row.retracted and (before is None or before.retracted))
        assert (row.events == 0) == row.retracted
        last[row.event_uid] = row


def kept(cell: Cell) -> tuple[list[Arrived], GroupState]:
    """All hits of a cell, and its state."""
    logged = [ENTRY.unpack(entry) for entry in cell.entries]
    state = next((entry.state for entry in logged if entry.state is not None), GroupState())
    return [*state.kept, *(one for entry in logged for one in entry.brought)], state


@settings(max_examples=examples(150), deadline=None)
@given(cases(), readings, skews, st.integers(0, 12))
def test_a_group_keeps_a_bounded_number_of_everything(
    case: tuple[Correlation, list[Brought]], reading: list[int], skew: int, most: int
) -> None:
    def watch(cell: Cell) -> None:
        hits, state = kept(cell)
        assert len(hits) <= most + most // 8
        assert len(state.runs) <= 2 * max(len(hits), most)
        assert sum(not one.shown.retracted for one in state.alerts.values()) <= 2 * max(len(hits), most)
        assert cell.known is None or HEAD.unpack(cell.known).items == len(hits)

    asked, found = case
    driver = run(asked, found, reading, skew, most=most, watch=watch)
    assert not driver.cells


# Examples -------------------------------------------------------------------------------------------------------------


def told(out: Sequence[PutOut[CorrelationAlert]]) -> list[tuple[int, str, int, bool, int]]:
    """When what was put out: the time of the first satisfied event, revision, retracted, events."""
    return [(at - NOON, row.time[17:23], row.revision, row.retracted, row.events) for at, row in out]


def test_a_group_is_evaluated_a_while_after_an_event_came() -> None:
    driver = run(PAIR, [brought(0, hit(0, "a")), brought(5, hit(5, "b"))])
    assert told(driver.out) == [(WAIT + 1, "00.005", 0, False, 2)]


def test_a_run_that_grows_is_put_out_again_under_its_id() -> None:
    found = [brought(n * SPAN // 2, hit(n * SPAN // 2, str(n))) for n in range(4)]
    out = run(PAIR, found).out
    assert [(row.revision, row.events) for _, row in out] == [(0, 2), (1, 3), (2, 4)]
    assert len({row.event_uid for _, row in out}) == 1


def test_an_earlier_event_that_comes_late_takes_an_alert_back() -> None:
    found = [brought(0, hit(8, "b")), brought(1, hit(9, "c")), brought(2 * WAIT, hit(7, "a"))]
    assert told(run(PAIR, found).out) == [
        (WAIT + 1, "00.009", 0, False, 2),
        (3 * WAIT + 1, "00.009", 1, True, 0),
        (3 * WAIT + 1, "00.008", 0, False, 3),
    ]


def test_what_was_taken_back_may_hold_again() -> None:
    """At most 2 in the window: two earlier events begin another run, until they are taken back."""
    found = [brought(0, hit(5, "c"))]
    for n, name in enumerate("ab"):
        found.append(brought(2 * WAIT, hit(n, name)))
        found.append(brought(4 * WAIT, hit(n, name), revision=1, retracted=True))
    assert told(run(FEW, found).out) == [
        (WAIT + 1, "00.005", 0, False, 1),
        (3 * WAIT + 1, "00.005", 1, True, 0),
        (3 * WAIT + 1, "00.000", 0, False, 2),
        (5 * WAIT + 1, "00.000", 1, True, 0),
        (5 * WAIT + 1, "00.005", 2, False, 1),
    ]


def test_a_run_without_end_keeps_the_hits_of_its_last_while_and_counts_all() -> None:
    most = 0

    def watch(cell: Cell) -> None:
        nonlocal most
        hits, state = kept(cell)
        most = max(most, len(hits))
        assert len(state.runs) <= 1
        assert len(state.alerts) <= 1

    driver = run(PAIR, [brought(n * SECOND, hit(n * SECOND, f"{n:03}")) for n in range(300)], watch=watch)
    assert most <= (KEEP + WAIT) // SECOND + 2
    (row,) = valid(driver.out)
    assert row.events == 300
    assert row.event_uids == [f"{n:03}" for n in range(100)]


def test_alerts_that_can_change_no_more_are_forgotten() -> None:
    """One pair after the other, each too late for the alert before."""

    def watch(cell: Cell) -> None:
        _, state = kept(cell)
        assert len(state.alerts) <= 1 + KEEP // (2 * SPAN) + 1

    found = [brought(n * 2 * SPAN + k, hit(n * 2 * SPAN + k, f"{n:03}{k}")) for n in range(40) for k in range(2)]
    driver = run(PAIR, found, watch=watch)
    assert len(valid(driver.out)) == 40


def test_of_too_many_hits_the_oldest_go_and_the_alert_says_so() -> None:
    found = [brought(n, hit(n, f"{n:03}")) for n in range(40)]
    (row,) = valid(run(PAIR, found, most=16).out)
    assert row.truncated
    assert 16 <= row.events < 40
    (whole,) = valid(run(PAIR, found, most=40).out)
    assert (whole.truncated, whole.events) == (False, 40)


def test_a_flood_takes_no_alert_back() -> None:
    pair = [brought(n, hit(n, f"a{n}")) for n in range(2)]
    flood = [brought(2 * WAIT + n, hit(DAY + n * SPAN, f"b{n:03}")) for n in range(40)]
    driver = run(PAIR, [*pair, *flood], [0, 0, 6, *[2] * 40], 40, most=16)
    assert [(row.event_uids, row.truncated) for row in valid(driver.out)] == [(["a0", "a1"], True)]
    assert not any(row.retracted for _, row in driver.out)


def test_copies_of_one_hit_take_the_room_of_two() -> None:
    found = [brought(n, hit(0, "a")) for n in range(100)] + [brought(100, hit(1, "b"))]
    (row,) = valid(run(PAIR, found, most=8).out)
    assert (row.truncated, row.events) == (False, 2)


def test_an_event_after_its_time_finds_nothing_and_disturbs_nothing() -> None:
    early = [brought(0, hit(0, "a")), brought(0, hit(1, "b"))]
    late = brought(KEEP + 10 * SPAN, hit(2, "c"))
    assert run(PAIR, [*early, late]).out == run(PAIR, early).out


def test_an_event_is_kept_to_the_last_millisecond() -> None:
    """The pair is evaluated just when the first of it may be given up, because of an event far away."""
    found = [brought(0, hit(0, "a")), brought(KEEP - WAIT - 1, hit(DAY, "x")), brought(KEEP, hit(1, "b"))]
    assert [row.event_uids for row in valid(run(PAIR, found).out)] == [["a", "b"]]


def test_a_copy_of_an_event_whose_window_has_lost_some_is_not_looked_at_anew() -> None:
    alone = correlation(CorrelationType.EVENT_COUNT, ("lt", 2))
    found = [brought(0, hit(0, "a")), brought(KEEP, hit(1, "b"))]
    found += [brought(KEEP + 2 * WAIT, hit(DAY, "x")), brought(KEEP + 4 * WAIT, hit(1, "b"))]
    rows = valid(run(alone, found).out)
    assert [row.event_uids for row in rows] == [["a"], ["x"]]


def test_state_of_an_earlier_run_is_read() -> None:
    """What stands in savepoints; a change needs a new version (transforms/state.py)."""
    packed = (
        "0192949295cf000001a3185c500094cf000001a3185c5000a161a36f6e65c000c2c2"
        "95cf000001a3185c500094cf000001a3185c5001a162a36f6e65cb400400000000000000c2c290"
        "81d920313064333663386536343463656533303830343562303239306564326538343692cf000001a3185c5001"
        "93c40c53f3c9528da8995c516d1ea700c2c090"
    )
    driver = Driver(core(PAIR).log())
    driver.bundle([brought(0, hit(0, "a")), brought(0, hit(1, "b", value=2.5))])
    driver.advance(NOON + WAIT + 1)
    (cell,) = driver.cells.values()
    assert ENTRY.unpack(bytes.fromhex(packed)) == ENTRY.unpack(cell.entries[0])


# A correlation of correlations ----------------------------------------------------------------------------------------


def outer() -> Correlation:
    asked = correlation(CorrelationType.TEMPORAL_ORDERED, rules=("c-1", "login"))
    return msgspec.structs.replace(asked, rule_id="c-2", timespan_ms=2 * SPAN)


def for_outer(a: int, hit: Hit, **others: Any) -> Brought:
    return brought(a, hit, **others)._replace(key=KEY._replace(rule_id="c-2"))


def feed(asked: Correlation, out: Sequence[PutOut[CorrelationAlert]]) -> list[Brought]:
    """Alerts as hits of another correlation, arriving when they are put out."""
    return [
        Brought(grouped.key, Arrived(at, grouped.hit, grouped.revision, grouped.retracted))
        for at, row in out
        for grouped in alert_hits(asked, row)
    ]


@settings(max_examples=examples(100), deadline=None)
@given(st.data(), readings, skews)
def test_an_alert_is_an_event_of_another_correlation(data: st.DataObject, reading: list[int], skew: int) -> None:
    inner, above = data.draw(st.sampled_from([PAIR, FEW])), outer()
    found = data.draw(arrivals(inner, most=10))
    assume(premise(found))
    logins = [
        for_outer(one.item.a - NOON, hit(one.item.hit.time_ms - NOON + 1, f"l{n}", "login"))
        for n, one in enumerate(found[::3])
    ]
    alerts = evaluate(inner, GROUP, [one.item.hit for one in found])
    hits = [grouped.hit for row in alerts for grouped in alert_hits(above, row)]
    expected = plain(evaluate(above, GROUP, [*hits, *(one.item.hit for one in logins)]))
    fed = feed(above, run(inner, found).out) + logins
    patient = CorrelationCore(FixedCorrelations([above]), WAIT, 40 * SPAN)
    driver = stream(Driver(patient.log()), fed, reading, skew)
    assert plain(valid(driver.out)) == expected


def test_many_failures_and_then_a_login() -> None:
    above = outer()
    failures = [brought(n, hit(n, f"f{n}")) for n in range(2)]
    (alert,) = evaluate(PAIR, GROUP, [one.item.hit for one in failures])
    (grouped,) = alert_hits(above, alert)
    assert (grouped.key.group, grouped.hit) == (GROUP, Hit(NOON + 1, alert.event_uid, "c-1"))
    fed = [*feed(above, run(PAIR, failures).out), for_outer(2, hit(2, "login", "login"))]
    (row,) = valid(stream(Driver(core(above).log()), fed).out)
    assert row.event_uids == [alert.event_uid, "login"]


@pytest.mark.parametrize("back", [False, True])
def test_an_alert_that_is_taken_back_is_no_event(back: bool) -> None:
    above, one = outer(), Hit(NOON, "alert", "c-1")
    found = [for_outer(0, one), for_outer(0, hit(1, "login", "login"))]
    found += [for_outer(WAIT * 2, one, revision=1, retracted=True)] if back else []
    driver = stream(Driver(core(above).log()), found)
    assert [row.retracted for _, row in driver.out] == ([False, True] if back else [False])


# Rules that change ----------------------------------------------------------------------------------------------------


class Changing:
    """Known whose correlations are others from some moment on."""

    ruleset = "r"

    def __init__(self) -> None:
        self.now: list[Correlation] = []

    def find(self, rule_id: str, version: str) -> Correlation | None:
        return FixedCorrelations(self.now).find(rule_id, version)

    def naming(self, rule_id: str, version: str) -> Sequence[Correlation]:
        return ()

    def timespan_ms(self, rule_id: str) -> int:
        return 0


def test_a_correlation_that_a_worker_has_not_yet_is_waited_for() -> None:
    known = Changing()
    driver = Driver(CorrelationCore(known, WAIT, LATENESS).log())
    driver.bundle([brought(0, hit(0, "a"))])
    driver.advance(NOON + 2 * WAIT)
    driver.bundle([brought(2 * WAIT, hit(1, "b"))])
    assert driver.out == []
    known.now = [PAIR]
    driver.advance(END)
    assert [row.event_uids for _, row in driver.out] == [["a", "b"]]
    assert not driver.cells


def test_a_correlation_that_is_gone_leaves_nothing_behind() -> None:
    known = Changing()
    known.now = [PAIR]
    driver = Driver(CorrelationCore(known, WAIT, LATENESS).log())
    driver.bundle([brought(0, hit(0, "a"))])
    driver.advance(NOON + WAIT + 1)
    known.now = [msgspec.structs.replace(PAIR, version="another")]
    driver.bundle([brought(2 * WAIT, hit(1, "b"))])
    driver.advance(NOON + 2 * WAIT + PATIENCE + 3 * WAIT)
    assert (driver.out, driver.cells) == ([], {})


def test_waiting_for_a_correlation_takes_bounded_room() -> None:
    driver = Driver(CorrelationCore(Changing(), WAIT, LATENESS, most=8).log())
    for n in range(60):
        driver.bundle([brought(n, hit(n, f"{n:02}"))])
    driver.advance(NOON + WAIT + 60)
    (cell,) = driver.cells.values()
    items, state = kept(cell)
    assert len(items) + len(state.kept) <= 2 * 9
