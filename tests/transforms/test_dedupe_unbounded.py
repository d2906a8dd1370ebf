"""Dedupe's unbounded wiring on Beam, with TestStream: the first copy goes on, and what is forgotten is new again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
import msgspec
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_pipeline import TestPipeline as BeamPipeline  # pytest collects Test...
from apache_beam.testing.test_stream import TestStream as BeamStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from huntbeam.schemas import streams
from huntbeam.schemas.clock import DAY, HOUR
from huntbeam.transforms.arrival import millis, timestamp
from huntbeam.transforms.dedupe import first_copies, fresh_copies
from huntbeam.transforms.dedupe_unbounded import DedupeUnbounded
from huntbeam.transforms.digest import Arrival, Digested
from tests.transforms.test_dedupe import arrival

NOON = 1_800_000_000_000
WINDOW = DAY
END = NOON + 100 * DAY

_pack = msgspec.msgpack.encode
_unpack = msgspec.msgpack.Decoder(list[Arrival]).decode

Batch = tuple[int, list[Arrival]]  # when it came, and what


def copies(times: Sequence[int], name: str = "a") -> list[tuple[int, Arrival]]:
    return [(at, arrival(name, 0, position)) for position, at in enumerate(times)]


def positions(found: Sequence[tuple[int, Arrival]]) -> list[int | None]:
    return [one.position for _, one in found]


@pytest.mark.parametrize(
    ("seen", "times", "kept"),
    [
        (None, [5], [0]),
        (None, [5, 5, 6], [0]),
        (None, [6, 5], [1]),  # the first by arrival, not by reading
        (5, [5 + WINDOW], []),
        (5, [6 + WINDOW], [0]),
        (5, [4, 6], []),
        (None, [0, WINDOW, WINDOW + 1, WINDOW + 2, 2 * WINDOW + 2], [0, 2, 4]),
    ],
)
def test_copies_in_a_stream(seen: int | None, times: list[int], kept: list[int]) -> None:
    fresh, further = fresh_copies(seen, copies(times), WINDOW)
    assert positions(fresh) == kept
    assert sorted(positions(fresh) + [one.position for one in further]) == list(range(len(times)))


def play(batches: Sequence[Batch], wanted: Sequence[tuple[int, str]], further: Sequence[tuple[str, int]]) -> None:
    """Runs the wiring, the watermark following the arrivals, and compares rows with their timestamps, and copies."""
    stream, watermark = BeamStream(coder=beam.coders.FastPrimitivesCoder()), NOON - HOUR
    for a, arrivals in batches:
        if a > watermark:
            stream = stream.advance_watermark_to(timestamp(a))
            watermark = a
        stream = stream.add_elements([TimestampedValue(_pack(arrivals), timestamp(a))])
    stream = stream.advance_watermark_to(timestamp(END)).advance_watermark_to_infinity()
    options = PipelineOptions([])
    options.view_as(StandardOptions).streaming = True
    with BeamPipeline(runner=BundleBasedDirectRunner(), options=options) as pipeline:
        out = pipeline | stream | beam.Map(_digested) | DedupeUnbounded(WINDOW)
        assert_that(out["main"] | "Rows" >> beam.FlatMap(_rows), equal_to(list(wanted)))
        places = out[streams.DUPLICATES] | beam.FlatMap(lambda rows: [(row.source, row.position) for row in rows])
        assert_that(places, equal_to(list(further)), label="Further")


def _digested(packed: bytes) -> Digested:
    return Digested(arrivals=_unpack(packed))


def _rows(digested: Digested, at: Any = beam.DoFn.TimestampParam) -> list[tuple[int, str]]:
    assert not digested.arrivals
    return [(millis(at), row.event_uid) for row in (*digested.creates, *digested.connects)]


@st.composite
def batches(draw: st.DrawFn) -> list[Batch]:
    times = sorted(draw(st.lists(st.integers(0, WINDOW), min_size=1, max_size=6)))
    made = []
    for index, at in enumerate(times):
        names = draw(st.lists(st.sampled_from("abcd"), max_size=5))
        made.append((NOON + at, [arrival(name, index, position) for position, name in enumerate(names)]))
    return made


@settings(max_examples=5, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(batches())
def test_within_the_window_it_is_as_replay(made: list[Batch]) -> None:
    firsts, further = first_copies(one for _, arrivals in made for one in arrivals)
    wanted = [(made[one.index][0], one.event_uid) for one in firsts]
    play(made, wanted, [(row.source, row.position or 0) for row in further])


def test_a_copy_that_comes_after_the_window_counts_as_new() -> None:
    times = [NOON, NOON + WINDOW, NOON + WINDOW + 1, NOON + 2 * WINDOW + 1, NOON + 2 * WINDOW + 2]
    made = [(at, [arrival("a", index, 0)]) for index, at in enumerate(times)]
    play(made, [(at, made[0][1][0].event_uid) for at in times[::2]], [("1.json", 0), ("3.json", 0)])


def test_copies_that_come_at_any_time_after_the_state_has_ended_are_new() -> None:
    one = arrival("a", 0, 0)
    play([(NOON + days * DAY, [one]) for days in (0, 30)], [(NOON + days * DAY, one.event_uid) for days in (0, 30)], [])


def test_a_large_bundle_is_passed_on_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huntbeam.transforms.dedupe_unbounded.GATHERED", 5)
    monkeypatch.setattr("huntbeam.transforms.dedupe_unbounded.BATCH", 2)
    arrivals = [arrival(name, 0, position) for position, name in enumerate("abcdefgh" * 3)]
    play([(NOON, arrivals)], [(NOON, one.event_uid) for one in arrivals[:8]], [("0.json", n) for n in range(8, 24)])
