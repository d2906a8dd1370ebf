"""The part of a direct replay that needs Beam, which is loaded only here and only when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import msgspec
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from huntbeam.pipelines.graph import Wired
from huntbeam.pipelines.replay import Replay, replay
from huntbeam.pipelines.replay_options import FileOptions
from huntbeam.runners.console import said
from huntbeam.runners.search.ready import look
from huntbeam.schemas.ecs import AlertFormat
from huntbeam.schemas.streams import ALERTS, STREAMS
from huntbeam.transforms.digests import AnyPlan
from huntbeam.transforms.enrich_rows import EnrichedRowsFn
from huntbeam.transforms.publish import discard, prepare, publish
from huntbeam.transforms.read import Span
from huntbeam.transforms.report import ReportPart, whole_summary
from huntbeam.transforms.row_writers import Format
from huntbeam.transforms.write import read_manifest

MANIFEST = "manifest.json"


class Run(NamedTuple):
    """What is read, and what is done with it."""

    spans: Sequence[Span]
    plan: AnyPlan
    steps: Wired
    alerts: AlertFormat
    ticket: str = ""


def replay_job(options: FileOptions, run: Run, aside: str) -> Replay:
    """A replay that writes into a folder aside."""
    manifest = FileSystems.join(aside, MANIFEST)
    form = Format(options.format)
    return Replay(
        run.spans,
        run.plan,
        run.steps,
        form,
        aside,
        manifest,
        alerts=run.alerts,
        index=options.index,
        ticket=run.ticket,
    )


def execute(options: FileOptions, run: Run, elapsed: Callable[[], float]) -> tuple[dict[str, int], ReportPart]:
    """Builds and runs the graph; gives the rows of each stream and the report. On failure the output is as it was."""
    beam_options = PipelineOptions(list(options.beam))
    FileSystems.set_options(beam_options)
    if options.index is not None:
        look(options.index, run.steps.streams(), said(options.quiet))
    aside = prepare(options.output, options.overwrite)
    job = replay_job(options, run, aside)
    try:
        with beam.Pipeline(runner=FnApiRunner(), options=beam_options) as pipeline:
            replay(pipeline, job)
        report = _with(read_manifest(job.manifest), _missing(pipeline.result))
        streams = {name: STREAMS[name] for name in run.steps.streams()}
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
