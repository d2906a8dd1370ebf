"""Flink: what a job needs to run there, and nothing else. It is submitted to Beam's job server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.portable_runner import PipelineResult, PortableRunner

from huntbeam.pipelines.stream import Stream, stream
from huntbeam.pipelines.stream_options import FlinkOptions
from huntbeam.runners.flink_addresses import Addresses
from huntbeam.runners.kafka.beam_ends import KafkaIO

BUNDLE = 10_000  # records worked on together, at most


def beam_options(flink: FlinkOptions, at: Addresses, further: Sequence[str], *, bounded: bool) -> PipelineOptions:
    """The options of the job. Operators keep their names, so that a savepoint finds its state."""
    return PipelineOptions(
        [
            "--streaming",
            f"--job_name={flink.job_name}",
            f"--job_endpoint={at.job_endpoint}",
            "--environment_type=EXTERNAL",
            f"--environment_config={at.worker_pool}",
            f"--parallelism={flink.parallelism}",
            f"--sdk_worker_parallelism={flink.parallelism}",
            f"--max_parallelism={flink.max_parallelism}",
            f"--checkpointing_interval={flink.checkpointing_ms}",
            "--externalized_checkpoints_enabled",
            "--retain_externalized_checkpoints_on_cancellation",
            # else a checkpoint keeps the rest of a bundle under the numbers of a step's outputs, which each submission
            # gives anew: a resumed job would put rows into another topic, or fail
            "--finish_bundle_before_checkpointing",
            "--fail_on_checkpointing_errors",  # off: Beam makes store_false of what is true by default
            f"--max_bundle_size={BUNDLE}",
            f"--max_bundle_time_mills={flink.bundle_ms}",
            *([f"--savepoint_path={_uri(flink.savepoint)}"] if flink.savepoint else []),
            "--faster_copy",
            "--object_reuse",
            *(["--shutdown_sources_after_idle_ms=1000"] if bounded else []),  # else a source that has ended stays
            *further,
        ]
    )


def submit(job: Stream, ends: KafkaIO, options: PipelineOptions) -> PipelineResult:
    """Starts the job and returns; it runs on whatever becomes of this process."""
    pipeline = beam.Pipeline(runner=PortableRunner(), options=options)
    stream(pipeline, job, ends)
    return pipeline.run()


def _uri(path: str) -> str:
    return path if ":" in path else Path(path).absolute().as_uri()
