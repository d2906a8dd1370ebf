"""The part of a direct replay that needs Beam, which is loaded only here and only when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from huntbeam.pipelines.graph import Steps, output_streams
from huntbeam.pipelines.replay import Replay, replay
from huntbeam.pipelines.replay_options import ReplayOptions
from huntbeam.runners.console import said
from huntbeam.runners.plans import Planned, enrichment_of
from huntbeam.runners.search.ready import look
from huntbeam.schemas.streams import ALERTS, EVENTS, STREAMS
from huntbeam.transforms.digest import Plan
from huntbeam.transforms.enrich_rows import EnrichedRowsFn
from huntbeam.transforms.publish import discard, prepare, publish
from huntbeam.transforms.read import Span
from huntbeam.transforms.report import ReportPart, whole_summary
from huntbeam.transforms.row_writers import Format
from huntbeam.transforms.write import read_manifest

MANIFEST = "manifest.json"


def steps_of(options: ReplayOptions, planned: Planned) -> Steps:
    """What the graph does."""
    return Steps(
        options.join,
        options.dedupe,
        EVENTS in options.streams,
        options.counters,
        options.window_ms,
        without=options.without,
        rules=bool(options.rules),
        anomalies=planned.anomalies.rules,
        baseline=planned.anomalies.baseline,
        correlations=planned.correlations,
        depths=planned.correlations.depths if planned.correlations is not None else 0,
        suppress_ms=options.suppress_ms,
        enrich=enrichment_of(planned, options.ancestry),
    )


def replay_job(
    options: ReplayOptions, spans: Sequence[Span], plan: Plan, steps: Steps, aside: str, ticket: str = ""
) -> Replay:
    """A replay that writes into a folder aside."""
    manifest = FileSystems.join(aside, MANIFEST)
    form = Format(options.format)
    return Replay(
        spans, plan, steps, form, aside, manifest, alerts=options.alert_format, index=options.index, ticket=ticket
    )


def execute(
    options: ReplayOptions, spans: Sequence[Span], planned: Planned, ticket: str, elapsed: Callable[[], float]
) -> tuple[dict[str, int], ReportPart]:
    """Builds and runs the graph; gives the rows of each stream and the report. On failure the output is as it was."""
    beam_options = PipelineOptions(list(options.beam))
    FileSystems.set_options(beam_options)
    steps = steps_of(options, planned)
    if options.index is not None:
        look(options.index, output_streams(steps), said(options.quiet))
    aside = prepare(options.output, options.overwrite)
    job = replay_job(options, spans, planned.plan, steps, aside, ticket=ticket)
    try:
        with beam.Pipeline(runner=FnApiRunner(), options=beam_options) as pipeline:
            replay(pipeline, job)
        report = _with(read_manifest(job.manifest), _missing(pipeline.result) if steps.enrich else {})
        streams = {name: STREAMS[name] for name in output_streams(steps)}
        notes = {**whole_summary(report, alerts=ALERTS in streams), "seconds": round(elapsed(), 3)}
        return publish(options.output, aside, report, streams, job.format, notes), report
    except BaseException:
        discard(aside)
        raise


def _missing(result: Any) -> dict[str, int]:
    """What enrichment counted and is not 0."""
    counters = result.metrics().query(MetricsFilter().with_namespace(EnrichedRowsFn))["counters"]
    counted = {one.key.metric.name: one.committed for one in counters if one.key.metric.name.endswith("_missing")}
    return {name: count for name, count in counted.items() if count}


def _with(report: ReportPart, tallies: dict[str, int]) -> ReportPart:
    return msgspec.structs.replace(report, tallies=dict(sorted({**report.tallies, **tallies}.items())))
