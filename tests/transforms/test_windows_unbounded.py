"""The windows' unbounded wiring on Beam, with TestStream, against the rules and against replay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import apache_beam as beam
import msgspec
import pytest
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline as BeamPipeline  # pytest collects Test...
from apache_beam.testing.test_stream import TestStream as BeamStream
from apache_beam.testing.util import assert_that
from apache_beam.transforms.window import TimestampedValue
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from huntbeam.schemas.clock import HOUR, MINUTE
from huntbeam.schemas.window import WindowCount
from huntbeam.transforms.arrival import timestamp
from huntbeam.transforms.batches import BatchCoder
from huntbeam.transforms.window_rows import Timing
from huntbeam.transforms.window_shard import tick
from huntbeam.transforms.windows_unbounded import CountUnbounded, WindowShardFn
from tests.transforms.test_window_rows import (
    CLOSE,
    COUNTERS,
    EARLY,
    END,
    GRACE,
    LATENESS,
    NOON,
    SIZE,
    TIMING,
    Event,
    Out,
    event,
    events,
    expected,
    valid,
)
from tests.transforms.test_windows import count

Check = Callable[[list[list[WindowCount]]], None]


def play(found: Sequence[Event], check: Check, timing: Timing = TIMING, stop: int = END) -> None:
    """Runs the wiring, the watermark following the arrivals, then on to `stop`."""
    stream, watermark = BeamStream(coder=BatchCoder()), NOON - HOUR
    for one in sorted(found, key=lambda e: e.a):
        if one.a > watermark:
            stream = stream.advance_watermark_to(timestamp(one.a))
            watermark = one.a
        stream = stream.add_elements([TimestampedValue([one.row], timestamp(one.a))])
    stream = stream.advance_watermark_to(timestamp(stop)).advance_watermark_to_infinity()
    with BeamPipeline(runner=BundleBasedDirectRunner(), options=streaming()) as pipeline:
        assert_that(pipeline | stream | counting(timing), check)


def counting(timing: Timing) -> CountUnbounded:
    return CountUnbounded(COUNTERS, timing.size, timing.grace, timing.allowed_lateness, timing.early)


def streaming() -> PipelineOptions:
    options = PipelineOptions([])
    options.view_as(StandardOptions).streaming = True
    return options


def rows(batches: Iterable[list[WindowCount]]) -> list[WindowCount]:
    return [one for batch in batches for one in batch]


def equal_to(wanted: list[WindowCount], shown: Callable[[list[WindowCount]], list[WindowCount]]) -> Check:
    def check(batches: list[list[WindowCount]]) -> None:
        assert shown(rows(batches)) == wanted

    return check


def as_readers_do(found: Iterable[WindowCount]) -> list[WindowCount]:
    return valid(Out(0, one) for one in found)


def plain(found: Iterable[WindowCount]) -> list[WindowCount]:
    return [msgspec.structs.replace(one, generation=None, late_count=0) for one in as_readers_do(found)]


@settings(max_examples=6, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(events(), st.sampled_from([TIMING, EARLY]))
def test_rows_are_those_of_the_rules(found: list[Event], timing: Timing) -> None:
    play(found, equal_to(expected(found, timing), as_readers_do), timing)


@settings(max_examples=6, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(events(spread=SIZE))
def test_stream_equals_replay_when_a_windows_events_come_in_time(found: list[Event]) -> None:
    play(found, equal_to(count([e.row for e in found], COUNTERS, SIZE), plain))


@pytest.mark.parametrize(("stop", "expected_rows"), [(CLOSE, 0), (CLOSE + tick(TIMING), len(COUNTERS))])
def test_an_idle_stream_puts_a_row_out_by_the_watermark_alone(stop: int, expected_rows: int) -> None:
    def check(batches: list[list[WindowCount]]) -> None:
        assert [one.count for one in rows(batches)] == [1] * expected_rows

    play([event(NOON)], check, stop=stop)


def test_one_hosts_clock_does_not_touch_anothers_rows() -> None:
    def check(batches: list[list[WindowCount]]) -> None:
        found = [(one.key["host"], one.count, one.late_count) for one in rows(batches) if one.counter == "by_host"]
        assert sorted(found, key=str) == [("ahead", 1, 0), ("behind", 1, 0), ("right", 2, 0)]

    drift = 11 * 24 * HOUR
    play(
        [
            event(NOON, NOON, host="right"),
            event(NOON + 1, NOON + drift, host="ahead"),
            event(NOON + 2, NOON - drift, host="behind"),
            event(NOON + MINUTE, NOON + MINUTE, host="right"),
        ],
        check,
        stop=CLOSE + HOUR,
    )


SHOWN = CLOSE + tick(TIMING)
LATE = [event(NOON), event(SHOWN), event(SHOWN + 1), event(SHOWN + LATENESS + GRACE)]


def test_what_is_late_is_counted_as_such() -> None:
    def check(batches: list[list[WindowCount]]) -> None:
        by_host = [(one.count, one.late_count, one.generation) for one in rows(batches) if one.counter == "by_host"]
        assert by_host == [(1, 0, 0), (3, 2, 0), (1, 0, 1)]

    play(LATE, check)


def test_input_that_ends_gives_the_same_rows_and_they_are_counted() -> None:
    """FnApiRunner fires all timers at the end of the input, in their order."""
    pipeline = BeamPipeline(runner=FnApiRunner())
    batches = pipeline | beam.Create([(one.a, [one.row]) for one in LATE], reshuffle=False)
    arrived = batches | beam.MapTuple(lambda a, batch: TimestampedValue(batch, timestamp(a)))
    assert_that(arrived | "Windows" >> counting(TIMING), equal_to(expected(LATE, TIMING), as_readers_do))
    result = pipeline.run()
    result.wait_until_finish()
    counters = result.metrics().query(MetricsFilter().with_namespace(WindowShardFn))["counters"]
    found = {counter.key.metric.name: counter.committed for counter in counters}
    assert found == {"late": 2 * len(COUNTERS), "emitted": 2 * len(COUNTERS)}  # the late ones came before any timer


def test_a_bundle_of_many_batches_counts_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huntbeam.transforms.windows_unbounded.GROUPS", 3)
    found = [event(NOON + number % 5, port=number % 7, host=f"ws-{number % 4}") for number in range(40)]
    stream = BeamStream(coder=BatchCoder())
    stream = stream.add_elements([TimestampedValue([one.row], timestamp(one.a)) for one in found])
    stream = stream.advance_watermark_to(timestamp(END)).advance_watermark_to_infinity()
    with BeamPipeline(runner=BundleBasedDirectRunner(), options=streaming()) as pipeline:
        assert_that(
            pipeline | stream | counting(TIMING), equal_to(count([e.row for e in found], COUNTERS, SIZE), plain)
        )
