"""Suppression: the pure evaluator, and the stream's slots against it in any order of reading."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huntbeam.schemas.alert import RULE, Alert
from huntbeam.schemas.clock import HOUR, MINUTE, SECOND, instant
from huntbeam.transforms.keyed_log import PutOut
from huntbeam.transforms.suppression.evaluate import Placed, Slot, slot, suppress
from huntbeam.transforms.suppression.keyed import COUNT_EVERY, ENTRY, Came, SuppressionCore, sort
from tests.conftest import examples
from tests.transforms.keyed import END, NOON, Brought, Crash, Driver, stream

SIZE = HOUR
LATENESS = 10 * MINUTE
SPAN = 5 * MINUTE
START = NOON - NOON % SIZE


def alert(time: int | None, name: str, rule: str = "r", host: str = "ws-7", **others: Any) -> Alert:
    at = None if time is None else instant(START + time)
    values: dict[str, Any] = {
        "time": at,
        "event_uid": name,
        "revision": 0,
        "retracted": False,
        "host": host,
        "user_account": None,
        "process_path": None,
        "record_id": None,
        "rule_id": rule,
        "rule_title": rule,
        "rule_level": None,
        "rule_type": RULE,
        "tags": [],
        "attack": [],
        "author": None,
        "references": [],
        "ruleset": "s",
        "matched": {},
        "event": {},
        "contributing": [name],
        "contributing_count": 1,
        "first_seen": at,
        "last_seen": at,
        "truncated": False,
    }
    return Alert(**values | others)


def correlated(time: int, name: str, user: str = "ada", **others: Any) -> Alert:
    return alert(time, name, "c", rule_type="event_count", matched={"User": user}, **others)


def naive(alerts: Iterable[Alert]) -> tuple[list[Alert], list[Alert]]:
    """What the text says, word by word: shown and suppressed."""
    left = {one.event_uid: one for one in alerts}
    shown, suppressed = [], []
    for one in left.values():
        if one.time is None:
            shown.append(one)
            continue
        same = [o for o in left.values() if o.time is not None and slot(o, SIZE) == slot(one, SIZE)]
        if all((one.time, one.event_uid) <= (o.time or "", o.event_uid) for o in same):
            shown.append(msgspec.structs.replace(one, suppressed_count=len(same) - 1))
        else:
            suppressed.append(one)
    return plain(shown), plain(suppressed)


def plain(found: Iterable[Alert]) -> list[Alert]:
    return sorted((msgspec.structs.replace(one, revision=0) for one in found), key=lambda one: one.event_uid)


def test_the_slot_of_a_rule_is_its_host_and_that_of_a_correlation_its_group() -> None:
    assert slot(alert(1, "a", host="WS-7"), SIZE) == slot(alert(SIZE - 1, "b"), SIZE) == Slot("r", ("ws-7",), START)
    assert slot(alert(SIZE, "a"), SIZE) == Slot("r", ("ws-7",), START + SIZE)
    assert slot(correlated(0, "a", host="ws-7"), SIZE) == Slot("c", ("ada",), START)
    assert slot(alert(None, "a"), SIZE) is None


def test_the_earliest_is_shown_with_a_count_of_the_others() -> None:
    rows = [alert(5, "b"), alert(5, "a"), alert(9, "c"), alert(9, "c")]
    assert suppress(rows) == [
        Placed(False, alert(5, "a", suppressed_count=2)),
        Placed(True, alert(5, "b")),
        Placed(True, alert(9, "c")),
    ]


# The stream -----------------------------------------------------------------------------------------------------------


class Version(msgspec.Struct, frozen=True):
    """An alert as it comes at some time, from a partition."""

    a: int
    alert: Alert
    partition: int = 0


def core(most: int = 10_000) -> SuppressionCore:
    return SuppressionCore(SIZE, LATENESS, most=most)


def run(found: Sequence[Version], *how: Any, most: int = 10_000, **watch: Any) -> tuple[list[Placed], Driver]:
    """What is put out: by the slots, and beside them. Alerts of a partition and an arrival come together."""
    beside: list[Placed] = []
    brought = []
    for place in dict.fromkeys((one.partition, one.a) for one in found):
        together = sort((v.alert for v in found if (v.partition, v.a) == place), SIZE, lambda _: SPAN)
        beside += [Placed(False, one) for one in together.timeless] + [Placed(True, one) for one in together.suppressed]
        brought += [Brought(one.slot, Came(NOON + place[1], one), place[0]) for one in together.coming]
    driver = stream(Driver(core(most).log(), **watch), brought, *how)
    return [*beside, *(out.row for out in driver.out)], driver


def final(placed: Iterable[Placed]) -> tuple[list[Alert], list[Alert]]:
    """Of each stream's rows the highest revisions, unless they take back."""
    last: dict[tuple[bool, str], Alert] = {}
    for one in placed:
        place = one.suppressed, one.alert.event_uid
        if place not in last or last[place].revision <= one.alert.revision:
            last[place] = one.alert
    valid = [(suppressed, one) for (suppressed, _), one in last.items() if not one.retracted]
    return plain(one for suppressed, one in valid if not suppressed), plain(one for s, one in valid if s)


def ends(found: Iterable[Version]) -> list[Alert]:
    """What alerts come to in the end."""
    last = {}
    for one in sorted(found, key=lambda v: (v.a, v.alert.revision)):
        last[one.alert.event_uid] = one.alert
    return [one for one in last.values() if not one.retracted]


@st.composite
def arrivals(draw: st.DrawFn) -> list[Version]:
    """Alerts of some slots; those of correlations change later, are taken back, come again."""
    found = []
    for number in range(draw(st.integers(0, 14))):
        time = draw(st.sampled_from([0, 1, 5 * MINUTE, SIZE - 1, SIZE, None]))
        a, partition = draw(st.integers(0, LATENESS)), draw(st.integers(0, 1))
        name = f"{draw(st.integers(0, 99)):02}-{number:02}"
        if time is None or draw(st.booleans()):
            row = alert(time, name, draw(st.sampled_from(["r", "s"])), draw(st.sampled_from(["ws-7", "WS-7", "x"])))
            found += [Version(a, row, partition)] * draw(st.sampled_from([1, 1, 2]))
            continue
        row = correlated(time, name, draw(st.sampled_from(["ada", "grace"])))
        found.append(Version(a, row, partition))
        for revision in range(1, draw(st.integers(1, 4))):
            a += draw(st.integers(0, SPAN))
            row = msgspec.structs.replace(
                row, revision=revision, retracted=draw(st.booleans()), contributing_count=1 + revision
            )
            found.append(Version(a, row, partition))
    return found


readings = st.lists(st.integers(0, 11), max_size=30)
skews = st.sampled_from([0, SECOND, LATENESS])
crashes = st.none() | st.builds(Crash, st.integers(0, 20), st.integers(0, 12), readings)


@settings(max_examples=examples(100), deadline=None)
@given(arrivals(), readings, skews, crashes)
def test_stream_equals_replay_in_any_order_of_reading(
    found: list[Version], reading: list[int], skew: int, crash: Crash | None
) -> None:
    placed, driver = run(found, reading, skew, crash)
    expected = naive(ends(found))
    assert final(placed) == expected
    assert not driver.cells
    by_slot: dict[Slot | None, list[Alert]] = {}
    for one in ends(found):
        by_slot.setdefault(slot(one, SIZE), []).append(one)
    replayed = [Placed(False, one) for one in by_slot.pop(None, [])]
    replayed += [one for alerts in by_slot.values() for one in suppress(alerts)]
    assert final(replayed) == expected


@settings(max_examples=50, deadline=None)
@given(arrivals(), readings, skews, crashes)
def test_rows_depend_neither_on_the_order_of_reading_nor_on_a_crash(
    found: list[Version], reading: list[int], skew: int, crash: Crash | None
) -> None:
    in_order = {msgspec.json.encode(one) for one in run(found)[0]}
    assert {msgspec.json.encode(one) for one in run(found, reading, skew, crash)[0]} == in_order


@settings(max_examples=50, deadline=None)
@given(arrivals(), readings)
def test_revisions_count_up_in_each_stream(found: list[Version], reading: list[int]) -> None:
    last: dict[tuple[bool, str], Alert] = {}
    for _, (suppressed, row) in ((o.at, msgspec.structs.astuple(o.row)) for o in run(found, reading)[1].out):
        before = last.get((suppressed, row.event_uid))
        if before is not None:
            assert row.revision == before.revision + 1
        assert not (row.retracted and (before is None or before.retracted))
        last[suppressed, row.event_uid] = row


def told(out: Iterable[PutOut[Placed]]) -> list[tuple[int, bool, str, bool, int]]:
    return [
        (o.at - NOON, o.row.suppressed, o.row.alert.event_uid, o.row.alert.retracted, o.row.alert.suppressed_count)
        for o in out
    ]


def test_an_alert_is_shown_at_once_and_makes_way_for_an_earlier_one() -> None:
    _, driver = run([Version(0, alert(9, "b")), Version(5, alert(3, "a"))])
    assert told(driver.out) == [
        (1, False, "b", False, 0),
        (6, False, "b", True, 0),
        (6, False, "a", False, 1),
        (6, True, "b", False, 0),
    ]


def test_a_count_that_rises_is_said_once_a_minute() -> None:
    found = [Version(n * SECOND, alert(n, f"{n:03}")) for n in range(100)]
    placed, driver = run(found)
    shown = [one for one in told(driver.out) if not one[1]]
    assert shown[:2] == [(1, False, "000", False, 0), (1 + COUNT_EVERY, False, "000", False, 60)]
    assert (len(shown), shown[-1][-1]) == (3, 99)
    assert final(placed) == naive(one.alert for one in found)


def test_an_alert_that_is_taken_back_makes_way_for_the_next() -> None:
    first, second = correlated(1, "a"), correlated(2, "b")
    back = msgspec.structs.replace(first, revision=1, retracted=True)
    _, driver = run([Version(0, first), Version(0, second), Version(SPAN, back)])
    assert told(driver.out)[2:] == [
        (SPAN + 1, False, "a", True, 0),
        (SPAN + 1, True, "b", True, 0),
        (SPAN + 1, False, "b", False, 0),
    ]


def test_an_alert_that_is_forgotten_is_taken_back_all_the_same() -> None:
    row = correlated(1, "a")
    back = msgspec.structs.replace(row, revision=3, retracted=True)
    late = SIZE + LATENESS + SPAN + 10
    placed, driver = run([Version(0, row), Version(late, back)])
    assert placed == [Placed(False, row), Placed(False, back)]
    assert not driver.cells


def test_of_alerts_that_come_together_one_row_goes_to_the_slot() -> None:
    together = sort([alert(n % 7, f"{n:02}") for n in range(50)] + [alert(0, "00")], SIZE, lambda _: 0)
    assert [one.event_uid for one in together.coming if one.row is not None] == ["00"]
    assert len(together.suppressed) == 49
    assert len(together.coming) == 50


@pytest.mark.parametrize("apart", [0, 1])
def test_more_alerts_than_there_is_room_are_counted_and_say_so(apart: int) -> None:
    """At once, when what waits is given up unread, and one after the other."""
    found = [Version(n * (1 + apart * SECOND), alert(n, f"{n:03}")) for n in range(100)]
    sizes = []
    placed, driver = run(
        found, [] if apart else [8] * 100, END, most=8, watch=lambda cell: sizes.append(len(cell.log()))
    )
    (shown,), suppressed = final(placed)
    assert (shown.suppressed_count, shown.truncated) == (99, True)
    assert len(suppressed) == 99 if apart else len(suppressed) < 99
    assert not driver.cells


def test_alerts_that_come_together_are_rows_however_many_they_are() -> None:
    found = [Version(n // 60, alert(200 - n, f"{n:03}")) for n in range(180)]
    placed, driver = run(found, [8] * 100, END, most=8)
    (shown,), suppressed = final(placed)
    assert (shown.event_uid, shown.suppressed_count, shown.truncated) == ("179", 179, True)
    assert len(suppressed) == 179
    assert not driver.cells


def test_what_is_kept_of_a_slot_is_bounded() -> None:
    driver = Driver(core(8).log())
    for n in range(100):
        together = sort([alert(n, f"{n:03}")], SIZE, lambda _: 0)
        driver.bundle([Brought(one.slot, Came(NOON + n * SECOND, one)) for one in together.coming])
        driver.advance(NOON + n * SECOND + 500)
        (cell,) = driver.cells.values()
        assert sum(map(len, cell.entries)) < 8 * 200 + 1000


def test_state_of_an_earlier_run_is_read() -> None:
    """What stands in savepoints, alerts with their columns; a change needs a new version (transforms/state.py)."""
    packed = (
        "AZKVkpa4MjAyNy0wMS0xNVQwODowMDowMC4wMDFaoWHeABmkdGltZbgyMDI3LTAxLTE1VDA4OjAwOjAwLjAwMVqpZXZlbnRfdWlk"
        "oWGocmV2aXNpb24AqXJldHJhY3RlZMKkaG9zdKR3cy03rHVzZXJfYWNjb3VudMCscHJvY2Vzc19wYXRowKlyZWNvcmRfaWTAp3J1"
        "bGVfaWShY6pydWxlX3RpdGxloWOqcnVsZV9sZXZlbMCpcnVsZV90eXBlq2V2ZW50X2NvdW50pHRhZ3OQpmF0dGFja5CmYXV0aG9y"
        "wKpyZWZlcmVuY2VzkKdydWxlc2V0oXOnbWF0Y2hlZIGkVXNlcqNhZGGlZXZlbnSArGNvbnRyaWJ1dGluZ5GhYbJjb250cmlidXRp"
        "bmdfY291bnQBqmZpcnN0X3NlZW64MjAyNy0wMS0xNVQwODowMDowMC4wMDFaqWxhc3Rfc2VlbrgyMDI3LTAxLTE1VDA4OjAwOjAw"
        "LjAwMVqpdHJ1bmNhdGVkwrBzdXBwcmVzc2VkX2NvdW50AMKTxAzW8cmSOBHhv/8zFJgAwsCWuDIwMjctMDEtMTVUMDg6MDA6MDAu"
        "MDAyWqFi3gAZpHRpbWW4MjAyNy0wMS0xNVQwODowMDowMC4wMDJaqWV2ZW50X3VpZKFiqHJldmlzaW9uAKlyZXRyYWN0ZWTCpGhv"
        "c3Skd3MtN6x1c2VyX2FjY291bnTArHByb2Nlc3NfcGF0aMCpcmVjb3JkX2lkwKdydWxlX2lkoWOqcnVsZV90aXRsZaFjqnJ1bGVf"
        "bGV2ZWzAqXJ1bGVfdHlwZatldmVudF9jb3VudKR0YWdzkKZhdHRhY2uQpmF1dGhvcsCqcmVmZXJlbmNlc5CncnVsZXNldKFzp21h"
        "dGNoZWSBpFVzZXKjYWRhpWV2ZW50gKxjb250cmlidXRpbmeRoWKyY29udHJpYnV0aW5nX2NvdW50AapmaXJzdF9zZWVuuDIwMjct"
        "MDEtMTVUMDg6MDA6MDAuMDAyWqlsYXN0X3NlZW64MjAyNy0wMS0xNVQwODowMDowMC4wMDJaqXRydW5jYXRlZMKwc3VwcHJlc3Nl"
        "ZF9jb3VudADCwJPEDNvs3T2EHD5WjH519ADCzwAAAaMYoPohAc8AAAGjGFxQAQCQ"
    )
    driver = Driver(core().log())
    together = sort([correlated(1, "a"), correlated(2, "b")], SIZE, lambda _: SPAN)
    driver.bundle([Brought(one.slot, Came(NOON, one)) for one in together.coming])
    driver.advance(NOON + 1)
    (cell,) = driver.cells.values()
    assert ENTRY.unpack(b64decode(packed)) == ENTRY.unpack(cell.entries[0])
