"""A replay whose results the job itself puts in their place, as on Dataflow, run here."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from huntbeam.pipelines.replay import replay
from huntbeam.pipelines.replay_options import add_replay_arguments, replay_options
from huntbeam.runners.local_replay import Run, replay_job
from huntbeam.runners.plans import plan_of
from huntbeam.runners.steps import steps_of
from huntbeam.transforms.publish import PublishResults, prepare
from huntbeam.transforms.read import expand, spans
from tests.conftest import ROOT, read_rows, run_replay

SAMPLE = ROOT / "samples" / "logs" / "winlogbeat7.ndjson"


def test_the_job_publishes_what_a_replay_does(tmp_path: Path) -> None:
    wanted = run_replay(tmp_path / "here", SAMPLE)
    parser = argparse.ArgumentParser()
    add_replay_arguments(parser)
    output = tmp_path / "out"
    options = replay_options(parser.parse_args(["--input", str(SAMPLE), "--output", str(output)]))
    planned = plan_of(options, print)
    steps = steps_of(options, planned)
    aside = prepare(options.output, overwrite=False)
    run = Run(spans(expand(options.input)), planned.plan, steps, options.alert_format)
    job = replay_job(options, run, aside)
    job = replace(job, publish=PublishResults(options.output, aside, job.format, steps.streams()))
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        replay(pipeline, job)
    assert sorted(path.name for path in output.iterdir()) == sorted(["_SUCCESS", *wanted])
    for stream, rows in wanted.items():
        assert sorted(map(repr, read_rows(output, stream))) == sorted(map(repr, rows))
