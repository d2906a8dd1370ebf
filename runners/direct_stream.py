"""A stream on the direct runner: against a real broker, with neither Flink nor Java, to the topics' end."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import apache_beam as beam
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from huntbeam.pipelines.stream import Stream, stream
from huntbeam.pipelines.stream_options import TopicOptions
from huntbeam.runners.kafka.ends import DirectEnds


def run_direct(options: TopicOptions, job: Stream, config: Mapping[str, Any]) -> None:
    """Runs the job to its end and says what came of it."""
    started = time.monotonic()
    ends = DirectEnds(config, options.offset == "latest", options.max_records)
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions(list(options.beam)))
    stream(pipeline, job, ends)
    result = pipeline.run()
    result.wait_until_finish()
    if not options.quiet:
        counts = _counts(result)
        for name in sorted(counts):
            print(f"huntbeam: {name.replace('_', ' ')}: {counts[name]:,}", file=sys.stderr)
        print(f"huntbeam: {time.monotonic() - started:.1f} s", file=sys.stderr)


def _counts(result: Any) -> dict[str, int]:
    counters = result.metrics().query(MetricsFilter())["counters"]
    counts: dict[str, int] = {}
    for counter in counters:
        if counter.key.metric.namespace.startswith("huntbeam."):
            name = counter.key.metric.name
            counts[name] = counts.get(name, 0) + counter.committed
    return counts
