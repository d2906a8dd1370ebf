"""The join's wirings on Beam: bounded on FnApiRunner, unbounded with TestStream, against the core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline as BeamPipeline  # pytest collects Test...
from apache_beam.testing.test_stream import TestStream as BeamStream
from apache_beam.testing.util import assert_that
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from huntbeam.schemas import streams
from huntbeam.schemas.sysmon import ProcessTerminate
from huntbeam.transforms.batches import BatchCoder
from huntbeam.transforms.join import JoinKind, Output
from huntbeam.transforms.join_bounded import JoinBounded
from huntbeam.transforms.join_unbounded import JoinUnbounded
from tests.transforms.test_join import END, GUIDS, WAITS, Arrival, arrivals, as_rows, bounded, connect, create


def equal_to(expected: Sequence[Output]) -> Callable[[list[list[Output]]], None]:
    def check(batches: list[list[Output]]) -> None:
        assert as_rows(row for batch in batches for row in batch) == as_rows(expected)

    return check


def all_batches(tagged: Any) -> beam.PCollection:
    return (tagged[streams.JOIN], tagged[streams.UNMATCHED]) | beam.Flatten()


@settings(max_examples=4, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(arrivals(spread=WAITS.join), st.sampled_from(JoinKind))
def test_bounded_wiring(found: list[Arrival], kind: JoinKind) -> None:
    batches = [[f.row] for f in found if f.row is not None]
    with BeamPipeline(runner=FnApiRunner()) as p:
        rows = p | beam.Create(batches) | JoinBounded(kind)
        assert_that(all_batches(rows), equal_to(bounded(found, kind)))


@settings(max_examples=5, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(arrivals(spread=WAITS.join))
def test_unbounded_wiring(found: list[Arrival]) -> None:
    play(found, equal_to(bounded(found)))


def play(found: Sequence[Arrival], check: Callable[[list[list[Output]]], None]) -> None:
    """Runs the unbounded wiring, the watermark following the arrivals, and past the last timer."""
    stream = BeamStream(coder=BatchCoder())
    watermark = -1
    for arrival in found:
        at = Timestamp(micros=arrival.a * 1000)
        if arrival.a > watermark:
            stream = stream.advance_watermark_to(at)
            watermark = arrival.a
        stream = stream.add_elements([TimestampedValue([brought(arrival)], at)])
    stream = stream.advance_watermark_to(Timestamp(micros=END * 1000)).advance_watermark_to_infinity()
    with BeamPipeline(runner=BundleBasedDirectRunner(), options=streaming()) as p:
        rows = p | stream | JoinUnbounded(waits=WAITS)
        assert_that(all_batches(rows), check)


def brought(arrival: Arrival) -> object:
    return arrival.row or ProcessTerminate(host="ws-1", process_guid=arrival.guid)


def streaming() -> PipelineOptions:
    options = PipelineOptions([])
    options.view_as(StandardOptions).streaming = True
    return options


def test_a_late_create_finds_its_waiting_connect_only_within_join_wait() -> None:
    found = [
        Arrival(0, 0, GUIDS[1], connect(GUIDS[1], "in time")),
        Arrival(0, 0, GUIDS[2], connect(GUIDS[2], "too late")),
        Arrival(WAITS.join, 0, GUIDS[1], create(GUIDS[1], "p")),
        Arrival(WAITS.join + 1, 0, GUIDS[2], create(GUIDS[2], "p")),
    ]

    def check(batches: list[list[Output]]) -> None:
        rows = sorted((type(row).__name__, row.process_guid) for batch in batches for row in batch)
        assert rows == [("SysmonJoin", GUIDS[1]), ("SysmonUnmatched", GUIDS[2])]

    play(found, check)
