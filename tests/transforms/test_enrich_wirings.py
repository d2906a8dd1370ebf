"""Enrichment's wirings on Beam: bounded on FnApiRunner, unbounded with TestStream, against the core."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import apache_beam as beam
import msgspec
import pytest
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline as BeamPipeline  # pytest collects Test...
from apache_beam.testing.test_stream import TestStream as BeamStream
from apache_beam.testing.util import assert_that
from apache_beam.transforms.window import TimestampedValue
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from huntbeam.schemas import streams
from huntbeam.schemas.sysmon import ProcessContext, ProcessTerminate, SysmonEnriched
from huntbeam.transforms.arrival import timestamp
from huntbeam.transforms.batches import BatchCoder
from huntbeam.transforms.enrich import Found, Pending
from huntbeam.transforms.enrich_bounded import EnrichBounded
from huntbeam.transforms.enrich_rows import EnrichedRows, Enrichment
from huntbeam.transforms.enrich_unbounded import EnrichUnbounded
from tests.transforms.test_enrich import (
    END,
    GUIDS,
    NOON,
    TICK,
    WAITS,
    Arrival,
    arrivals,
    as_rows,
    bounded,
    created,
    event,
    process,
)
from tests.transforms.test_join_wirings import streaming

few = settings(max_examples=3, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
A, B, C = GUIDS[1:4]


def equal_to(expected: Sequence[Found]) -> Callable[[list[list[Found]]], None]:
    def check(batches: list[list[Found]]) -> None:
        assert as_rows(one for batch in batches for one in batch) == as_rows(expected)

    return check


@few
@given(arrivals(spread=WAITS.join), st.integers(2, 5), st.sampled_from([1, 16]))
def test_bounded_wiring(found: list[Arrival], depth: int, shards: int) -> None:
    batches = [[one.row] for one in found if not isinstance(one.row, ProcessTerminate)]
    with BeamPipeline(runner=FnApiRunner()) as p:
        assert_that(p | beam.Create(batches) | EnrichBounded(depth, shards), equal_to(bounded(found, depth)))


@settings(few, max_examples=2)
@given(arrivals(spread=WAITS.join))
def test_unbounded_wiring(found: list[Arrival]) -> None:
    play(found[:16], equal_to(bounded(found[:16])))


def play(found: Sequence[Arrival], check: Callable[[list[list[Found]]], None], *, others: bool = True) -> None:
    """Runs the unbounded wiring, the watermark following the arrivals, and past the last timer.

    This runner does not hold the second step's watermark back by the timers of the first: the waits end before states.
    """
    stream, watermark = BeamStream(coder=BatchCoder()), NOON - 1
    for one in found:
        if one.a > watermark:
            stream = stream.advance_watermark_to(timestamp(one.a))
            watermark = one.a
        stream = stream.add_elements([TimestampedValue([one.row], timestamp(one.a))])
    stream = stream.advance_watermark_to(timestamp(watermark + WAITS.join + TICK + 1))
    stream = stream.advance_watermark_to(timestamp(END)).advance_watermark_to_infinity()
    with BeamPipeline(runner=BundleBasedDirectRunner(), options=streaming()) as p:
        assert_that(p | stream | EnrichUnbounded(others, WAITS), check)


def test_input_that_ends_gives_the_same_rows() -> None:
    """FnApiRunner has both steps in one stage, and fires their timers at the end of the input."""
    rows = [event(A), created(process(A, B)), process(B, C), event(B), event(C), event(GUIDS[0])]
    found = [Arrival(NOON + n, row) for n, row in enumerate(rows)]
    with BeamPipeline(runner=FnApiRunner()) as p:
        batches = p | beam.Create([(one.a, [one.row]) for one in found], reshuffle=False)
        at = batches | beam.MapTuple(lambda a, batch: TimestampedValue(batch, timestamp(a)))
        assert_that(at | EnrichUnbounded(others=True, waits=WAITS), equal_to(bounded(found)))


def test_creates_alone_are_enriched_in_one_step() -> None:
    found = [
        Arrival(NOON + n, row) for n, row in enumerate([created(process(A, B)), process(B, C), created(process(C))])
    ]
    play(found, equal_to(bounded(found)), others=False)


@pytest.mark.parametrize("rows", [True, False])
def test_rows_are_for_events_that_were_asked_for(rows: bool) -> None:
    found = bounded([Arrival(NOON, one) for one in (process(A, B), event(A), event(B))])
    if not rows:
        found = [msgspec.structs.replace(one, event=msgspec.structs.replace(one.event, data=None)) for one in found]

    def check(batches: list[list[SysmonEnriched]]) -> None:
        contexts = sorted(row.context for batch in batches for row in batch)
        assert contexts == (["missing", "no_parent"] if rows else [])

    with BeamPipeline(runner=FnApiRunner()) as p:
        enriched = p | beam.Create([found]) | EnrichedRows(Enrichment(frozenset({7}), rows))
        assert_that(enriched[streams.ENRICHED], check)


def test_batches_keep_their_rows_between_stages() -> None:
    rows: list[ProcessContext | Pending] = [process(A, B), event(A), created(process(B, C))]
    found = bounded([Arrival(NOON, one) for one in rows])
    coder = BatchCoder()
    for batch in (rows, found, [ProcessTerminate(host="ws-1", process_guid=A)]):
        assert coder.decode(coder.encode(list(batch))) == list(_all(batch))


def _all(batch: Iterable[object]) -> Iterable[object]:
    return batch
