"""The wirings of anomalies on Beam: bounded on FnApiRunner, unbounded with TestStream, against the pure cores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

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

from huntbeam.schemas import streams
from huntbeam.schemas.anomaly import Anomaly, AnomalyRule, Deviation, FirstSeen, Method, Severity, Threshold
from huntbeam.schemas.clock import HOUR, MINUTE
from huntbeam.schemas.sysmon import NetworkConnect
from huntbeam.schemas.window import WindowCount
from huntbeam.transforms.anomaly.baseline import baseline_lines
from huntbeam.transforms.anomaly.beacons import BeaconCore, beacons, connect, hour
from huntbeam.transforms.anomaly.bounded import FindAnomaliesBounded
from huntbeam.transforms.anomaly.evaluate import evaluate_all, row_key
from huntbeam.transforms.anomaly.keyed import AnomalyCore, arrived
from huntbeam.transforms.anomaly.rarity import BaselineFile
from huntbeam.transforms.anomaly.sightings import SightingCore, concerned, sighted_all, sighting
from huntbeam.transforms.anomaly.split import split
from huntbeam.transforms.anomaly.unbounded import BeaconFn, FindAnomaliesUnbounded, RowAnomalyFn, SightingFn
from huntbeam.transforms.arrival import millis, timestamp
from huntbeam.transforms.batches import Batch, BatchCoder
from huntbeam.transforms.windows_unbounded import CountUnbounded
from tests.transforms.anomaly import test_beacons, test_keyed, test_sightings
from tests.transforms.anomaly.test_evaluate import SIZE, deviation, row, threshold
from tests.transforms.keyed import END, NOON, Brought, Driver, stream
from tests.transforms.test_window_rows import COUNTERS, TIMING, Event, event, events
from tests.transforms.test_windows import count

LATENESS = test_keyed.LATENESS
BASELINE = test_sightings.baseline(1)
RULES: tuple[AnomalyRule, ...] = (
    threshold(2.5),
    deviation(windows=6, factor=0.7654321),
    *test_sightings.RULES,
    *test_beacons.RULES,
)
Row = WindowCount | NetworkConnect


class Came(NamedTuple):
    """A row, and when it came after noon."""

    a: int
    row: Row


class Told(NamedTuple):
    """What was put out, and the timestamp that it had."""

    at: int
    row: Anomaly


def replayed(rows: Iterable[Row], rules: Sequence[AnomalyRule] = RULES) -> list[Anomaly]:
    of, known = split(rules), list(rows)
    counts = [one for one in known if isinstance(one, WindowCount)]
    connects = [one for one in known if isinstance(one, NetworkConnect)]
    return [
        *evaluate_all(of.windows, counts, SIZE),
        *sighted_all(of.sightings, counts, BASELINE),
        *beacons(of.beacons, connects),
    ]


def driven(came: Sequence[Came]) -> list[Told]:
    """What the cores put out without Beam."""
    of = split(RULES)
    counts = [(NOON + a, one) for a, one in came if isinstance(one, WindowCount)]
    connects = [(NOON + a, one) for a, one in came if isinstance(one, NetworkConnect)]
    runs = (
        (AnomalyCore(of.windows, SIZE, LATENESS).log(), [Brought(row_key(one), arrived(a, one)) for a, one in counts]),
        (
            SightingCore(of.sightings, BASELINE).log(),
            [Brought(k, sighting(a, one)) for a, one in counts for k in concerned(of.sightings, one, BASELINE)],
        ),
        (
            BeaconCore(of.beacons, allowed_lateness=LATENESS).log(),
            [Brought(hour(one), connect(a, one)) for a, one in connects],
        ),
    )
    return [Told(out.at, out.row) for log, found in runs for out in stream(Driver(log), found).out]


def by_stream(batches: beam.PCollection) -> dict[str, beam.PCollection]:
    kinds = {streams.WINDOW_COUNTS: WindowCount, streams.NETWORK_CONNECT: NetworkConnect}
    return {name: batches | name >> beam.Map(only, kind).with_output_types(Batch) for name, kind in kinds.items()}


def only(batch: list[Row], kind: type) -> list[Row]:
    return [one for one in batch if isinstance(one, kind)]


def told(batches: beam.PCollection) -> beam.PCollection:
    return batches | "Told" >> beam.FlatMap(lambda b, at=beam.DoFn.TimestampParam: [Told(millis(at), one) for one in b])


def in_order(found: Iterable[Told]) -> list[Told]:
    return sorted(found, key=lambda one: (one.at, one.row.event_uid, one.row.revision))


def valid(found: Iterable[Anomaly]) -> list[Anomaly]:
    """Of each row the last revision, unless that takes it back; as replay puts it out."""
    last: dict[str, Anomaly] = {}
    for one in sorted(found, key=lambda one: one.revision):
        last[one.event_uid] = one
    return plain(one for one in last.values() if not one.retracted)


def plain(found: Iterable[Anomaly]) -> list[Anomaly]:
    return sorted((msgspec.structs.replace(one, revision=0) for one in found), key=lambda one: one.event_uid)


def finding(rules: Sequence[AnomalyRule] = RULES, lateness: int = LATENESS) -> FindAnomaliesUnbounded:
    return FindAnomaliesUnbounded(tuple(rules), SIZE, lateness, BASELINE)


def streaming() -> PipelineOptions:
    options = PipelineOptions([])
    options.view_as(StandardOptions).streaming = True
    return options


def play(came: Iterable[Came], check: Callable[[list[Told]], None], rules: Sequence[AnomalyRule] = RULES) -> None:
    """Runs the unbounded wiring, the watermark following the arrivals, and past the last timer."""
    source, watermark = BeamStream(coder=BatchCoder()), -HOUR
    for a, one in sorted(came, key=lambda one: one.a):
        if a > watermark:
            source = source.advance_watermark_to(timestamp(NOON + a))
            watermark = a
        source = source.add_elements([TimestampedValue([one], timestamp(NOON + a))])
    source = source.advance_watermark_to(timestamp(END)).advance_watermark_to_infinity()
    with BeamPipeline(runner=BundleBasedDirectRunner(), options=streaming()) as pipeline:
        assert_that(told(by_stream(pipeline | source) | "Find" >> finding(rules)), check)


@st.composite
def arrivals(draw: st.DrawFn) -> list[Came]:
    """Window rows as they are put out, and connects of about their time."""
    counts = [Came(a, one) for a, one, _ in draw(test_keyed.arrivals())]
    return counts + [Came(draw(st.integers(0, HOUR)), one) for one in draw(test_beacons.connects())]


few = settings(max_examples=4, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))


@few
@given(arrivals(), st.sampled_from([1, 3, 100]), st.sampled_from([1, 16]))
def test_bounded_wiring_is_the_pure_evaluators(came: list[Came], size: int, shards: int) -> None:
    rows = [one.row for one in came]

    def check(batches: list[list[Anomaly]]) -> None:
        assert plain(one for batch in batches for one in batch) == plain(replayed(rows))

    with BeamPipeline(runner=FnApiRunner()) as pipeline:
        batches = pipeline | beam.Create([rows[at : at + size] for at in range(0, len(rows), size)])
        assert_that(by_stream(batches) | FindAnomaliesBounded(RULES, SIZE, BASELINE, shards), check)


@few
@given(arrivals())
def test_unbounded_wiring_puts_out_what_the_cores_do(came: list[Came]) -> None:
    def check(found: list[Told]) -> None:
        assert in_order(found) == in_order(driven(came))

    play(came, check)


def a_day() -> list[Came]:
    """Something for every rule: rows that come late, change, and take anomalies back."""
    numbers = [1, 1, 2, 1, 9, 1, 1, 10]
    counts = [
        Came(n * SIZE + SIZE * (n == 3), row(n, count, host=host))
        for n, count in enumerate(numbers)
        for host in ("ws-7", "ws-8")
    ]
    late = [Came(9 * SIZE, row(6, 30)), Came(9 * SIZE + 1, row(4, 11, host="WS-8"))]
    regular = [Came(n * MINUTE, one) for n, one in enumerate(test_beacons.every(MINUTE, 20))]
    return [*counts, *late, *regular]


def test_final_rows_of_the_stream_are_those_of_replay() -> None:
    came = a_day()
    expected = plain(replayed(one.row for one in came))
    assert {one.kind for one in expected} == {"threshold", "deviation", "first_seen", "rare", "beacon"}

    def check(found: list[Told]) -> None:
        assert valid(one.row for one in found) == expected
        assert any(one.row.retracted for one in found)

    play(came, check)


def test_input_that_ends_gives_the_same_rows_and_they_are_counted() -> None:
    """FnApiRunner has all steps in one stage, and fires their timers at the end of the input, in their order."""
    came = a_day()
    expected = in_order(driven(came))

    def check(batches: list[list[Anomaly]]) -> None:
        found = [msgspec.json.encode(one) for batch in batches for one in batch]
        assert sorted(found) == sorted(msgspec.json.encode(one.row) for one in expected)

    pipeline = BeamPipeline(runner=FnApiRunner())
    batches = pipeline | beam.Create([(one.a, [one.row]) for one in came], reshuffle=False)
    at = batches | beam.MapTuple(lambda a, batch: TimestampedValue(batch, timestamp(NOON + a))).with_output_types(Batch)
    assert_that(by_stream(at) | "Find" >> finding(), check)
    result = pipeline.run()
    result.wait_until_finish()
    counted = {}
    for step in (RowAnomalyFn, SightingFn, BeaconFn):
        (counter,) = result.metrics().query(MetricsFilter().with_namespace(step))["counters"]
        assert counter.key.metric.name == "emitted"
        counted[step] = counter.committed
    kinds = [one.row.kind for one in expected]
    assert counted == {
        RowAnomalyFn: kinds.count("threshold") + kinds.count("deviation"),
        SightingFn: kinds.count("first_seen") + kinds.count("rare"),
        BeaconFn: kinds.count("beacon"),
    }


def test_a_late_row_takes_an_anomaly_back_at_once() -> None:
    came = [Came(0, row(0, 1)), Came(2 * SIZE, row(2, 3)), Came(2 * SIZE + 1, row(1, 9))]

    def check(found: list[Told]) -> None:
        shown = sorted((at - NOON, one.revision, one.retracted, one.value) for at, one in found)
        assert shown == [
            (2 * SIZE + 1, 0, False, 3),
            (2 * SIZE + 2, 0, False, 9),
            (2 * SIZE + 2, 1, True, 3),
        ]

    play(came, check, [deviation(windows=2)])


def test_a_bundle_of_many_items_is_gathered_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huntbeam.transforms.keyed_log_beam.GATHERED", 3)
    came = a_day()
    source = BeamStream(coder=BatchCoder())
    source = source.add_elements([TimestampedValue([one.row], timestamp(NOON + one.a)) for one in came])
    source = source.advance_watermark_to(timestamp(END)).advance_watermark_to_infinity()

    def check(found: list[Told]) -> None:
        assert in_order(found) == in_order(driven(came))

    with BeamPipeline(runner=BundleBasedDirectRunner(), options=streaming()) as pipeline:
        assert_that(told(by_stream(pipeline | source) | "Find" >> finding()), check)


COUNTED: tuple[AnomalyRule, ...] = (
    Threshold(id="t", name="t", severity=Severity.LOW, counter="by_host", above=1),
    Deviation(
        id="d", name="d", severity=Severity.LOW, counter="by_host", method=Method.MEDIAN_MAD, factor=0.3, min_history=1
    ),
    FirstSeen(id="f", name="f", severity=Severity.LOW, counter="network_destination"),
)


@few
@given(events(spread=SIZE))
def test_rows_that_the_windows_step_puts_out_are_judged_as_replays_are(found: list[Event]) -> None:
    """Events to rows to anomalies, all on Beam: the timer of a row is its arrival."""
    expected = replayed(count([one.row for one in found], COUNTERS, SIZE), COUNTED)
    source, watermark = BeamStream(coder=BatchCoder()), NOON - HOUR
    for one in sorted(found, key=lambda e: e.a):
        if one.a > watermark:
            source = source.advance_watermark_to(timestamp(one.a))
            watermark = one.a
        source = source.add_elements([TimestampedValue([one.row], timestamp(one.a))])
    # Step by step: this runner does not hold a step's watermark back by the timers of the step before it.
    for step in range(1, 2 * HOUR // LATENESS):
        source = source.advance_watermark_to(timestamp(watermark + step * LATENESS))
    source = source.advance_watermark_to(timestamp(END)).advance_watermark_to_infinity()

    def check(batches: list[list[Anomaly]]) -> None:
        assert valid(one for batch in batches for one in batch) == plain(expected)

    with BeamPipeline(runner=BundleBasedDirectRunner(), options=streaming()) as pipeline:
        windows = CountUnbounded(COUNTERS, TIMING.size, TIMING.grace, TIMING.allowed_lateness)
        rows = pipeline | source | "Windows" >> windows
        assert_that({streams.WINDOW_COUNTS: rows} | "Find" >> finding(COUNTED, TIMING.allowed_lateness), check)


def test_events_that_end_become_rows_and_these_anomalies() -> None:
    """On FnApiRunner, where the timers of all steps fire at the end."""
    found = [event(NOON + n * SIZE + 1, NOON + n * SIZE, port=p) for n in range(4) for p in range(n + 1)]
    expected = plain(replayed(count([one.row for one in found], COUNTERS, SIZE), COUNTED))
    assert {one.rule_id for one in expected} == {"t", "d", "f"}

    def check(batches: list[list[Anomaly]]) -> None:
        assert valid(one for batch in batches for one in batch) == expected

    with BeamPipeline(runner=FnApiRunner()) as pipeline:
        batches = pipeline | beam.Create([(one.a, [one.row]) for one in found], reshuffle=False)
        at = batches | beam.MapTuple(lambda a, batch: TimestampedValue(batch, timestamp(a))).with_output_types(Batch)
        rows = at | "Windows" >> CountUnbounded(COUNTERS, TIMING.size, TIMING.grace, TIMING.allowed_lateness)
        assert_that({streams.WINDOW_COUNTS: rows} | "Find" >> finding(COUNTED, TIMING.allowed_lateness), check)


@pytest.mark.parametrize("wiring", [FindAnomaliesBounded((), SIZE), finding(())])
def test_without_rules_there_is_nothing(wiring: beam.PTransform) -> None:
    def check(batches: list[list[Anomaly]]) -> None:
        assert batches == []

    with BeamPipeline(runner=FnApiRunner()) as pipeline:
        assert_that(by_stream(pipeline | beam.Create([[row(0, 99)]])) | wiring, check)


def test_a_stream_that_no_rule_looks_at_need_not_be_there() -> None:
    def check(batches: list[list[Anomaly]]) -> None:
        assert [one.rule_id for batch in batches for one in batch] == ["t-1"]

    with BeamPipeline(runner=FnApiRunner()) as pipeline:
        rows = {streams.WINDOW_COUNTS: pipeline | beam.Create([[row(0, 99)]])}
        assert_that(rows | FindAnomaliesBounded((threshold(),), SIZE), check)


def test_the_unbounded_wiring_has_its_baseline_from_the_file(tmp_path: Path) -> None:
    usual = row(0, host="ws-1")
    new = msgspec.structs.replace(row(1, host="ws-2"), key={"host": "ws-2", "dst_port": 8443, "user_account": None})
    path = tmp_path / "usual.baseline"
    path.write_bytes(b"".join(baseline_lines([usual])))
    rare = msgspec.structs.replace(test_sightings.RARE, at_most=0)

    def check(found: list[Told]) -> None:
        assert [(one.row.kind, one.row.key["dst_port"], one.row.value) for one in found] == [("rare", 8443, 0)]

    source = BeamStream(coder=BatchCoder()).add_elements([TimestampedValue([usual, new], timestamp(NOON))])
    source = source.advance_watermark_to(timestamp(END)).advance_watermark_to_infinity()
    with BeamPipeline(runner=BundleBasedDirectRunner(), options=streaming()) as pipeline:
        wiring = FindAnomaliesUnbounded((rare,), SIZE, LATENESS, BaselineFile(str(path)))
        assert_that(told(by_stream(pipeline | source) | "Find" >> wiring), check)
