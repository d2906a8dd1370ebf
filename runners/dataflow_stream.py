"""A stream on Dataflow: submitted, and left to run there."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from apache_beam.io.kafka import default_io_expansion_service

from huntbeam.pipelines.options import OptionError
from huntbeam.pipelines.stream import Stream, stream
from huntbeam.pipelines.stream_options import TopicOptions
from huntbeam.runners.dataflow import beam_options, check_folders, check_places, say_template, submit
from huntbeam.runners.kafka.beam_ends import kafka_io
from huntbeam.runners.kafka.java_config import java_config
from huntbeam.runners.stack.stack import default_home


def run_dataflow(
    options: TopicOptions, job: Stream, servers: str, properties: Mapping[str, str], read_time: Sequence[str]
) -> None:
    """Submits the job, or with a template only writes its graph. Prints the job's id."""
    cloud = options.dataflow
    if cloud is None:
        raise ValueError("the options are not those of a run on Dataflow")
    java = java_config(servers, properties, default_home().parent / "secrets")
    if any("${file:" in value or name.endswith(".location") for name, value in java.items()):
        raise OptionError(
            "--kafka_config: keys and passwords are handed to Java in files, which Dataflow's workers do not have; "
            "let the broker trust the network that the job runs in (--network and --subnetwork behind --)"
        )
    if job.seeds is not None and job.seeds.is_folder and not job.seeds.place.startswith("gs://"):
        raise OptionError(f"--seed_creates {job.seeds.place}: Dataflow's workers see topics and gs:// alone")
    check_places(job.steps)
    check_folders(cloud)
    flags = beam_options(cloud, options.flink.job_name, options.beam, streaming=True)
    # Beam's own service, which it fetches from Maven and starts for the moment of the submission, unless one is named
    service = options.flink.expansion_service or default_io_expansion_service()
    ends = kafka_io(options, java, service, read_time)
    if job.plan.rules and job.plan.watch is None and not options.quiet:
        print(
            "huntbeam: rules of this machine stay as they are now; a job looks again at rules in gs://", file=sys.stderr
        )
    result = submit(flags, lambda pipeline: stream(pipeline, job, ends))
    if result is None:
        say_template(str(cloud.template), options.quiet)
        return
    if not options.quiet:
        print(f"huntbeam: {options.flink.job_name} runs in {cloud.project}, {cloud.region}", file=sys.stderr)
    print(result.job_id())
