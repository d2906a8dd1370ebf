"""The wirings of suppression on Beam: bounded on FnApiRunner, unbounded with TestStream."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline as BeamPipeline  # pytest collects Test...
from apache_beam.testing.test_stream import TestStream as BeamStream
from apache_beam.testing.util import assert_that
from apache_beam.transforms.window import TimestampedValue
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from huntbeam.schemas import streams
from huntbeam.schemas.alert import Alert
from huntbeam.transforms.arrival import timestamp
from huntbeam.transforms.batches import Batch, BatchCoder
from huntbeam.transforms.correlation.known import FixedCorrelations
from huntbeam.transforms.suppression.bounded import SuppressBounded
from huntbeam.transforms.suppression.evaluate import Placed
from huntbeam.transforms.suppression.unbounded import SuppressUnbounded
from tests.transforms.correlation.test_evaluate import correlation
from tests.transforms.correlation.test_wirings import streaming
from tests.transforms.keyed import END, NOON
from tests.transforms.suppression.test_suppression import (
    LATENESS,
    SIZE,
    SPAN,
    Version,
    arrivals,
    ends,
    final,
    naive,
)

KNOWN = FixedCorrelations([msgspec.structs.replace(correlation(), rule_id="c", timespan_ms=SPAN)])

many = arrivals().filter(lambda found: len(found) > 5)  # an example costs seconds: none is empty
few = settings(max_examples=2, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))


def together(found: dict[str, beam.PCollection]) -> beam.PCollection:
    """The batches of both streams as Placed."""
    named = [
        rows | name >> beam.FlatMap(lambda batch, n=name: [Placed(n == streams.SUPPRESSED, one) for one in batch])
        for name, rows in found.items()
    ]
    return tuple(named) | "Together" >> beam.Flatten()


@few
@given(many, st.sampled_from([1, 100]))
def test_bounded_wiring_is_what_the_text_says(found: list[Version], size: int) -> None:
    alerts: list[Alert] = ends(found) * 2  # an alert that is there twice counts once

    def check(placed: list[Placed]) -> None:
        timeless = [one.alert for one in placed if one.alert.time is None]
        assert len(timeless) == 2 * len(set(map(plain_uid, timeless)))
        assert final(placed) == naive(alerts)
        assert len(placed) - len(timeless) // 2 == len(naive(alerts)[0]) + len(naive(alerts)[1])

    with BeamPipeline(runner=FnApiRunner()) as pipeline:
        batches = pipeline | beam.Create([alerts[at : at + size] for at in range(0, len(alerts), size)])
        rows = batches | beam.Map(list).with_output_types(Batch)
        assert_that(together(rows | "Suppress" >> SuppressBounded(SIZE)), check)


def plain_uid(alert: Alert) -> str:
    return alert.event_uid


@few
@given(many)
def test_final_rows_of_the_stream_are_what_the_text_says(found: list[Version]) -> None:
    source, watermark = BeamStream(coder=BatchCoder()), -1
    for a in sorted({one.a for one in found}):
        if a > watermark:
            source = source.advance_watermark_to(timestamp(NOON + a))
            watermark = a
        batch = [one.alert for one in sorted(found, key=lambda v: v.alert.revision) if one.a == a]
        source = source.add_elements([TimestampedValue(batch, timestamp(NOON + a))])
    source = source.advance_watermark_to(timestamp(END)).advance_watermark_to_infinity()

    def check(placed: list[Placed]) -> None:
        assert final(placed) == naive(ends(found))

    with BeamPipeline(runner=BundleBasedDirectRunner(), options=streaming()) as pipeline:
        step: Any = SuppressUnbounded(SIZE, KNOWN, LATENESS)
        assert_that(together(pipeline | source | "Suppress" >> step), check)
