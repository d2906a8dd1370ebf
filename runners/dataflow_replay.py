"""A replay on Dataflow: the files are listed here, everything else happens in the job, publishing included."""

from __future__ import annotations

import sys
from dataclasses import replace
from uuid import uuid4

from apache_beam.io.filesystems import FileSystems

from huntbeam.pipelines.dataflow_options import DataflowOptions
from huntbeam.pipelines.replay import replay
from huntbeam.pipelines.replay_options import FileOptions
from huntbeam.runners.console import said
from huntbeam.runners.dataflow import beam_options, check_folders, check_places, in_buckets, say_template, submit
from huntbeam.runners.local_replay import Run, replay_job
from huntbeam.runners.replaying import Work
from huntbeam.runners.search.ready import look
from huntbeam.transforms.digests import lines_only
from huntbeam.transforms.publish import PublishResults, discard, prepare
from huntbeam.transforms.read import expand, spans


def run_dataflow(options: FileOptions, cloud: DataflowOptions, work: Work) -> int | None:
    """Submits the job and waits for its end; with a template only writes its graph. Gives the exit code."""
    in_buckets("--input", options.input)
    in_buckets("--output", [options.output])
    flags = beam_options(cloud, f"huntbeam-{work.command}-{uuid4().hex[:8]}", options.beam, streaming=False)
    FileSystems.set_options(flags)
    check_folders(cloud)
    files = expand(options.input)
    planned = work.planned()
    run = Run(spans(files, lines_only=lines_only(planned.plan)), planned.plan, work.steps(planned), work.alerts)
    check_places(run.steps)
    if options.index is not None:
        look(options.index, run.steps.streams(), said(options.quiet), cloud=True)
    aside = prepare(options.output, options.overwrite)
    job = replay_job(options, run, aside)
    job = replace(job, publish=PublishResults(options.output, aside, job.format, run.steps.streams()))
    try:
        result = submit(flags, lambda pipeline: replay(pipeline, job))
    except BaseException:
        discard(aside)
        raise
    if result is None:
        say_template(str(cloud.template), options.quiet)
        return None
    state = result.wait_until_finish()
    if not options.quiet:
        print(f"huntbeam: the job {result.job_id()} is {state.lower()}; results: {options.output}", file=sys.stderr)
    return None if state == "DONE" else 1
