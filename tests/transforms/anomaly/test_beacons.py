"""Beacons: against the standard library's statistics, and the stream against replay."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntbeam.schemas import uid
from huntbeam.schemas.anomaly import Anomaly, Beacon, Severity
from huntbeam.schemas.clock import HOUR, MINUTE, SECOND, instant
from huntbeam.schemas.sysmon import NetworkConnect
from huntbeam.transforms.anomaly import beacons as module
from huntbeam.transforms.anomaly.beacons import ENTRY, BeaconCore, HourState, beacons, connect, hour
from tests.conftest import examples
from tests.transforms.keyed import NOON, Brought, Cell, Crash, Driver, stream, valid
from tests.transforms.test_windows import row

RULE = Beacon(id="b-1", name="A beacon", severity=Severity.HIGH)
SHORT = Beacon(id="b-2", name="A short one", severity=Severity.LOW, connects=4, variation=0.25)
RULES = (RULE, SHORT)
Came = tuple[int, NetworkConnect, int]  # arrival, row, partition
_BASE = row()


def made(at: int, host: str = "ws-7", name: str = "", port: int = 443) -> NetworkConnect:
    """A connect; a name makes another of the same millisecond."""
    assert isinstance(_BASE, NetworkConnect)
    time = instant(NOON + at)
    event_uid = uid.digest(time, host.lower(), name, port)
    return msgspec.structs.replace(_BASE, event_date_creation=time, host=host, dst_port=port, event_uid=event_uid)


def every(gap: int, times: int = 12, **others: Any) -> list[NetworkConnect]:
    return [made(n * gap, **others) for n in range(times)]


def naive(rule: Beacon, rows: Sequence[NetworkConnect]) -> dict[tuple[object, ...], float]:
    """Host, port and hour of each beacon, and its variation."""
    hours: dict[tuple[object, ...], dict[str, int]] = {}
    for one in rows:
        of = hour(one)
        assert of is not None
        hours.setdefault((*of.values, of.start), {})[one.event_uid] = connect(0, one).time
    found = {}
    for of_hour, uids in hours.items():
        times = sorted(uids.values())
        gaps = [b - a for a, b in pairwise(times)]
        if len(times) >= rule.connects and sum(gaps):
            variation = statistics.pstdev(gaps) / statistics.mean(gaps)
            if variation <= rule.variation:
                found[of_hour] = variation
    return found


def told(rows: Sequence[Anomaly], rule: Beacon) -> dict[tuple[object, ...], Any]:
    starts = {instant(NOON + n * HOUR): NOON + n * HOUR for n in range(-2, 3)}
    of_rule = [one for one in rows if one.rule_id == rule.id]
    return {(*one.key.values(), starts[one.window_start or ""]): one.value for one in of_rule}


@st.composite
def connects(draw: st.DrawFn) -> list[NetworkConnect]:
    """Regular connects with some noise, and some that are anywhere."""
    gap, noise = draw(st.sampled_from([SECOND, MINUTE, 5 * MINUTE])), draw(st.sampled_from([0, 1, 9, 20, 40]))
    start = draw(st.sampled_from([0, HOUR - 3 * gap, -gap]))
    host = st.sampled_from(["ws-7", "WS-7", "ws-8"])
    found = [
        made(start + n * gap + draw(st.integers(-noise, noise)) * gap // 100, draw(host))
        for n in range(draw(st.integers(0, 20)))
    ]
    return found + [made(draw(st.integers(0, HOUR)), draw(host)) for _ in range(draw(st.integers(0, 2)))]


@settings(max_examples=examples(400), deadline=None)
@given(connects(), st.randoms(use_true_random=False))
def test_beacons_are_what_the_text_says_in_any_order(rows: list[NetworkConnect], random: Any) -> None:
    rows = rows + rows[:3]
    random.shuffle(rows)
    found = list(beacons(RULES, rows))
    assert len({one.event_uid for one in found}) == len(found)
    for rule in RULES:
        assert told(found, rule) == pytest.approx(naive(rule, rows))


readings = st.lists(st.integers(0, 11), max_size=30)
crashes = st.none() | st.builds(Crash, st.integers(0, 12), st.integers(0, 12), readings)


def run(came: Sequence[Came], *how: Any, most: int = 10_000, **watch: Any) -> Driver:
    found = [Brought(hour(one), connect(NOON + a, one), partition) for a, one, partition in came]
    return stream(Driver(BeaconCore(RULES, most=most).log(), **watch), found, *how)


def plain(rows: Sequence[Anomaly]) -> list[Anomaly]:
    return sorted((msgspec.structs.replace(one, revision=0) for one in rows), key=lambda one: one.event_uid)


@settings(max_examples=examples(200), deadline=None)
@given(connects(), st.data(), readings, st.sampled_from([0, MINUTE, HOUR]), crashes)
def test_stream_equals_replay_in_any_order_of_reading(
    rows: list[NetworkConnect], data: st.DataObject, reading: list[int], skew: int, crash: Crash | None
) -> None:
    came = [(data.draw(st.integers(0, HOUR)), one, data.draw(st.integers(0, 1))) for one in rows + rows[:2]]
    driver = run(came, reading, skew, crash)
    assert plain(valid(driver.out)) == plain(list(beacons(RULES, rows)))
    assert not driver.cells
    once = {msgspec.json.encode(out) for out in driver.out}
    assert once == {msgspec.json.encode(out) for out in run(came).out}


@settings(max_examples=examples(100), deadline=None)
@given(connects(), readings, st.integers(3, 9))
def test_of_too_many_connects_the_earliest_are_looked_at(
    rows: list[NetworkConnect], reading: list[int], most: int
) -> None:
    def watch(cell: Cell) -> None:
        logged = [ENTRY.unpack(entry) for entry in cell.entries]
        state = next((entry.state for entry in logged if entry.state is not None), HourState())
        assert len(state.connects) + sum(len(entry.brought) for entry in logged) <= most + most // 8

    driver = run([(0, one, 0) for one in rows], reading, most=most, watch=watch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CONNECTS", most)
        assert plain(valid(driver.out)) == plain(list(beacons(RULES, rows)))


def test_every_column() -> None:
    (found,) = beacons([RULE], every(5 * MINUTE - SECOND, host="WS-7"))
    assert isinstance(_BASE, NetworkConnect)
    key = {"host": "ws-7", "process_path": _BASE.process_path, "dst_ip_addr": _BASE.dst_ip_addr, "dst_port": 443}
    assert found == Anomaly(
        time=instant(NOON),
        event_uid=uid.digest("b1", "b-1", instant(NOON), list(key.values())),
        revision=0,
        retracted=False,
        rule_id="b-1",
        title="A beacon",
        severity="high",
        attack=[],
        text="",
        kind="beacon",
        counter=None,
        window_start=instant(NOON),
        window_end=instant(NOON + HOUR),
        key=key,
        measure="variation",
        value=0.0,
        expected=0.1,
        deviation=None,
        history=12,
    )


def test_twelve_connects_within_an_hour_are_enough_and_eleven_are_not() -> None:
    assert len(list(beacons([RULE], every(MINUTE, 12)))) == 1
    assert list(beacons([RULE], every(MINUTE, 11))) == []
    assert list(beacons([RULE], every(6 * MINUTE, 12))) == []  # 10 in one hour, 2 in the next


def test_a_variation_of_a_tenth_is_regular_and_one_just_above_is_not() -> None:
    """Gaps of 900 and 1100 ms in turn: 100 by 1000."""
    times = [0]
    for n in range(12):
        times.append(times[-1] + (900, 1100)[n % 2])
    assert len(list(beacons([RULE], map(made, times)))) == 1
    assert list(beacons([RULE], map(made, [*times[:-1], times[-1] + 1]))) == []


def test_connects_of_one_millisecond_are_no_beacon() -> None:
    assert list(beacons([RULE], [made(0, name=str(n)) for n in range(20)])) == []


def test_without_an_event_time_there_is_no_hour() -> None:
    assert hour(msgspec.structs.replace(made(0), event_date_creation=None)) is None
    assert list(beacons([RULE], [msgspec.structs.replace(made(0), event_date_creation=None)])) == []


def test_a_beacon_is_seen_before_its_hour_is_over_and_taken_back_when_it_ends_being_one() -> None:
    came = [(n * MINUTE, one, 0) for n, one in enumerate(every(MINUTE))]
    came.append((20 * MINUTE, made(12 * MINUTE + 30 * SECOND), 0))
    out = [(at - NOON, one.rule_id, one.retracted) for at, one in run(came).out if one.rule_id == "b-1"]
    assert out == [(11 * MINUTE + 1, "b-1", False), (25 * MINUTE + 1, "b-1", True)]
