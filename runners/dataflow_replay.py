"""A replay on Dataflow: the files are listed here, everything else happens in the job, publishing included."""

from __future__ import annotations

import sys
from dataclasses import replace
from uuid import uuid4

from apache_beam.io.filesystems import FileSystems

from huntbeam.pipelines.options import OptionError
from huntbeam.pipelines.replay import replay
from huntbeam.pipelines.replay_options import ReplayOptions
from huntbeam.runners.console import said
from huntbeam.runners.dataflow import beam_options, say_template, submit
from huntbeam.runners.local_replay import Run, replay_job
from huntbeam.runners.plans import plan_of
from huntbeam.runners.search.ready import look
from huntbeam.runners.steps import steps_of
from huntbeam.transforms.publish import PublishResults, discard, prepare
from huntbeam.transforms.read import expand, spans


def run_dataflow(options: ReplayOptions) -> int | None:
    """Submits the job and waits for its end; with a template only writes its graph. Gives the exit code."""
    cloud = options.dataflow
    if cloud is None:
        raise ValueError("the options are not those of a run on Dataflow")
    for name, places in (("--input", options.input), ("--output", (options.output,))):
        for place in places:
            if not place.startswith("gs://"):
                raise OptionError(f"{name} {place}: Dataflow's workers see gs:// alone")
    flags = beam_options(cloud, f"huntbeam-replay-{uuid4().hex[:8]}", options.beam, streaming=False)
    FileSystems.set_options(flags)
    work = spans(expand(options.input))
    planned = plan_of(options, said(options.quiet), options.since, options.until)
    run = Run(work, planned.plan, steps_of(options, planned, ancestry=options.ancestry), options.alert_format)
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
