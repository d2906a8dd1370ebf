"""First and rare sightings: one alert a key, the same in a stream as in replay."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from huntbeam.schemas import uid
from huntbeam.schemas.anomaly import Anomaly, FirstSeen, Prevalence, Rare, Severity
from huntbeam.schemas.clock import DAY, MINUTE, instant
from huntbeam.schemas.window import WindowCount
from huntbeam.transforms.anomaly.rarity import Baseline, RareKey
from huntbeam.transforms.anomaly.sightings import SightingCore, SightingRule, concerned, sighted_all, sighting
from tests.conftest import examples
from tests.transforms.anomaly.test_evaluate import SIZE, row
from tests.transforms.keyed import NOON, Brought, Crash, Driver, stream, valid

FIRST = FirstSeen(id="f-1", name="New", severity=Severity.LOW, counter="network_destination")
RARE = Rare(id="r-1", name="Rare", severity=Severity.HIGH, counter="network_destination", at_most=1)
RULES: tuple[SightingRule, ...] = (FIRST, RARE)
KNOWN = RareKey("network_destination", (("dst_port", "443"), ("user_account", None)))
TTL = 30 * DAY
Came = tuple[int, WindowCount, int]  # arrival, row, partition


def baseline(hosts: int) -> Baseline:
    return Baseline({KNOWN: (100, 50, hosts)})


def run(came: Sequence[Came], known: Baseline | None, *how: object, rules: Sequence[SightingRule] = RULES) -> Driver:
    core = SightingCore(tuple(rules), known, TTL)
    found = [
        Brought(place, sighting(NOON + a, one), partition)
        for a, one, partition in came
        for place in concerned(rules, one, known)
    ]
    return stream(Driver(core.log()), found, *how)  # type: ignore[arg-type] # as stream() takes them


def plain(rows: Sequence[Anomaly]) -> list[Anomaly]:
    return sorted((msgspec.structs.replace(one, revision=0) for one in rows), key=lambda one: one.event_uid)


readings = st.lists(st.integers(0, 11), max_size=30)
crashes = st.none() | st.builds(Crash, st.integers(0, 12), st.integers(0, 12), readings)
baselines = st.sampled_from([None, baseline(1), baseline(2)])
ARRIVALS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, MINUTE, DAY, TTL]),
        st.builds(row, st.integers(-3, 3), st.integers(1, 9), host=st.sampled_from(["ws-7", "WS-7", "ws-8"])),
        st.integers(0, 1),
    ),
    max_size=20,
)


@settings(max_examples=examples(300), deadline=None)
@given(ARRIVALS, baselines, readings, st.sampled_from([0, DAY]), crashes)
def test_stream_equals_replay_in_any_order_of_reading(
    came: list[Came], known: Baseline | None, reading: list[int], skew: int, crash: Crash | None
) -> None:
    driver = run(came, known, reading, skew, crash)
    rows = [one for _, one, _ in came]
    assert plain(valid(driver.out)) == plain(list(sighted_all(RULES, rows, known)))
    assert not driver.cells


@given(st.lists(st.builds(row, st.integers(-3, 3), st.integers(1, 9), host=st.sampled_from(["a", "A", "b"]))))
def test_a_key_has_one_alert_at_its_earliest_event(rows: list[WindowCount]) -> None:
    found = {one.key["host"]: one.time for one in sighted_all([FIRST], rows)}
    hosts = {str(one.key["host"]).lower() for one in rows}
    assert found == {h: min(one.first_seen for one in rows if str(one.key["host"]).lower() == h) for h in hosts}


def test_what_the_baseline_has_is_not_rare() -> None:
    def found(known: Baseline | None, rule: Rare) -> list[tuple[str | None, float | None, float | None]]:
        return [(one.measure, one.value, one.expected) for one in sighted_all([rule], [row(0), row(1)], known)]

    assert found(None, RARE) == []
    assert found(baseline(1), RARE) == [("hosts", 1.0, 1.0)]
    assert found(baseline(2), RARE) == []
    assert found(Baseline({}), RARE) == [("hosts", 0.0, 1.0)]
    assert found(baseline(0), msgspec.structs.replace(RARE, prevalence=Prevalence.WINDOWS)) == []


def test_ids_hang_on_rule_and_key() -> None:
    first, rare = sighted_all(RULES, [row(0)], baseline(0))
    assert first.event_uid == uid.digest("f1", "f-1", ["ws-7", 443, None])
    assert rare.event_uid == uid.digest("r1", "r-1", ["ws-7", 443, None])


def test_an_earlier_event_puts_the_alert_out_again() -> None:
    out = run([(0, row(5), 0), (MINUTE, row(3), 0), (2 * MINUTE, row(4), 0)], None, rules=[FIRST]).out
    times = [(at - NOON, one.time, one.revision) for at, one in out]
    assert times == [(1, instant(NOON + 5 * SIZE + 1), 0), (MINUTE + 1, instant(NOON + 3 * SIZE + 1), 1)]


def test_a_key_that_was_forgotten_is_new_again() -> None:
    def times(gap: int) -> int:
        return len(run([(0, row(0), 0), (gap, row(1), 0)], None, rules=[FIRST]).out)

    assert (times(TTL), times(TTL + 1)) == (1, 2)


def test_sightings_that_wait_are_few() -> None:
    core = SightingCore(RULES, None, TTL, wait=DAY, most=8)
    (place,) = concerned([FIRST], row(0), None)
    driver = Driver(core.log(), lambda cell: None)
    for n in range(100):
        driver.bundle([Brought(place, sighting(NOON + n, row(100 - n)))])
        assert len(driver.cells[place].entries) <= 9
    driver.advance(NOON + 2 * DAY)
    assert [one.time for _, one in driver.out] == [instant(NOON + SIZE + 1)]
