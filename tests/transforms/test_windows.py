"""Windows: counting in parts is counting at once, against a counter that is as naive as can be."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.schemas import uid
from huntbeam.schemas.clock import DAY, HOUR, MINUTE, EventTime, instant, millis
from huntbeam.schemas.sysmon import NetworkConnect, ProcessCreate, SysmonEvent
from huntbeam.schemas.window import BUILT_IN, DISTINCT_CAP, NETWORK_DESTINATION, PROCESS_IMAGE, Counter, WindowCount
from huntbeam.schemas.winlog import parse_record
from huntbeam.transforms.rekey import flatten, read_event
from huntbeam.transforms.state import StateError
from huntbeam.transforms.windows import Accumulator, Counting, Finisher, countable, merge_all, row_type
from tests.events import CONNECT_DATA, CREATE_DATA, Fact, line

Row = ProcessCreate | NetworkConnect | SysmonEvent

SIZE = 5 * MINUTE
OWN = (
    Counter(name="by_host", event_id=3, key=("host",), distinct=("dst_ip_addr", "process_guid")),
    Counter(name="web", event_id=3, key=("user_account",), where={"dst_port": [80, "443"], "src_is_ipv6": ["false"]}),
    Counter(name="loads", event_id=7, key=("process_path", "host"), distinct=("process_id",)),
    Counter(name="both", event_id=(3, 7), key=("host",), sum=("process_id", "event_id")),
    Counter(name="ports", event_id=3, key=("user_account", "dst_port"), sum=("src_port",), distinct=("dst_ip_addr",)),
)


def row(event_id: int = 3, time: str | None = "2026-03-04 05:06:07.089", host: str = "ws-7", **data: Any) -> Row:
    """A row as rekey makes it."""
    base = CONNECT_DATA if event_id == 3 else CREATE_DATA
    fact = Fact(event_id, base | {"UtcTime": time} | data, host=host)
    reading = read_event(parse_record(line(fact)), EventTime.UTC_TIME)
    if event_id == 1:
        return flatten(reading, ProcessCreate)
    return flatten(reading, NetworkConnect) if event_id == 3 else flatten(reading, SysmonEvent)


@st.composite
def rows(draw: st.DrawFn) -> Row:
    at = draw(st.integers(-2 * SIZE, 2 * SIZE)) + draw(st.sampled_from([0, 1_772_600_700_000]))
    return row(
        draw(st.sampled_from([1, 3, 3, 7])),
        draw(st.sampled_from([None, instant(at), instant(at), instant(at - at % SIZE)])),
        draw(st.sampled_from(["", "ws-7", "WS-7", "Ws-7", "ß", "SS"])),
        User=draw(st.sampled_from(["a", "A", None])),
        Image=draw(st.sampled_from(["x.exe", None])),
        SourcePort=draw(st.sampled_from([1, 2, 3, "-"])),
        DestinationPort=draw(st.sampled_from(["80", 443, "-"])),
        DestinationIp=draw(st.sampled_from(["10.0.0.1", "10.0.0.2", ""])),
    )


def naive(all_rows: Sequence[Row], counters: Sequence[Counter], size_ms: int) -> list[WindowCount]:
    """Rule 11, word by word."""
    out = []
    for counter in counters:
        groups: dict[Any, list[Row]] = {}
        for one in all_rows:
            if one.event_id not in counter.event_ids or one.event_date_creation is None:
                continue
            if any(str(getattr(one, c)) not in map(str, values) for c, values in counter.where.items()):
                continue
            values = [getattr(one, c) for c in counter.key]
            key = tuple(v.lower() if c == "host" and v else v for c, v in zip(counter.key, values, strict=True))
            start = millis(one.event_date_creation) // size_ms * size_ms
            groups.setdefault((start, key), []).append(one)
        for (start, key), members in groups.items():
            shown: dict[str, Any] = dict(zip(counter.key, key, strict=True))
            if shown.get("host"):
                shown["host"] = min(m.host for m in members if m.host)
            times = sorted(m.event_date_creation for m in members if m.event_date_creation)
            out.append(
                WindowCount(
                    counter=counter.name,
                    window_start=instant(start),
                    window_end=instant(start + size_ms),
                    key=shown,
                    count=len(members),
                    distinct={c: len({getattr(m, c) for m in members} - {None}) for c in counter.distinct},
                    distinct_capped=False,
                    first_seen=times[0],
                    last_seen=times[-1],
                    generation=None,
                    late_count=0,
                    event_uid=uid.window(counter.name, size_ms, instant(start), key),
                    sums={c: sum(max(getattr(m, c) or 0, 0) for m in members) for c in counter.sum} or None,
                )
            )
    return out


def by_uid(found: Sequence[WindowCount]) -> list[WindowCount]:
    return sorted(found, key=lambda one: one.event_uid)


def finish(parts: Sequence[Accumulator], counters: Sequence[Counter], size_ms: int = SIZE) -> list[WindowCount]:
    finisher = Finisher(counters, size_ms)
    return by_uid([finisher.row(part) for part in merge_all(parts)])


def count(all_rows: Sequence[Row], counters: Sequence[Counter] = BUILT_IN, size_ms: int = SIZE) -> list[WindowCount]:
    counting = Counting(counters, size_ms)
    counting.add(all_rows)
    return finish(counting.take(), counters, size_ms)


COUNTERS = (*BUILT_IN, *OWN)


@given(st.lists(rows(), max_size=30), st.sampled_from([SIZE, 1, 7, HOUR, DAY, 999_999_999 * DAY]))
def test_counting_is_what_it_says(all_rows: list[Row], size_ms: int) -> None:
    found = count(all_rows, COUNTERS, size_ms)
    assert found == by_uid(naive(all_rows, COUNTERS, size_ms))
    assert len({one.event_uid for one in found}) == len(found)


@given(st.lists(st.tuples(rows(), st.integers(0, 4)), max_size=30), st.permutations(range(5)), st.booleans())
def test_parts_in_any_order_are_the_whole(split: list[tuple[Row, int]], order: list[int], once: bool) -> None:
    parts: list[Accumulator] = []
    counting = Counting(COUNTERS, SIZE)
    for part in order:
        counting.add([one for one, place in split if place == part])
        parts += counting.take()
        if once:  # merged part by part instead of all at the end
            parts = list(merge_all(parts))
    assert finish(parts, COUNTERS) == count([one for one, _ in split], COUNTERS)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), max_size=25), st.integers(1, 5))
def test_parts_are_the_whole_where_distinct_values_are_capped(split: list[tuple[int, int]], cap: int) -> None:
    made = [(row(SourcePort=port), place) for port, place in split]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huntbeam.transforms.windows.DISTINCT_CAP", cap)
        counting = Counting((NETWORK_DESTINATION,), SIZE)
        parts: list[Accumulator] = []
        for part in range(4):
            counting.add([one for one, place in made if place == part])
            parts += counting.take()
        whole = count([one for one, _ in made], (NETWORK_DESTINATION,))
        for order in permutations(range(len(parts))):
            assert finish(deepcopy([parts[at] for at in order]), (NETWORK_DESTINATION,)) == whole
    ports = {port for port, _ in split}
    for found in whole:
        assert found.count == len(split)
        assert found.distinct == {"src_port": min(len(ports), cap)}
        assert found.distinct_capped == (len(ports) > cap)


def test_distinct_values_are_exact_to_100_000() -> None:
    assert DISTINCT_CAP == 100_000


# Edges ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "start", "end"),
    [
        ("2026-03-04 05:05:00.000", "2026-03-04T05:05:00.000Z", "2026-03-04T05:10:00.000Z"),
        ("2026-03-04 05:09:59.999", "2026-03-04T05:05:00.000Z", "2026-03-04T05:10:00.000Z"),
        ("2026-03-04 05:10:00.000", "2026-03-04T05:10:00.000Z", "2026-03-04T05:15:00.000Z"),
        ("2026-12-31 23:59:59.999", "2026-12-31T23:55:00.000Z", "2027-01-01T00:00:00.000Z"),
        ("1970-01-01 00:00:00.000", "1970-01-01T00:00:00.000Z", "1970-01-01T00:05:00.000Z"),
        ("1969-12-31 23:59:59.999", "1969-12-31T23:55:00.000Z", "1970-01-01T00:00:00.000Z"),
        ("0001-01-01 00:00:00.000", "0001-01-01T00:00:00.000Z", "0001-01-01T00:05:00.000Z"),
        ("9999-12-31 23:59:59.999", "9999-12-31T23:55:00.000Z", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_window_has_its_start_and_not_its_end(time: str, start: str, end: str) -> None:
    (found,) = count([row(time=time)])
    assert (found.window_start, found.window_end) == (start, end)
    assert found.first_seen == found.last_seen == time.replace(" ", "T") + "Z"


def test_windows_begin_with_1970_not_with_the_first_event() -> None:
    found = count([row(time="2026-03-04 05:06:07.089")], size_ms=7 * DAY)
    assert found[0].window_start == "2026-02-26T00:00:00.000Z"  # a Thursday, as 1 January 1970


def test_a_row_without_an_event_time_is_in_no_window() -> None:
    assert count([row(time=None), row(time="never")]) == []


def test_the_size_of_the_window_is_part_of_the_id() -> None:
    assert count([row()])[0].event_uid != count([row()], size_ms=2 * SIZE)[0].event_uid


# Keys -------------------------------------------------------------------------------------------------------------


def test_hosts_are_one_whatever_their_case_and_the_smallest_spelling_is_shown() -> None:
    for order in permutations(("ws-7", "WS-7", "Ws-7")):
        (found,) = count([row(host=host) for host in order])
        assert (found.count, found.key["host"]) == (3, "WS-7")


def test_other_columns_keep_their_case() -> None:
    assert len(count([row(User="a"), row(User="A")])) == 2


def test_rows_without_a_host_are_a_group_of_their_own() -> None:
    found = count([row(host=""), row(host="ws-7"), row(host="")])
    assert sorted((one.key["host"] or "", one.count) for one in found) == [("", 2), ("ws-7", 1)]


def test_null_is_a_key_and_no_distinct_value() -> None:
    (found,) = count([row(DestinationPort="-", SourcePort="-"), row(DestinationPort="-", SourcePort=7)])
    assert found.key["dst_port"] is None
    assert found.distinct == {"src_port": 1}


def test_the_built_in_counters() -> None:
    connect, create = sorted(count([row(3), row(1), row(7)]), key=lambda one: one.counter)
    assert (connect.counter, create.counter) == ("network_destination", "process_image")
    assert connect.key == {
        "host": "ws-7",
        "user_account": "LAB\\ada",
        "process_path": "C:\\Tools\\näh.exe",
        "dst_ip_addr": "198.51.100.4",
        "dst_port": 443,
    }
    assert create.key == {"host": "ws-7", "process_path": "C:\\Tools\\näh.exe"}
    assert (connect.distinct, create.distinct) == ({"src_port": 1}, {})
    assert (connect.generation, connect.late_count, connect.distinct_capped) == (None, 0, False)


# Own counters -----------------------------------------------------------------------------------------------------


def test_a_counter_sees_only_the_values_it_asks_for_written_either_way() -> None:
    seen = [row(DestinationPort=port) for port in (80, "443", 8080, "-")]
    web = Counter(name="web", event_id=3, key=("host",), where={"dst_port": ["80", 443]})
    assert [one.count for one in count(seen, (web,))] == [2]
    both = Counter(name="both", event_id=3, key=("host",), where={"dst_port": [80], "network_protocol": ["udp"]})
    assert count(seen, (both,)) == []


def test_counters_of_other_ids_count_the_rows_of_all_events() -> None:
    loads = Counter(name="loads", event_id=7, key=("process_path",), distinct=("process_id",))
    (found,) = count([row(7, ProcessId=1), row(7, ProcessId="2"), row(3), row(1)], (loads,))
    assert (found.counter, found.count, found.distinct) == ("loads", 2, {"process_id": 2})


def test_two_counters_of_one_event_do_not_mix() -> None:
    twin = Counter(name="twin", event_id=1, key=PROCESS_IMAGE.key)
    found = count([row(1), row(1)], (PROCESS_IMAGE, twin))
    assert sorted((one.counter, one.count) for one in found) == [("process_image", 2), ("twin", 2)]
    assert found[0].event_uid != found[1].event_uid


def test_columns_that_can_be_counted() -> None:
    assert (row_type(1), row_type(3), row_type(22)) == (ProcessCreate, NetworkConnect, SysmonEvent)
    assert "process_command_line" in countable(1)
    assert "process_command_line" not in countable(3)
    assert {"src_port", "dst_port", "host", "process_guid", "network_protocol"} <= set(countable(3))
    assert not {"event_date_creation", "dst"} & {*countable(1), *countable(3), *countable(11)}


def test_what_was_taken_is_gone() -> None:
    counting = Counting(BUILT_IN, SIZE)
    counting.add([row()])
    assert len(counting.take()) == 1
    assert counting.take() == []


def test_rows_of_a_counter_that_is_gone_say_what_to_do() -> None:
    counting = Counting(BUILT_IN, SIZE)
    counting.add([row()])
    (counted,) = counting.take()
    with pytest.raises(StateError, match="'network_destination', which is not among this run's counters"):
        Finisher((), SIZE).row(counted)


@given(st.permutations([2**63 - 1, 5, -7, None, 2**62]))
def test_a_sum_stops_at_64_bits_and_takes_nothing_away(numbers: list[int | None]) -> None:
    counter = Counter(name="sizes", event_id=3, key=("host",), sum=("src_port",))
    all_rows = [msgspec.structs.replace(row(), src_port=number) for number in numbers]
    for parts in (1, len(all_rows)):
        accumulators: list[Accumulator] = []
        for at in range(parts):
            counting = Counting([counter], SIZE)
            counting.add(all_rows[at::parts])
            accumulators += counting.take()
        (found,) = finish(accumulators, [counter])
        assert found.sums == {"src_port": 2**63 - 1}
