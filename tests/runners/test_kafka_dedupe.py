"""Which copies of a row go on: the pure core of `huntbeam topics dedupe` and of `huntbeam archive`."""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.runners.kafka.dedupe import add_dedupe, dedupe_options
from huntbeam.runners.kafka.seen import Identity, ReadClock, SeenSet, identity
from huntbeam.schemas.clock import HOUR
from huntbeam.schemas.errors import UnusableError
from huntbeam.schemas.streams import STREAMS

DAY = 24 * HOUR


def window_row(uid: str, generation: int | None, count: int) -> dict[str, Any]:
    return {"event_uid": uid, "generation": generation, "count": count}


def admitted(seen: SeenSet, *rows: dict[str, Any], time: int = 0) -> list[bool]:
    return [seen.admit(known, time) for row in rows if (known := identity(row))]


def test_of_equal_rows_the_first_goes_on() -> None:
    seen = SeenSet(DAY)
    assert admitted(seen, {"event_uid": "a"}, {"event_uid": "b"}, {"event_uid": "a"}) == [True, True, False]


def test_a_windows_row_goes_on_when_its_count_has_grown() -> None:
    seen = SeenSet(DAY)
    growing = [window_row("w", 0, count) for count in (3, 3, 2, 5, 4, 5, 6)]
    assert admitted(seen, *growing) == [True, False, False, True, False, False, True]


def test_generations_of_a_window_are_rows_of_their_own() -> None:
    seen = SeenSet(DAY)
    rows = (window_row("w", 0, 5), window_row("w", 1, 1), window_row("w", None, 1), window_row("w", 1, 1))
    assert admitted(seen, *rows) == [True, True, True, False]


def test_further_copies_of_an_event_are_told_apart_by_their_place() -> None:
    rows = [{"event_uid": "a", "record_id": "7", "source": "kafka:in", "position": at} for at in (1, 2, 1)]
    assert admitted(SeenSet(DAY), *rows) == [True, True, False]


def test_equal_ids_in_two_streams_are_two_rows() -> None:
    assert identity({"event_uid": "a"}, "sysmon_events") != identity({"event_uid": "a"}, "sysmon_process_create")


@pytest.mark.parametrize("row", [{}, {"event_uid": None}, {"event_uid": 7}, {"event_uid": ""}])
def test_a_record_without_an_id_is_foreign(row: dict[str, Any]) -> None:
    assert identity(row) is None


def test_every_stream_has_an_identity_by_its_columns_alone() -> None:
    for stream, record in STREAMS.items():
        row = dict.fromkeys(record.__struct_fields__, None) | {"event_uid": "a", "count": 2}
        if "revision" in row:
            row["revision"] = 3
        known = identity(row, stream)
        assert known is not None
        assert known.rank == {"window_counts": 2, "alerts": 3, "suppressed": 3, "anomalies": 3}.get(stream, 0), stream


@pytest.mark.parametrize("count", ["9", 1.5, None, True, -1, 2**70])
def test_an_odd_count_of_an_attacker_is_no_trouble(count: object) -> None:
    assert admitted(SeenSet(DAY), {"event_uid": "w", "generation": {"a": []}, "count": count}) == [True]


class Copy(NamedTuple):
    """A record: what row it is a copy of."""

    uid: int
    count: int


_COPIES = st.lists(st.builds(Copy, st.integers(0, 5), st.integers(0, 4)), max_size=60)


def _row(copy: Copy) -> Identity:
    known = identity(window_row(str(copy.uid), 0, copy.count))
    assert known
    return known


@given(_COPIES)
def test_what_goes_on_grows_to_the_highest_count_of_each_row(copies: list[Copy]) -> None:
    seen = SeenSet(DAY)
    passed: dict[int, list[int]] = {}
    for copy in copies:
        if seen.admit(_row(copy), 0):
            passed.setdefault(copy.uid, []).append(copy.count)
    highest = {uid: max(c.count for c in copies if c.uid == uid) for uid in {c.uid for c in copies}}
    assert {uid: counts[-1] for uid, counts in passed.items()} == highest
    assert all(counts == sorted(set(counts)) for counts in passed.values())


@given(_COPIES, st.data())
def test_a_kill_at_any_record_changes_nothing(copies: list[Copy], data: st.DataObject) -> None:
    """IN and OUT as lists: rows and offset become OUT's together, or neither, and the set is rebuilt from OUT."""
    plain = SeenSet(DAY)
    expected = [copy for copy in copies if plain.admit(_row(copy), 0)]
    out: list[Copy] = []
    position = 0
    seen = SeenSet(DAY)
    while position < len(copies):
        end = data.draw(st.integers(position + 1, len(copies)))
        rows = [copy for copy in copies[position:end] if seen.admit(_row(copy), 0)]
        if data.draw(st.booleans()):
            out, position = out + rows, end
        else:
            seen = SeenSet(DAY)
            for copy in out:
                seen.admit(_row(copy), 0)
    assert out == expected


def test_rows_older_than_the_window_are_forgotten_and_no_others() -> None:
    seen = SeenSet(HOUR)
    old, edge, young = (Identity(bytes([n]) * 16, 0) for n in range(3))
    for row, time in ((old, 0), (edge, HOUR), (young, 2 * HOUR)):
        assert seen.admit(row, time)
    seen.forget(2 * HOUR)
    assert [seen.admit(row, 2 * HOUR) for row in (edge, young, old)] == [False, False, True]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.booleans()), max_size=40))
def test_no_partition_has_anything_older_than_the_clock_says(steps: list[tuple[str, int, bool]]) -> None:
    """Times rise within a partition; one that is at its end goes on with times after all that was appended."""
    now = 0
    logs: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    for place, ahead, _ in steps:
        now += ahead
        logs[place].append(now)
    clock = ReadClock(logs, {place: log[0] for place, log in logs.items() if log})
    for place, _, more in steps:
        if logs[place]:
            clock.read(place, logs[place].pop(0))
        if not logs[place] and more:
            clock.ended(place)
        low = clock.low()
        assert low is None or all(low <= log[0] for log in logs.values() if log)


def options(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_dedupe(parser.add_subparsers())
    return parser.parse_args(["dedupe", *argv])


def test_the_transactional_id_does_not_depend_on_the_group() -> None:
    ids = {dedupe_options(options("in", "out", *more)).transactional_id for more in ((), ("--group_id", "g"))}
    assert ids == {"huntbeam-dedupe:in:out"}
    assert dedupe_options(options("in", "out")).window_ms == DAY


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("in", "in"), "name another topic"),
        (("in", "out", "--window", "soon"), "--window"),
        (("in", "out", "--max_transaction_rows", "0"), "from 1 on"),
    ],
)
def test_options_that_cannot_be_used_are_one_sentence(argv: tuple[str, ...], said: str) -> None:
    with pytest.raises(UnusableError, match=said):
        dedupe_options(options(*argv))
