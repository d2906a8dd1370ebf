"""The wirings of correlations on Beam, bounded and unbounded, against the evaluator that is written from the text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import apache_beam as beam
import msgspec
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline as BeamPipeline  # pytest collects Test...
from apache_beam.testing.test_stream import TestStream as BeamStream
from apache_beam.testing.util import assert_that
from apache_beam.transforms.window import TimestampedValue
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from huntbeam.schemas.alert import Alert
from huntbeam.schemas.clock import HOUR
from huntbeam.schemas.correlation import (
    Correlation,
    CorrelationAlert,
    CorrelationType,
    Group,
    Grouped,
    Hit,
    Reference,
)
from huntbeam.transforms.arrival import timestamp
from huntbeam.transforms.batches import Batch, BatchCoder
from huntbeam.transforms.correlation.bounded import CorrelateBounded
from huntbeam.transforms.correlation.hits import alert_hits, hits
from huntbeam.transforms.correlation.known import DEEPEST, FixedCorrelations
from huntbeam.transforms.correlation.rows import alert_row
from huntbeam.transforms.correlation.unbounded import CorrelateUnbounded
from tests.transforms.correlation.test_evaluate import SPAN, correlation, naive
from tests.transforms.keyed import END, NOON

WAIT = SPAN // 2
LATENESS = 20 * SPAN
SPREAD = 4 * SPAN  # of arrivals


def named(rule_id: str, asked: Correlation, depth: int = 0, **others: Any) -> Correlation:
    return msgspec.structs.replace(asked, rule_id=rule_id, title=rule_id, depth=depth, version=rule_id, **others)


EVENT_COUNT, TEMPORAL = CorrelationType.EVENT_COUNT, CorrelationType.TEMPORAL
CHAIN = (
    named("many", correlation(EVENT_COUNT, ("gte", 2), rules=["failure"]), alerts=False),
    named("few", correlation(EVENT_COUNT, ("lte", 1), rules=["failure", "login"])),
    named(
        "then",
        correlation(CorrelationType.TEMPORAL_ORDERED, rules=["many", "login"]),
        1,
        group_by=("User",),
        tags=("attack.t1110",),
    ),
    named(
        "all",
        correlation(TEMPORAL, ("gte", 2), rules=["then", "few"]),
        2,
        group_by=("User",),
        references=(Reference("then"), Reference("few")),
    ),
)
KNOWN = FixedCorrelations(CHAIN, "the rules")


class Came(msgspec.Struct, frozen=True):
    """An event, and when it came after noon."""

    a: int
    time: int
    uid: str
    rule: str
    user: str
    host: str


def grouped(one: Came) -> list[Grouped]:
    """What the event is to all correlations, as a detector says it."""
    fields = {"User": one.user, "Computer": one.host}
    return [g for c in KNOWN.naming_rule(one.rule) for g in hits(c, one.rule, fields, NOON + one.time, one.uid)]


def expected(came: Iterable[Came]) -> list[Alert]:
    """Depth after depth by brute force."""
    waiting, rows = [g for one in came for g in grouped(one)], []
    for asked in CHAIN:
        of: dict[Group, list[Hit]] = {}
        for one in waiting:
            if one.key.rule_id == asked.rule_id:
                of.setdefault(one.key.group, []).append(one.hit)
        found: list[CorrelationAlert] = [row for group, hits_ in of.items() for row in naive(asked, group, hits_)]
        waiting += [g for row in found for c in KNOWN.naming(asked.rule_id, asked.version) for g in alert_hits(c, row)]
        rows += [alert_row(asked, row, "the rules") for row in found if asked.alerts]
    return plain(rows)


def plain(found: Iterable[Alert]) -> list[Alert]:
    return sorted((msgspec.structs.replace(one, revision=0) for one in found), key=lambda one: one.event_uid)


def valid(batches: Iterable[Sequence[Alert]]) -> list[Alert]:
    """Of each row the last revision, unless that takes it back."""
    last: dict[str, Alert] = {}
    for one in sorted((one for batch in batches for one in batch), key=lambda one: one.revision):
        last[one.event_uid] = one
    return plain(one for one in last.values() if not one.retracted)


@st.composite
def events(draw: st.DrawFn) -> list[Came]:
    found = []
    for number in range(draw(st.integers(8, 14))):
        time = draw(st.sampled_from([0, 1, SPAN // 2, SPAN, SPAN + 1, 2 * SPAN]) | st.integers(0, 4 * SPAN))
        user, host = draw(st.sampled_from(["ada", "ADA", "grace"])), draw(st.sampled_from(["ws-7", "ws-8"]))
        rule = draw(st.sampled_from(["failure", "failure", "login"]))
        came = Came(draw(st.integers(0, SPREAD)), time, f"e{number:02}", rule, user, host)
        found += [came] * draw(st.sampled_from([1, 1, 2]))
    return found


few = settings(max_examples=2, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))


@few
@given(events(), st.sampled_from([1, 3, 100]), st.sampled_from([1, 16]))
def test_bounded_wiring_is_brute_force(came: list[Came], size: int, shards: int) -> None:
    found = [g for one in came for g in grouped(one)]

    def check(batches: list[list[Alert]]) -> None:
        assert plain(one for batch in batches for one in batch) == expected(came)

    with BeamPipeline(runner=FnApiRunner()) as pipeline:
        batches = pipeline | beam.Create([found[at : at + size] for at in range(0, len(found), size)])
        hits_ = batches | beam.Map(list).with_output_types(Batch)
        assert_that(hits_ | CorrelateBounded(KNOWN, KNOWN.depths, shards), check)


def unbounded() -> CorrelateUnbounded:
    return CorrelateUnbounded(KNOWN, KNOWN.depths, WAIT, LATENESS)


def streaming() -> PipelineOptions:
    options = PipelineOptions([])
    options.view_as(StandardOptions).streaming = True
    return options


def play(came: Iterable[Came], check: Any) -> None:
    """The watermark follows the arrivals, then goes on step by step: each depth waits for the one before it."""
    source, watermark = BeamStream(coder=BatchCoder()), -HOUR
    for one in sorted(came, key=lambda one: one.a):
        if one.a > watermark:
            source = source.advance_watermark_to(timestamp(NOON + one.a))
            watermark = one.a
        source = source.add_elements([TimestampedValue(grouped(one), timestamp(NOON + one.a))])
    for step in range(1, 4 * (LATENESS + 4 * SPAN) // WAIT):
        source = source.advance_watermark_to(timestamp(NOON + watermark + step * WAIT))
    source = source.advance_watermark_to(timestamp(END)).advance_watermark_to_infinity()
    with BeamPipeline(runner=BundleBasedDirectRunner(), options=streaming()) as pipeline:
        assert_that(pipeline | source | "Correlate" >> unbounded(), check)


@few
@given(events())
def test_final_rows_of_the_stream_are_brute_force(came: list[Came]) -> None:
    play(came, lambda batches: assert_valid(batches, came))


def assert_valid(batches: list[list[Alert]], came: list[Came]) -> None:
    assert valid(batches) == expected(came)


def a_story() -> list[Came]:
    """A login after two failures, of which an earlier one comes late and moves the alert that it hangs on."""
    return [
        Came(0, 0, "f1", "failure", "ada", "ws-7"),
        Came(1, 1000, "f2", "failure", "ada", "ws-7"),
        Came(2, 2000, "l1", "login", "Ada", "ws-8"),
        Came(3 * SPAN, 500, "f0", "failure", "ada", "ws-7"),
    ]


def test_an_inner_alert_that_is_taken_back_takes_back_the_outer_one() -> None:
    came = a_story()
    rows = expected(came)
    assert {one.rule_id for one in rows} == {"few", "then", "all"}

    def check(batches: list[list[Alert]]) -> None:
        told = [one for batch in batches for one in batch]
        assert valid(batches) == rows
        (now,) = (one for one in rows if one.rule_id == "then")
        then = sorted((one for one in told if one.rule_id == "then"), key=lambda one: one.revision)
        assert [(one.event_uid == now.event_uid, one.retracted) for one in then] == [(True, False), (True, False)]
        assert then[0].contributing != then[1].contributing == now.contributing
        assert {one.rule_type for one in told} == {"event_count", "temporal_ordered", "temporal"}
        assert all(one.ruleset == "the rules" and one.user_account == "ada" for one in told)
        assert {one.host for one in told if one.rule_id == "few"} <= {"ws-7", "ws-8"}

    play(came, check)


def test_events_that_end_give_these_alerts_on_the_runner_of_streams_to_their_end() -> None:
    """On FnApiRunner, where the timers of all steps fire at the end."""
    came = a_story()

    def check(batches: list[list[Alert]]) -> None:
        assert valid(batches) == expected(came)

    with BeamPipeline(runner=FnApiRunner()) as pipeline:
        batches = pipeline | beam.Create([(NOON + one.a, grouped(one)) for one in came], reshuffle=False)
        at = batches | beam.MapTuple(lambda a, batch: TimestampedValue(batch, timestamp(a))).with_output_types(Batch)
        assert_that(at | unbounded(), check)


def test_correlations_are_no_deeper_than_there_are_steps() -> None:
    with pytest.raises(ValueError, match="5 depths at the most, not 6"), BeamPipeline() as pipeline:
        _ = pipeline | beam.Create([[]]) | CorrelateUnbounded(KNOWN, DEEPEST + 2)
