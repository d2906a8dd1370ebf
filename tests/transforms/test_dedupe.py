"""Dedupe: of equal events the first by place in the input goes on, in whatever order they come."""

from __future__ import annotations

from collections.abc import Sequence

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from huntbeam.schemas import streams
from huntbeam.schemas.sysmon import Duplicate
from huntbeam.transforms.dedupe import DedupeBounded, duplicate, first_copies
from huntbeam.transforms.digest import Arrival, Digest, Digested, Plan
from huntbeam.transforms.read import Records
from tests.events import CONNECT, CREATE, CREATE_DATA, Fact, line

ARRIVALS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 3), st.integers(0, 5)),
    unique_by=lambda place: place[1:],  # no two records stand in one place
    max_size=24,
).flatmap(lambda places: st.tuples(st.just(places), st.permutations(places)))


def arrival(uid: str, index: int, position: int) -> Arrival:
    """One of a file's records, with a row: without one it would not be an arrival."""
    digest = Digest(Plan(dedupe=True))
    digest.feed(Records([(position, line(CONNECT._replace(record_id=ord(uid))))]), f"{index}.json", index)
    (made,) = digest.take().arrivals
    return made


def place(one: Arrival) -> tuple[int, int]:
    return one.index, one.position


@given(ARRIVALS)
def test_the_first_copy_goes_on_whatever_the_order(
    drawn: tuple[Sequence[tuple[str, int, int]], Sequence[tuple[str, int, int]]],
) -> None:
    places, shuffled = drawn
    firsts, further = first_copies([arrival(*one) for one in shuffled])
    expected: dict[str, tuple[int, int]] = {}
    for uid, *where in sorted(places, key=lambda one: one[1:]):
        expected.setdefault(uid, (where[0], where[1]))
    assert {chr(int(a.record_id or 0)): place(a) for a in firsts} == expected
    assert len(firsts) == len(expected)
    others = {(i, p) for _, i, p in places} - set(expected.values())
    assert {(int(d.source.removesuffix(".json")), d.position) for d in further} == others
    assert len(further) == len(others) == len(places) - len(firsts)


def test_nothing_is_a_copy_of_nothing() -> None:
    assert first_copies([]) == ([], [])


def test_the_row_of_a_copy_names_the_event_and_its_place() -> None:
    one = arrival("a", 2, 40)
    assert one.connect is not None
    assert duplicate(one) == Duplicate(
        event_uid=one.connect.event_uid,
        event_date_creation="2026-03-04T05:06:08.100Z",
        host=CONNECT.host,
        event_id=3,
        source_name=CONNECT.provider,
        log_name=CONNECT.channel,
        process_guid=one.connect.process_guid,
        record_id="97",
        source="2.json",
        position=40,
    )


@pytest.mark.parametrize("options", [{}, {"since": "2027-01-01T00:00:00.000Z"}, {"counted": frozenset({7})}])
def test_every_kind_of_arrival_has_a_row(options: dict[str, str]) -> None:
    facts = [CREATE, Fact(7, CREATE_DATA)]
    digest = Digest(Plan(dedupe=True, **options))  # type: ignore[arg-type]
    digest.feed(Records(list(enumerate(map(line, facts)))), "a.json", 0)
    for one in digest.take().arrivals:
        row = duplicate(one)
        if "since" in options:  # a create outside the span is no output, nor are its copies
            assert row is None
        else:
            assert row is not None
            assert row.event_uid == one.event_uid


def test_the_wiring_gives_each_event_once_and_its_copies_as_duplicates() -> None:
    facts = [CREATE, CONNECT, CREATE, CONNECT._replace(record_id=5), CONNECT, CREATE]
    digest = Digest(Plan(dedupe=True))
    batches = []
    for index, fact in enumerate(facts):
        digest.feed(Records([(index * 10, line(fact)), (index * 10 + 1, b"torn")]), "a.json", index)
        batches.append(digest.take())
    with beam.Pipeline("BundleBasedDirectRunner") as pipeline:
        out = pipeline | beam.Create(batches, reshuffle=False) | DedupeBounded(shards=3)

        def rows(digested: Digested) -> list[str]:
            assert not digested.arrivals
            return [row.event_uid for row in digested.creates] + [row.event_uid for row in digested.connects]

        expected = {a.event_uid for batch in batches for a in batch.arrivals}
        assert_that(out["main"] | beam.FlatMap(rows), equal_to(sorted(expected)))
        positions = out[streams.DUPLICATES] | beam.FlatMap(lambda batch: [d.position for d in batch])
        assert_that(positions, equal_to([20, 40, 50]), label="Further")
    assert len(expected) == 3
